"""What the market chart shows: candles as the bots see them, the one that is forming, what the account did there.

While the market moves, closed candles and indicators are those that all bots of the process share: a look adds what has
closed since. A market that stands still is read once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Q, QuerySet

from accounts.models import Account
from marketdata.domain.intervals import INTERVAL_MS, floor_to, interval_ms
from marketdata.models import Candle, Feed, FundingRate
from trading.models import Fill, Order, Position
from trading.selectors.figure import OVERLAYS, PANES
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

BARS: Final = 200
"""Candles of a chart at most, and where nobody asks for fewer."""
FEWEST_BARS: Final = 20
MOST_BASE: Final = 60_000
"""Base candles that are read for the chart of a market that stands still: 41 days of 1m."""
MOST_FILLS: Final = 500
INDICATORS: Final = (*OVERLAYS, *PANES)
USUAL: Final = ("ema20", "ema50", "rsi14")
NAMES: Final = {
    **{key: lines[0][0] for key, lines in OVERLAYS.items()},
    **{key: pane[0] for key, pane in PANES.items()},
}
"""What can be shown, by the word in the address, and its name on the page."""


@dataclass(frozen=True, slots=True)
class Choice:
    """Which chart a person wants."""

    symbol: str
    interval: str
    show: tuple[str, ...]
    bars: int = BARS
    """Candles that fit on the screen of the person."""

    @property
    def panes(self) -> int:
        """Panes below prices and volume: the box of the chart is as high as they need."""
        return sum(name in PANES for name in self.show)


@dataclass(frozen=True, slots=True)
class Mark:
    """An execution of the account: `kind` is one of `figure.MARKS`."""

    kind: str
    at: datetime
    price: Decimal
    text: str


@dataclass(frozen=True, slots=True)
class Holding:
    """A position from its opening to its end, None while it is open. Stop and target as they stood last."""

    since: datetime
    until: datetime | None
    entry: Decimal
    stop: Decimal | None
    target: Decimal | None


@dataclass(frozen=True, slots=True)
class Bars:
    """Closed candles, their indicators (arrays of the same length), and the forming candle or none."""

    closed: Candles
    indicators: Mapping[str, Any]
    forming: Candles


@dataclass(frozen=True, slots=True)
class Chart:
    """Everything of one picture. `funding` are settled rates as fractions."""

    symbol: str
    interval: str
    show: tuple[str, ...]
    places: int
    ends: datetime
    """Market time of the look."""
    bars: Bars
    marks: Sequence[Mark] = ()
    holdings: Sequence[Holding] = ()
    funding: Sequence[tuple[datetime, Decimal]] = ()

    @property
    def closed(self) -> Candles:
        return self.bars.closed

    @property
    def forming(self) -> Candles:
        return self.bars.forming

    @property
    def indicators(self) -> Mapping[str, Any]:
        return self.bars.indicators

    @property
    def count(self) -> int:
        return len(self.closed) + len(self.forming)

    @property
    def begins(self) -> datetime:
        return begin_of(self.bars) or self.ends


def show_of(given: Sequence[str]) -> tuple[str, ...]:
    """Return the indicators of `show=ema20,macd` (also several `show=`) in their order; the usual ones when not given.

    Raises Rejected that names the known ones.
    """
    if not given:
        return USUAL
    named = {name for several in given for name in several.split(",") if name}
    if unknown := sorted(named - set(INDICATORS)):
        raise Rejected(f"There is no indicator {', '.join(unknown)}. Use some of {', '.join(INDICATORS)}.", code="show")
    return tuple(name for name in INDICATORS if name in named)


def bars_asked(given: str) -> int:
    """Return the number of candles that `bars=80` asks for, all when it is empty. Raises Rejected that names the range."""
    if not given:
        return BARS
    if not (given.isascii() and given.isdigit() and FEWEST_BARS <= int(given[:9]) <= BARS):
        raise Rejected(f"Ask for {FEWEST_BARS} to {BARS} candles.", code="bars")
    return int(given)


def intervals_of(feed: Feed) -> tuple[str, ...]:
    """Return the intervals whose candles can be made of those that are stored."""
    base = interval_ms(feed.interval)
    return tuple(name for name, length in INTERVAL_MS.items() if length % base == 0)


def interval_checked(feed: Feed, interval: str) -> str:
    """Return the interval. Raises Rejected that names those that there are."""
    offers = intervals_of(feed)
    if interval not in offers:
        raise Rejected(f"There are no {interval} candles here. Use one of {', '.join(offers)}.", code="interval")
    return interval


def chart_of(account: Account, feed: Feed, choice: Choice, *, now: datetime, tick: Decimal) -> Chart:
    """Return the chart of one symbol at the market time `now`."""
    bars = newest(bars_of(feed, choice.symbol, choice.interval, now=now), choice.bars)
    begins = begin_of(bars) or now
    fills = list(_fills(account, choice.symbol, begins))
    return Chart(
        choice.symbol,
        choice.interval,
        choice.show,
        places=places_of(tick),
        ends=now,
        bars=bars,
        marks=[mark_of(fill) for fill in fills if fill.at >= begins],
        holdings=_holdings(fills),
        funding=_funding(feed, choice.symbol, begins, now),
    )


def bars_of(feed: Feed, symbol: str, interval: str, *, now: datetime) -> Bars:
    """Return the newest candles of a symbol. Raises Rejected for an interval that cannot be made."""
    interval_checked(feed, interval)
    closed, indicators = _shared(feed, symbol, interval, now) if feed.running else _read(feed, symbol, interval)
    return Bars(closed, indicators, forming_of(feed, symbol, interval, now=now))


def newest(bars: Bars, count: int) -> Bars:
    """Return only the last `count` closed candles and what belongs to them."""
    start, stop = max(0, len(bars.closed) - count), len(bars.closed)
    if not start:
        return bars
    indicators = {name: bars.indicators[name][start:stop] for name in bars.indicators}
    return Bars(bars.closed.slice(start, stop), indicators, bars.forming)


def forming_of(feed: Feed, symbol: str, interval: str, *, now: datetime) -> Candles:
    """Return the candle that is not over yet, made of the base candles so far; none where nothing came yet."""
    from marketdata.stored import ROW, candles_of

    begins = floor_to(to_ms(now), interval)
    rows = Candle.objects.filter(
        venue=feed.venue, symbol=symbol, interval=feed.interval, open_time__gte=from_ms(begins), open_time__lte=now
    )
    parts = list(rows.order_by("open_time").values_list(*ROW))
    if not parts:
        return candles_of(symbol, interval, [])
    opened, high, low, close, volume = zip(*(row[1:] for row in parts), strict=True)
    one = (from_ms(begins), opened[0], max(high), min(low), close[-1], sum(volume))
    return candles_of(symbol, interval, [one])


def begin_of(bars: Bars) -> datetime | None:
    """Return the open time of the first candle; None when there is no candle."""
    first = next((candles for candles in (bars.closed, bars.forming) if len(candles)), None)
    return None if first is None else from_ms(int(first.open_time[0]))


def places_of(tick: Decimal) -> int:
    """Return the decimals of a price: one for a tick of 0.10000, none for 10."""
    return max(0, -int(tick.normalize().as_tuple().exponent))


def mark_of(fill: Fill) -> Mark:
    """Return an execution as a mark: entries by their direction, exits by what closed the position."""
    order = fill.order
    if order.role == Order.Role.ENTRY:
        kind, name = ("entry-long", "Entry long") if fill.side == "BUY" else ("entry-short", "Entry short")
    else:
        kind, name = order.role, f"Exit by {order.get_role_display()}"
    return Mark(kind, fill.at, fill.price, f"{name}: {fill.quantity.normalize():f} at {fill.price.normalize():f}")


def _shared(feed: Feed, symbol: str, interval: str, now: datetime) -> tuple[Candles, Mapping[str, Any]]:
    """Return the frame that the bots of this process share."""
    from marketdata import database_market

    series = database_market.STORE.series(feed, [symbol], feed.interval, [interval])
    frame = series[symbol].frames[interval]
    seen = frame.window(frame.count_at(to_ms(now)), to_ms(now), BARS)
    return seen.candles, seen.indicators


def _read(feed: Feed, symbol: str, interval: str) -> tuple[Candles, Mapping[str, Any]]:
    from marketdata.domain.indicators import compute
    from marketdata.stored import stored_series

    per_bar = interval_ms(interval) // interval_ms(feed.interval)
    candles = stored_series(feed.venue, symbol, feed.interval, interval, min(BARS, MOST_BASE // per_bar))
    return candles, compute(candles)


def _fills(account: Account, symbol: str, begins: datetime) -> QuerySet[Fill]:
    """Return the executions since `begins`, and those of a position that is still open."""
    mine = Fill.objects.filter(account=account, symbol=symbol).select_related("order", "position")
    held = Q(position__isnull=False, position__closed__isnull=True)
    return mine.filter(Q(at__gte=begins) | held).order_by("-at")[:MOST_FILLS]


def _holdings(fills: Sequence[Fill]) -> list[Holding]:
    positions = {fill.position.pk: fill.position for fill in fills if fill.position is not None}
    return [_holding(position) for position in positions.values()]


def _holding(position: Position) -> Holding:
    return Holding(position.opened, position.closed, position.entry_price, position.stop, position.target)


def _funding(feed: Feed, symbol: str, begins: datetime, now: datetime) -> list[tuple[datetime, Decimal]]:
    rows = FundingRate.objects.filter(venue=feed.venue, symbol=symbol, at__gte=begins, at__lte=now, settled=True)
    return list(rows.order_by("at").values_list("at", "rate"))


def spoken(choice: Choice, bars: Bars, places: int) -> str:
    """Return a chart in words, for those who do not see it."""
    parts = [candles for candles in (bars.closed, bars.forming) if len(candles)]
    if not parts:
        return f"{choice.symbol}: no candles yet."
    highest, lowest = max(float(each.high.max()) for each in parts), min(float(each.low.min()) for each in parts)
    form = f",.{places}f"
    return (
        f"{sum(map(len, parts))} candles of {choice.symbol}, {choice.interval} each: "
        f"last {float(parts[-1].close[-1]):{form}}, highest {highest:{form}}, lowest {lowest:{form}}."
    )


def curve_of_closes(bars: Bars) -> list[tuple[datetime, float]]:
    """Return (open time, close) of every candle, for the small picture that needs no script."""
    times = [*bars.closed.open_time.tolist(), *bars.forming.open_time.tolist()]
    closes = [*bars.closed.close.tolist(), *bars.forming.close.tolist()]
    return [(from_ms(at), close) for at, close in zip(times, closes, strict=True)]


def last_candles(bars: Bars, count: int = 12) -> list[dict[str, Any]]:
    """Return the newest candles as rows of a table, newest first, the forming one marked."""
    rows = []
    for candles, forming in ((bars.closed, False), (bars.forming, True)):
        columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
        names = ("open", "high", "low", "close", "volume")
        for index in range(max(0, len(candles) - count), len(candles)):
            values = {name: Decimal(repr(float(column[index]))) for name, column in zip(names, columns, strict=True)}
            rows.append({"at": from_ms(int(candles.open_time[index])), "forming": forming, **values})
    return list(reversed(rows))[:count]
