"""Candles by pages, of any interval that can be made of the stored ones, newest first or forward from a moment.

A page is a span of time. It begins, or ends, where candles are, so that none is empty while there are more; its candles
are the same whichever page they come on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from marketdata.domain.intervals import INTERVAL_MS, floor_to, interval_ms
from marketdata.models import Candle, Feed, Instrument
from marketdata.selectors import clock_of
from vibex.lib.clock import from_ms, to_ms

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

MOST: Final = 1_000
"""Candles of a page."""
MOST_READ: Final = 90_000
"""Stored candles that one page is made of at most: 62 days of 1m. Of long intervals a page has fewer candles."""

type Row = tuple[str, float, float, float, float, float, bool]
"""Open time (ISO 8601, UTC), open, high, low, close, volume, and whether it has closed."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which candles: those that open from `since` on, else the newest before `until`."""

    symbol: str
    interval: str = ""
    """Empty: the stored one."""
    since: datetime | None = None
    until: datetime | None = None
    limit: int = 500
    forming: bool = False
    """Whether the one that is not over yet comes too."""


@dataclass(frozen=True, slots=True)
class Page:
    """Candles, oldest first. `before` and `after` say where there are more."""

    interval: str
    rows: Sequence[Row] = ()
    before: datetime | None = None
    """Older ones open before this."""
    after: datetime | None = None
    """Newer ones open at this moment or later."""


def feed_to_page(venue: str, asked: Asked) -> Feed | None:
    """Return a feed with what `page_of_candles` needs to know, in one query; None where there is none of that name."""
    stored = Candle.objects.filter(
        venue=OuterRef("venue"), symbol=asked.symbol, interval=OuterRef("interval"), closed=True
    )
    return (
        Feed.objects.filter(venue=venue)
        .annotate(
            known=Exists(Instrument.objects.filter(venue=OuterRef("venue"), symbol=asked.symbol)),
            oldest=_first(stored.order_by("open_time")),
            newest=_first(stored.order_by("-open_time")),
            anchor=_first(_anchor(stored, asked)),
        )
        .first()
    )


def intervals_at(feed: Feed) -> list[str]:
    """Return the intervals of which a feed has candles, or can make them, shortest first."""
    base = interval_ms(feed.interval)
    return [name for name, length in INTERVAL_MS.items() if length % base == 0]


def symbols_at(venue: str, limit: int = 100) -> list[str]:
    """Return the symbols that are followed at a venue, in order."""
    rows = Instrument.objects.filter(venue=venue, followed=True).order_by("symbol")
    return list(rows.values_list("symbol", flat=True)[:limit])


def page_of_candles(feed: Feed, asked: Asked) -> Page:
    """Return a page of a feed that was read by `feed_to_page`. One query; two more where a page falls into a hole."""
    told: Any = feed
    interval = asked.interval or feed.interval
    if told.anchor is None:
        return Page(interval)
    whole = _whole(feed, interval)
    start, stop = _span(feed, interval, asked, whole)
    read = list(_stored(feed, asked, start, stop, interval))
    rows = [(*row, True) for row in _closed(asked.symbol, feed.interval, interval, read, start, stop)]
    last = stop >= whole[1]
    if asked.forming and last and (one := _forming(feed, interval, read)) is not None and _within(one[0], asked):
        rows.append((*one, False))
    page = Page(
        interval,
        [(_text(at), *values) for at, *values in rows],  # type: ignore[misc]
        before=from_ms(start) if whole[0] < start else None,
        after=None if last or (asked.since and asked.until and stop >= to_ms(asked.until)) else from_ms(stop),
    )
    return page if rows else _beyond_the_hole(feed, asked, page)


def _beyond_the_hole(feed: Feed, asked: Asked, page: Page) -> Page:
    """Return the page that follows one without candles, as long as there is any."""
    if asked.since is not None and page.after is not None:
        further = replace(asked, since=page.after)
    elif asked.since is None and page.before is not None:
        further = replace(asked, until=page.before)
    else:
        return page
    again = feed_to_page(feed.venue, further)
    return page if again is None else page_of_candles(again, further)


