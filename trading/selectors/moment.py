"""The moment of an entry: candles around its decision, what was asked for, and what came after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Exists, OuterRef, Q, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import Account
from accounts.selectors import Person
from decisions.domain.proposal import Action
from decisions.models import Decision
from marketdata.domain.intervals import INTERVAL_MS, interval_ms
from marketdata.models import Candle, Feed, Instrument
from marketdata.selectors import clock_of
from trading.models import Fill, Position
from trading.selectors.chart import Bars, Chart, Holding, mark_of, places_of
from trading.selectors.figure import figure_of, local
from trading.selectors.standing import DEFAULT_TICK
from vibex.lib.clock import from_ms, to_ms

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

BEFORE: Final = 40
"""Candles before the decision, where there is room for so many."""
LEAST_BEFORE: Final = 5
"""Candles before the decision, whatever came after it."""
AFTER: Final = 12
"""Candles that are shown after the end of what came."""
MOST_BARS: Final = 160
MOST_BASE: Final = 20_000
"""Base candles that are read for one picture: 13 days of 1m, so that of a bot on 1d as many candles are shown."""
OPENS: Final = (Action.BUY.value, Action.SELL.value)


@dataclass(frozen=True, slots=True)
class Moment:
    """What an entry asked for, in numbers. Distances are fractions of the price, None where nobody knows it."""

    price: Decimal | None
    """What the cycle saw."""
    to_stop: Decimal | None
    to_target: Decimal | None

    @property
    def reward(self) -> Decimal | None:
        """What is won at the target for each unit that is lost at the stop."""
        if not self.to_stop or self.to_target is None:
            return None
        return (self.to_target / self.to_stop).quantize(Decimal("0.01"))


def moment_of(decision: Decision, seen: Mapping[str, Any]) -> Moment:
    """Return the moment of an entry, at the price that its cycle has `seen` of the symbol."""
    price = _price(decision, seen)
    if not price:
        return Moment(None, None, None)
    sign = 1 if decision.action == Action.BUY.value else -1
    stop, target = decision.stop_loss, decision.profit_target
    return Moment(
        price,
        None if stop is None else (price - stop) * sign / price,
        None if target is None else (target - price) * sign / price,
    )


def _price(decision: Decision, seen: Mapping[str, Any]) -> Decimal | None:
    """Return the price of a decision: what its cycle noted, else what its followers counted from."""
    after = getattr(decision, "afterwards", None)
    return price_seen(seen, decision.symbol) or (after.entry_price if after else None)


def price_seen(seen: Mapping[str, Any], symbol: str) -> Decimal | None:
    """Return the price of a symbol that a cycle has seen; None where it noted none."""
    try:
        price = Decimal(str(seen[symbol]["price"]))
    except (KeyError, TypeError, InvalidOperation):
        return None
    return price if price.is_finite() else None


def candles_kept(market: str) -> Exists:
    """Return whether any candle is left of the hour before a decision, as a column of decisions on that market."""
    feed = Feed.objects.filter(venue=market).values("interval")[:1]
    since: Combinable = OuterRef("at") - timedelta(hours=1)
    kept = Candle.objects.filter(venue=market, symbol=OuterRef("symbol"), open_time__gte=since)
    return Exists(kept.filter(open_time__lte=OuterRef("at"), interval=Subquery(feed), closed=True))


def moment_figure(person: Person, cycle_id: int, decision_id: int) -> dict[str, Any] | None:
    """Return the picture of an entry on an account of `person` as a plotly figure, without data where no candle is left.

    None for a decision that is another's, that is none of the cycle, or that opens nothing. Five queries.
    """
    own = Decision.objects.filter(pk=decision_id, cycle=cycle_id, cycle__account__owner_id=person.pk, action__in=OPENS)
    decision = own.select_related("cycle__account", "cycle__bot", "afterwards").first()
    if decision is None:
        return None
    account = decision.cycle.account
    feed = _feed(account, decision.symbol)
    if feed is None:
        return {"data": [], "layout": {}}
    figure = figure_of(_chart(decision, account, feed))
    at = local(decision.at)
    figure["layout"]["shapes"] = [
        *figure["layout"].get("shapes", ()),
        {"type": "line", "x0": at, "x1": at, "yref": "paper", "y0": 0, "y1": 1, "line": {"width": 1, "dash": "dot"}},
    ]
    figure["layout"]["annotations"] = [
        {"text": "decided", "x": at, "yref": "paper", "y": 1, "xanchor": "left", "yanchor": "top", "showarrow": False}
    ]
    return figure


def _feed(account: Account, symbol: str) -> Feed | None:
    tick = Instrument.objects.filter(venue=OuterRef("venue"), symbol=symbol).values("tick_size")[:1]
    return Feed.objects.filter(venue=account.market).annotate(tick=Coalesce(Subquery(tick), DEFAULT_TICK)).first()


def _chart(decision: Decision, account: Account, feed: Feed) -> Chart:
    mine = Q(order__decision=decision) | Q(position__in=Position.objects.filter(decision=decision))
    fills = list(Fill.objects.filter(mine, account=account).select_related("order", "position").order_by("at")[:200])
    now = clock_of(feed).now()
    until = _end(decision, fills, now)
    interval = _interval(decision, feed, until)
    length = timedelta(milliseconds=interval_ms(interval))
    begins, ends = _window(decision.at, until, length, MOST_BASE * interval_ms(feed.interval) // interval_ms(interval))
    ends = min(now, ends)
    tick: Any = feed
    return Chart(
        decision.symbol,
        interval,
        (),
        places=places_of(tick.tick),
        ends=ends,
        bars=_bars(feed, decision.symbol, interval, begins, ends),
        marks=[mark_of(fill) for fill in fills if begins <= fill.at <= ends],
        holdings=_asked(decision, min(until, ends)),
    )


def _window(at: datetime, until: datetime, length: timedelta, room: int) -> tuple[datetime, datetime]:
    """Return from when to when candles of a length are shown, so many as there is room for. The decision is among them.

    First it is what stands before it that is shortened, then what came after.
    """
    size = length // timedelta(milliseconds=1)
    decided = from_ms(to_ms(at) // size * size)
    after = -(-(until - decided) // length) + AFTER
    begins = decided - max(LEAST_BEFORE, min(BEFORE, room - after)) * length
    return begins, min(until + AFTER * length, begins + room * length)


def _end(decision: Decision, fills: list[Fill], now: datetime) -> datetime:
    """Return until when something came of an entry: its position closed, or its stop or target was met as asked."""
    after = getattr(decision, "afterwards", None)
    positions = {fill.position.pk: fill.position for fill in fills if fill.position is not None}
    ends = [position.closed or now for position in positions.values()]
    if after is not None:
        ends.append(after.until)
    return min(now, max([decision.at, *ends]))


def _interval(decision: Decision, feed: Feed, until: datetime) -> str:
    """Return the interval of the bot, or the shortest longer one in which all that came fits into the picture."""
    base, own = interval_ms(feed.interval), interval_ms(decision.cycle.bot.interval)
    room = MOST_BARS - BEFORE - AFTER
    lasted = (until - decision.at) / timedelta(milliseconds=1)
    offers = [name for name, length in INTERVAL_MS.items() if length % base == 0 and length >= own]
    fits = (name for name in offers if lasted / INTERVAL_MS[name] <= room)
    return next(fits, offers[-1] if offers else feed.interval)


def _asked(decision: Decision, until: datetime) -> list[Holding]:
    """Return entry, stop and target as they were asked for, drawn from the decision to what came of it."""
    price = _price(decision, decision.cycle.seen)
    if price is None:
        return []
    return [Holding(decision.at, until, price, decision.stop_loss, decision.profit_target)]


def _bars(feed: Feed, symbol: str, interval: str, begins: datetime, ends: datetime) -> Bars:
    from marketdata.domain.resample import resample
    from marketdata.stored import ROW, candles_of

    rows = Candle.objects.filter(
        venue=feed.venue, symbol=symbol, interval=feed.interval, closed=True, open_time__gte=begins, open_time__lt=ends
    )
    base = candles_of(symbol, feed.interval, rows.order_by("open_time").values_list(*ROW))
    closed: Candles = resample(base, interval)
    return Bars(closed, {}, closed.slice(0, 0))
