"""The readers of the market's tables: clock, rules, candles for charts, freshness."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db.models import Count

from accounts.models import Bot
from accounts.selectors import on_market
from marketdata.domain.instruments import CRYPTO, DEFAULT_BRACKETS, Bracket, InstrumentSpec
from marketdata.domain.intervals import INTERVAL_MS, interval_ms
from marketdata.models import Candle, Feed, Instrument, Ticker
from vibex.lib.clock import Clock, ReplayClock, SimulatedClock, WallClock
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    from marketdata.database_market import DatabaseMarket
    from marketdata.domain.candles import Candles


type BarRow = tuple[datetime, float, float, float, float]

USUAL_QUOTE = "USDT"
SHORTEST_WARM_UP = timedelta(days=15)
"""What is kept of every followed symbol: 90 candles of 4h."""
WARM_UP_BARS = 61
"""Candles of the longest timeframe that have to be there: EMA50 and some more."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old the data of a symbol is, in market time. None where nothing was ever written."""

    symbol: str
    quote_age: timedelta | None
    candle_age: timedelta | None
    """Since the close of the last closed candle."""


def feed_of(venue: str) -> Feed:
    """Return the feed of a venue. Raises Rejected when this installation has none."""
    feed = Feed.objects.filter(venue=venue).first()
    if feed is None:
        raise Rejected(f"there is no market {venue!r} here: start one with `manage.py up`", code="venue")
    return feed


def follows_wall_clock(feed: Feed) -> bool:
    """Tell whether market time is wall time: live prices, and a simulated market at its natural speed."""
    return feed.kind == Feed.Kind.LIVE or (feed.kind == Feed.Kind.SIMULATED and feed.speed == 1)


def clock_of(feed: Feed) -> Clock:
    """Return the market clock of a feed. A replay that does not run stands still."""
    if follows_wall_clock(feed):
        return WallClock()
    if not feed.running:
        return SimulatedClock(feed.market_at, feed.speed)
    return ReplayClock(feed.wall_at, feed.market_at, feed.speed)


def market_clock(venue: str) -> Clock:
    """Return the market clock of a venue. Raises Rejected when this installation has no such market."""
    return clock_of(feed_of(venue))


def market_for(venue: str) -> DatabaseMarket:
    """Return the Market port over the tables, on the venue's own clock."""
    from marketdata.database_market import DatabaseMarket  # it reads through this module

    return DatabaseMarket(venue, market_clock(venue))


def base_interval(venue: str) -> str:
    """Return the interval of which the longer candles of a venue are made."""
    return feed_of(venue).interval


def instrument_specs(venue: str, symbols: Collection[str] | None = None) -> dict[str, InstrumentSpec]:
    """Return the rules of contracts of a venue by symbol: of all, or of those of `symbols` that there are.

    A venue lists some hundred contracts, and reading a row costs 80 µs: who knows which he wants says so.
    """
    rows = Instrument.objects.filter(venue=venue).order_by("symbol")
    return specs_of(rows if symbols is None else rows.filter(symbol__in=symbols))


def specs_of(rows: Iterable[Instrument]) -> dict[str, InstrumentSpec]:
    """Return the rules of contracts that were read, by symbol."""
    return {row.symbol: _spec(row) for row in rows}


def candle_series(*, venue: str, symbol: str, interval: str, limit: int = 300) -> Candles:
    """Return the newest `limit` closed candles of any interval for a chart, oldest first.

    Raises Rejected for an interval that is unknown or shorter than the stored candles.
    """
    base = base_interval(venue)
    if interval not in INTERVAL_MS or interval_ms(interval) % interval_ms(base):
        offers = ", ".join(name for name, length in INTERVAL_MS.items() if length % interval_ms(base) == 0)
        raise Rejected(f"no {interval} candles can be made of {base} ones: choose {offers}", code="interval")
    from marketdata.stored import stored_series  # arrays are loaded by those who draw them only

    return stored_series(venue, symbol, base, interval, limit)


def followed_symbols(venue: str) -> list[str]:
    """Return the symbols whose candles and prices a feed keeps current, in order."""
    rows = Instrument.objects.filter(venue=venue, followed=True).order_by("symbol")
    return list(rows.values_list("symbol", flat=True))


def wanted_symbols(venue: str, assets: Sequence[str]) -> list[str]:
    """Return what should be followed at a venue: the assets of this installation and all that its bots name."""
    named = Bot.objects.filter(on_market(venue, of="account__")).values_list("symbols", flat=True)
    contracts = Instrument.objects.filter(venue=venue, base__in=assets, asset_class=CRYPTO).order_by("symbol")
    of_assets: dict[str, str] = {}
    for base, symbol, quote in contracts.values_list("base", "symbol", "quote"):
        if base not in of_assets or quote == USUAL_QUOTE:  # one contract per asset is enough
            of_assets[base] = symbol
    return sorted({*of_assets.values(), *(symbol for symbols in named for symbol in symbols)})


def warm_up_of(venue: str) -> timedelta:
    """Return how far back the candles of a venue have to reach for the longest timeframe of its bots."""
    used = Bot.objects.filter(on_market(venue, of="account__")).values_list("timeframes", flat=True)
    longest = max((interval_ms(name) for names in used for name in names), default=0)
    return max(SHORTEST_WARM_UP, timedelta(milliseconds=WARM_UP_BARS * longest))