def _whole(feed: Feed, interval: str) -> tuple[int, int]:
    """Return from and to which moment (UTC ms) there are whole candles of an interval, holes aside."""
    told: Any = feed
    length, base = interval_ms(interval), interval_ms(feed.interval)
    oldest, end = to_ms(told.oldest), to_ms(told.newest) + base
    return -(-oldest // length) * length, end - end % length


def _within(at: datetime, asked: Asked) -> bool:
    return (asked.since is None or at >= asked.since) and (asked.until is None or at < asked.until)


def _first(rows: QuerySet[Candle]) -> Subquery:
    return Subquery(rows.values("open_time")[:1])


def _anchor(stored: QuerySet[Candle], asked: Asked) -> QuerySet[Candle]:
    """Return the stored candle at which the page begins, or ends."""
    if asked.since is not None:
        return stored.filter(open_time__gte=asked.since).order_by("open_time")
    if asked.until is not None:
        stored = stored.filter(open_time__lt=asked.until)
    return stored.order_by("-open_time")


def _span(feed: Feed, interval: str, asked: Asked, whole: tuple[int, int]) -> tuple[int, int]:
    """Return from and to which moment (UTC ms, whole candles) the page goes."""
    told: Any = feed
    length, base = interval_ms(interval), interval_ms(feed.interval)
    wide = min(asked.limit, MOST_READ // (length // base)) * length
    begins = floor_to(to_ms(told.anchor), interval)
    if asked.since is None:
        stop = min(begins + length, whole[1])
        return max(stop - wide, min(whole[0], stop)), stop
    if begins < to_ms(asked.since):
        begins += length
    start = max(begins, whole[0])
    ends = [start + wide, whole[1]]
    if asked.until is not None:
        ends.append(-(-to_ms(asked.until) // length) * length)
    return start, max(start, min(ends))


def _stored(feed: Feed, asked: Asked, start: int, stop: int, interval: str) -> QuerySet[Candle, tuple[Any, ...]]:
    """Return the stored rows of the span, and of the candle behind it where the forming one is asked for."""
    from marketdata.stored import ROW

    rows = Candle.objects.filter(
        venue=feed.venue,
        symbol=asked.symbol,
        interval=feed.interval,
        open_time__gte=from_ms(start),
        open_time__lt=from_ms(stop + (interval_ms(interval) if asked.forming else 0)),
    )
    return rows.order_by("open_time").values_list(*ROW, "closed")


def _closed(
    symbol: str, base: str, interval: str, read: Sequence[Any], start: int, stop: int
) -> list[tuple[datetime, float, float, float, float, float]]:
    """Return the candles that have closed and open in [start, stop), all of which are whole."""
    low, high = from_ms(start), from_ms(stop)
    rows = [row[:-1] for row in read if row[-1] and low <= row[0] < high]
    return rows if interval == base else _made(symbol, base, interval, rows)


def _made(
    symbol: str, base: str, interval: str, rows: Sequence[Any]
) -> list[tuple[datetime, float, float, float, float, float]]:
    from marketdata.domain.resample import aggregate
    from marketdata.stored import candles_of

    made: Candles = aggregate(candles_of(symbol, base, rows), interval)
    columns = (made.open.tolist(), made.high.tolist(), made.low.tolist(), made.close.tolist(), made.volume.tolist())
    return [(from_ms(at), *values) for at, *values in zip(made.open_time.tolist(), *columns, strict=True)]


def _forming(
    feed: Feed, interval: str, read: Sequence[Any]
) -> tuple[datetime, float, float, float, float, float] | None:
    """Return the candle that is not over yet, made of what came so far; None where nothing came yet."""
    begins = from_ms(floor_to(to_ms(clock_of(feed).now()), interval))
    parts = [row[:-1] for row in read if row[0] >= begins]
    if not parts:
        return None
    _, opened, high, low, close, volume = zip(*parts, strict=True)
    return begins, opened[0], max(high), min(low), close[-1], sum(volume)


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"
