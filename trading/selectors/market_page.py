"""The market page of an account: which chart, the newest prices with their age, what the bots may trade on and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import QueryDict
from django.utils import timezone

from accounts.models import Account, Bot, Incident
from marketdata.models import CandleCorrection, CandleHole, Feed, Instrument, QuarantinedCandle, Ticker
from marketdata.selectors import clock_of, specs_of
from trading.models import Fill
from trading.selectors.chart import (
    Bars,
    Chart,
    Choice,
    bars_asked,
    bars_of,
    chart_of,
    curve_of_closes,
    forming_of,
    interval_checked,
    intervals_of,
    last_candles,
    places_of,
    show_of,
    spoken,
)
from trading.selectors.curve import polyline_of
from trading.selectors.standing import Rules
from vibex.lib.errors import Rejected
from vibex.lib.together import read_together

if TYPE_CHECKING:
    from marketdata.domain.instruments import InstrumentSpec
    from marketdata.domain.snapshot import MarketSnapshot, SymbolView

INCIDENTS: Final = 8
TRADES: Final = 8
STANDS: Final = "the market stands still"


@dataclass(frozen=True, slots=True)
class Fresh:
    """How new what is stored of a symbol is (market time), and why nothing may be opened on it."""

    symbol: str
    quote_at: datetime | None
    mark_at: datetime | None
    candle_at: datetime | None
    """Close of the newest candle of the bots' shortest timeframe."""
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Data:
    """What is wrong with the stored candles of a venue, and what was put right."""

    incidents: Sequence[Incident]
    quarantined: int
    """Impossible candles that the venue has not replaced."""
    holes: int
    """Spans in which the venue itself has no candles."""
    corrected: int
    """Closed candles that the venue told differently in the last day."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What can be chosen on the page: the symbols of the bots, the other followed ones, intervals."""

    traded: tuple[str, ...]
    others: tuple[str, ...]
    intervals: tuple[str, ...]
    usual: str
    """Interval that is shown when none is asked for."""

    @property
    def symbols(self) -> tuple[str, ...]:
        return (*self.traded, *self.others)