def base_bars(*, venue: str, symbol: str, interval: str, since: datetime) -> list[BarRow]:
    """Return open time, open, high, low and close of the closed base candles that open from `since` on, oldest first."""
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval, closed=True, open_time__gte=since)
    return list(rows.order_by("open_time").values_list("open_time", "open", "high", "low", "close"))


def candles_in(venue: str, interval: str, *, since: datetime, until: datetime) -> dict[str, int]:
    """Return how many closed candles every symbol has that open in [since, until)."""
    rows = Candle.objects.filter(
        venue=venue,
        symbol__in=followed_symbols(venue),
        interval=interval,
        closed=True,
        open_time__gte=since,
        open_time__lt=until,
    )
    return dict(rows.values_list("symbol").annotate(Count("close")))


def freshness(venue: str) -> list[Freshness]:
    """Return how old quotes and closed candles of every followed symbol of a venue are."""
    now, base = market_clock(venue).now(), base_interval(venue)
    quoted = dict(Ticker.objects.filter(venue=venue).values_list("symbol", "at"))
    closed = last_closed(venue, base, now=now)
    length = timedelta(milliseconds=interval_ms(base))
    return [
        Freshness(
            symbol,
            now - quoted[symbol] if symbol in quoted else None,
            now - closed[symbol][0] - length if symbol in closed else None,
        )
        for symbol in followed_symbols(venue)
    ]


def feed_in_words(venue: str) -> str:
    """Return one line about how fresh a venue's data is, for a terminal."""
    feed, rows = feed_of(venue), freshness(venue)
    if feed.problem:
        return f"{feed.problem}"
    quotes = [row.quote_age.total_seconds() for row in rows if row.quote_age is not None]
    candles = [row.candle_age.total_seconds() for row in rows if row.candle_age is not None]
    oldest = (
        f"oldest price {max(quotes):.0f} s, oldest closed candle {max(candles):.0f} s" if quotes and candles else ""
    )
    return f"{len(rows)} symbols, {oldest or 'no prices yet'}"


def last_closed(venue: str, interval: str, *, now: datetime) -> dict[str, tuple[datetime, float]]:
    """Return open time and close of the last closed candle per symbol. Recent rows first: those are few and indexed."""
    symbols = followed_symbols(venue)
    rows = Candle.objects.filter(venue=venue, symbol__in=symbols, interval=interval, closed=True)
    recent = rows.filter(open_time__gt=now - timedelta(milliseconds=4 * interval_ms(interval))).order_by("open_time")
    found = {symbol: (at, close) for symbol, at, close in recent.values_list("symbol", "open_time", "close")}
    for symbol in set(symbols) - set(found):
        last = rows.filter(symbol=symbol).order_by("-open_time").values_list("open_time", "close").first()
        if last is not None:
            found[symbol] = last
    return found


def plain(value: Decimal) -> Decimal:
    """Return a stored decimal without the zeros that the column's places added, never as 1E+2."""
    short = value.normalize()
    return short.quantize(Decimal(1)) if short.as_tuple().exponent > 0 else short  # type: ignore[operator]


def _spec(row: Instrument) -> InstrumentSpec:
    return InstrumentSpec(
        venue=row.venue,
        symbol=row.symbol,
        base=row.base,
        quote=row.quote,
        tick_size=plain(row.tick_size),
        step_size=plain(row.step_size),
        min_quantity=plain(row.min_quantity),
        max_quantity=plain(row.max_quantity),
        min_notional=plain(row.min_notional),
        max_leverage=row.max_leverage,
        maker_fee=plain(row.maker_fee),
        taker_fee=plain(row.taker_fee),
        liquidation_fee=plain(row.liquidation_fee),
        funding_interval_hours=row.funding_interval_hours,
        group=row.group,
        brackets=brackets_of(row.brackets),
        status=row.status,
        min_price=plain(row.min_price),
        max_price=plain(row.max_price),
        market_step_size=plain(row.market_step_size),
        market_min_quantity=plain(row.market_min_quantity),
        market_max_quantity=plain(row.market_max_quantity),
        band_up=plain(row.band_up),
        band_down=plain(row.band_down),
        market_take_bound=plain(row.market_take_bound),
        trigger_protect=plain(row.trigger_protect),
        max_orders=row.max_orders,
        max_stop_orders=row.max_stop_orders,
        margin_asset=row.margin_asset,
        contract_type=row.contract_type,
        asset_class=row.asset_class,
        order_types=tuple(row.order_types),
        times_in_force=tuple(row.times_in_force),
    )


def brackets_of(stored: Sequence[dict[str, Any]]) -> tuple[Bracket, ...]:
    """Return the steps of the maintenance margin as they are stored; the usual ones where a venue has told none."""
    return tuple(_bracket(step) for step in stored) or DEFAULT_BRACKETS


def _bracket(step: dict[str, Any]) -> Bracket:
    return Bracket(
        floor=Decimal(step["floor"]),
        cap=Decimal(step["cap"]),
        max_leverage=int(step["max_leverage"]),
        maintenance_rate=Decimal(step["maintenance_rate"]),
        cum=Decimal(step["cum"]),
    )