@dataclass(frozen=True, slots=True)
class Picture:
    """The chart without a script: points of an SVG line, words, and rows of a table (newest candle first)."""

    polyline: str
    words: str
    candles: Sequence[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Look:
    """Prices and freshness as they are now. `quote` is of the chosen symbol; a market that stands has no snapshot."""

    quote: Any = None
    rules: Rules = field(default_factory=Rules)
    fresh: Sequence[Fresh] = ()
    snapshot: MarketSnapshot | None = None


def feed_with_counts(venue: str) -> Feed | None:
    """Return the feed of a venue with what its data lacks, in one query."""
    day = timezone.now() - timedelta(days=1)
    return (
        Feed.objects.filter(venue=venue)
        .annotate(
            quarantined=_counted(QuarantinedCandle.objects.filter(mended__isnull=True)),
            holes=_counted(CandleHole.objects.all()),
            corrected=_counted(CandleCorrection.objects.filter(seen__gte=day)),
            incidents=Coalesce(
                Subquery(_of_data().order_by().values("account").annotate(n=Count("pk")).values("n")), 0
            ),
        )
        .first()
    )


def feed_with_tick(venue: str, symbol: str) -> Feed | None:
    """Return the feed of a venue with `tick`, the tick size of one symbol; None where it has no such symbol."""
    symbol = symbol if symbol.isprintable() else ""  # PostgreSQL takes no NUL
    tick = Instrument.objects.filter(venue=OuterRef("venue"), symbol=symbol).values("tick_size")[:1]
    return Feed.objects.filter(venue=venue).annotate(tick=Subquery(tick)).first()


def bots_and_contracts(account: Account, feed: Feed) -> tuple[list[Bot], list[Instrument]]:
    """Return the bots of an account by key, and the contracts of a venue in order: for all that is shown. One query."""
    found = read_together(
        bots=account.bots.order_by("pk"), contracts=Instrument.objects.filter(venue=feed.venue).order_by("symbol")
    )
    return found["bots"], found["contracts"]


def offers_of(feed: Feed, bots: Sequence[Bot], contracts: Sequence[Instrument]) -> tuple[Offers, dict[str, Rules]]:
    """Return what can be chosen, and how the numbers of each symbol are written."""
    known = {row.symbol: row for row in contracts}
    traded = [symbol for symbol in _in_order(symbol for bot in bots for symbol in bot.symbols) if symbol in known]
    others = [symbol for symbol, row in known.items() if row.followed and symbol not in traded]
    intervals = intervals_of(feed)
    usual = next((bot.interval for bot in bots if bot.interval in intervals), intervals[-1])
    rules = {symbol: Rules(row.tick_size, row.step_size) for symbol, row in known.items()}
    return Offers(tuple(traded), tuple(others), intervals, usual), rules


def choice_of(given: QueryDict, offers: Offers) -> Choice:
    """Return the chart that is asked for. Raises Rejected that says what there is."""
    symbol = given.get("symbol") or next(iter(offers.symbols), "")
    if given.get("symbol") and symbol not in offers.symbols:
        there = ", ".join(offers.symbols) or "none yet"
        raise Rejected(f"{symbol[:30]} is not followed here. There is {there}.", code="symbol")
    interval = given.get("interval") or offers.usual
    if interval not in offers.intervals:
        there = ", ".join(offers.intervals)
        raise Rejected(f"There are no {interval[:10]} candles here. Use one of {there}.", code="interval")
    return Choice(symbol, interval, show_of(given.getlist("show")))


def figure_choice(feed: Feed, given: QueryDict) -> Choice:
    """Return the chart that a figure is asked for. Raises Rejected with the name of the wrong parameter as its code.

    `feed` was read by `feed_with_tick` for the same symbol.
    """
    symbol = given.get("symbol", "")
    if not symbol:
        raise Rejected("Name one, for example symbol=BTCUSDT.", code="symbol")
    if feed.tick is None:  # type: ignore[attr-defined]
        raise Rejected(f"{symbol[:30]} is not known at this market.", code="symbol")
    interval = interval_checked(feed, given.get("interval") or feed.interval)
    return Choice(symbol, interval, show_of(given.getlist("show")), bars_asked(given.get("bars", "")))


def look_of(
    feed: Feed,
    symbol: str,
    bots: Sequence[Bot],
    offers: Offers,
    rules: Mapping[str, Rules],
    contracts: Iterable[Instrument],
) -> Look:
    """Return prices of `symbol`, and how fresh everything is that the bots of the account trade, and it."""
    wanted = [each for each in _in_order((*offers.traded, symbol)) if each in rules]
    if not wanted:
        return Look()
    if not feed.running:
        return _standing_look(feed, symbol, wanted, rules)
    given = [name for bot in bots for name in bot.timeframes if name in offers.intervals]
    timeframes = sorted(_in_order(given), key=offers.intervals.index) or [feed.interval]
    snapshot = _snapshot(feed, wanted, timeframes, specs_of(contracts))
    views = snapshot.symbols
    quote = views[symbol].quote if symbol in views and views[symbol].quote.last else None
    fresh = [_fresh(view, timeframes[0], snapshot.at) for view in views.values()]
    return Look(quote, rules.get(symbol, Rules()), fresh, snapshot)


def picture_at(feed: Feed, choice: Choice, look: Look, *, now: datetime) -> Picture:
    """Return the chart for those who do not see it: a small line, words, and the newest candles as rows."""
    bars = _bars_seen(feed, choice, look, now=now)
    places = places_of(look.rules.tick)
    return Picture(polyline_of(curve_of_closes(bars)), spoken(choice, bars, places), last_candles(bars))


def chart_at(account: Account, feed: Feed, choice: Choice) -> Chart:
    """Return the chart that a feed read by `feed_with_tick` has now."""
    with_tick: Any = feed
    return chart_of(account, feed, choice, now=clock_of(feed).now(), tick=with_tick.tick)


def _bars_seen(feed: Feed, choice: Choice, look: Look, *, now: datetime) -> Bars:
    """Return the candles of the chart: those of the snapshot where the bots have that timeframe, else read."""
    view = look.snapshot.symbols.get(choice.symbol) if look.snapshot else None
    seen = view.timeframes.get(choice.interval) if view else None
    if seen is None:
        return bars_of(feed, choice.symbol, choice.interval, now=now)
    forming = forming_of(feed, choice.symbol, choice.interval, now=now)
    return Bars(seen.candles, seen.indicators, forming)


def data_of(feed: Feed) -> Data:
    """Return what is wrong with the data of a feed that was read by `feed_with_counts`."""
    counts: Any = feed
    incidents = list(_of_data_at(feed.venue)[:INCIDENTS]) if counts.incidents else []
    return Data(incidents, counts.quarantined, counts.holes, counts.corrected)


def trades_of(account: Account, symbol: str) -> QuerySet[Fill]:
    """Return the newest executions of the account in a symbol, with order and position."""
    mine = Fill.objects.filter(account=account, symbol=symbol).select_related("order", "position")
    return mine.order_by("-at", "-id")[:TRADES]


def _snapshot(
    feed: Feed, symbols: Sequence[str], timeframes: Sequence[str], specs: Mapping[str, InstrumentSpec]
) -> MarketSnapshot:
    from marketdata.database_market import DatabaseMarket

    clock = clock_of(feed)
    market = DatabaseMarket(feed.venue, clock, specs=specs, feed=feed)
    return market.snapshot(symbols=symbols, timeframes=timeframes, at=clock.now())


def _fresh(view: SymbolView, shortest: str, at: datetime) -> Fresh:
    quote, timeframe = view.quote, view.timeframes[shortest]
    known = quote if quote.last else None
    candle_at = at - timeframe.age if len(timeframe.candles) else None
    return Fresh(
        view.symbol,
        known.at if known else None,
        (known.mark_at or known.at) if known else None,
        candle_at,
        str(view.problem or ""),
    )


def _standing_look(feed: Feed, symbol: str, wanted: Sequence[str], rules: Mapping[str, Rules]) -> Look:
    rows = {row.symbol: row for row in Ticker.objects.filter(venue=feed.venue, symbol__in=wanted)}
    problem = feed.problem or STANDS
    fresh = [_fresh_of_row(each, rows.get(each), problem) for each in wanted]
    return Look(rows.get(symbol), rules.get(symbol, Rules()), fresh)


def _fresh_of_row(symbol: str, row: Ticker | None, problem: str) -> Fresh:
    if row is None:
        return Fresh(symbol, None, None, None, problem)
    return Fresh(symbol, row.at, row.mark_at or row.at, None, problem)


def _of_data() -> QuerySet[Incident]:
    """Return the open incidents that belong to no account: those of the market, whose texts begin with its venue."""
    return Incident.objects.filter(account__isnull=True, resolved__isnull=True)


def _of_data_at(venue: str) -> QuerySet[Incident]:
    return _of_data().filter(text__startswith=f"{venue} ").order_by("-opened")


def _counted(rows: QuerySet[Any]) -> Coalesce:
    mine = rows.filter(venue=OuterRef("venue")).order_by().values("venue")
    return Coalesce(Subquery(mine.annotate(n=Count("venue")).values("n"), output_field=IntegerField()), 0)


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
