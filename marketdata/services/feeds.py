"""Writers of feeds: configure one, move it on, stop it.

`feed_advance` writes everything that happened between the last write and now. It looks at what is stored and goes on
from there, so it can be killed at any point, run twice, or run by two processes: all write the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Max
from django.utils import timezone

from marketdata.domain.candles import Candles, floor_to, interval_ms
from marketdata.domain.pricing import decimal_of, touch
from marketdata.domain.snapshot import Quote
from marketdata.models import Feed, FundingRate
from marketdata.selectors import clock_of, feed_of, followed_symbols, follows_wall_clock, last_closed
from marketdata.services.candles import candles_quarantine, candles_upsert
from marketdata.services.prices import funding_put, instruments_upsert, ticker_put
from marketdata.venues.replay import RecordedSource
from marketdata.venues.simulated import SimulatedSource
from marketdata.venues.source import Source
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected
from vibex.lib.variables import venue_symbols

ENDED: Final = "The recording ended"
FUNDING_AHEAD_MS: Final = 24 * 3_600_000
"""Settlements are written before they are due and read when they are, so that none is late."""
BATCH: Final = 5_000
"""Candles that are made, written and committed before somebody is asked whether to stop."""
PROBLEM_LENGTH: Final = 300


def never() -> bool:
    """Say that nobody wants to stop."""
    return False


def feed_configure(
    *,
    venue: str,
    kind: str,
    symbols: Sequence[str] | None = None,
    source: str | Path = "",
    seed: int = 0,
    speed: float = 1.0,
    start: datetime | None = None,
) -> Feed:
    """Create the feed of a venue, or find it again, with its contracts. A known one keeps its place in time.

    `symbols` are those of ASSETS in a simulated market and all of a recording, when not given. A replay begins at
    `start`, else after its warm-up. Raises Rejected for a folder that cannot be read whole, a start outside of the
    recording, or another source or seed than the stored candles came from: prices of two markets must never mix.
    """
    folder = str(Path(source).resolve()) if source else ""
    wanted = _checked(Feed(venue=venue, kind=kind, source=folder, seed=seed, speed=speed, market_at=timezone.now()))
    known = Feed.objects.filter(venue=venue).first()
    if known and (known.kind, known.source, known.seed) != (kind, folder, seed):
        raise Rejected(_other_market(known), code="market_taken")
    if kind == Feed.Kind.SIMULATED and symbols is None:
        symbols = venue_symbols(settings.ASSETS)
    origin = _source(venue, kind, folder, seed, tuple(symbols) if symbols else None)
    with transaction.atomic():
        instruments_upsert(specs=origin.specs.values())
        feed = _change_speed(known, speed) if known else _create(wanted, origin, start)
    candles_quarantine(venue=venue, quarantined=origin.quarantined)
    return feed


def feed_start(*, venue: str) -> Feed:
    """Let the market's clock run. A replay goes on from where it was last written; one that has ended stays ended."""
    feed = feed_of(venue)
    if feed.problem.startswith(ENDED):
        return feed
    _anchor(feed, _last_moment(feed), running=True)
    return feed


def feed_stop(*, venue: str) -> Feed:
    """Let the market's clock stand still where it is."""
    feed = feed_of(venue)
    _anchor(feed, clock_of(feed).now(), running=False)
    return feed


def feed_fail(*, venue: str, problem: str) -> None:
    """Say why a feed does not write; its symbols hold until it does again."""
    Feed.objects.filter(venue=venue).update(problem=problem[:PROBLEM_LENGTH])


def feed_advance(*, venue: str, stopping: Callable[[], bool] = never) -> datetime:
    """Write all that is due and return the market time up to which everything is written.

    Closed candles go first, in batches that are committed; then, in one transaction, the forming candles, the prices,
    the settlements and the heartbeat. `stopping` is asked between batches. Raises Rejected when the source cannot be
    read any more.
    """
    feed = feed_of(venue)
    if feed.kind == Feed.Kind.LIVE:
        raise Rejected(f"{venue} has live prices: nothing is to be made up for it", code="live")
    source = source_of(feed)
    now_ms = to_ms(clock_of(feed).now())
    ended = source.ends_at is not None and now_ms >= source.ends_at
    if source.ends_at is not None:
        now_ms = min(now_ms, source.ends_at)
    closes = dict(_write_closed(venue, source, now_ms, stopping))
    if stopping():
        return from_ms(now_ms)
    with transaction.atomic():
        _write_newest(venue, source, now_ms, closes)
        _write_heartbeat(feed, now_ms, ended=ended)
    return from_ms(now_ms)


def source_of(feed: Feed) -> Source:
    """Return where the candles of a feed come from, for the contracts that the venue has."""
    symbols = tuple(followed_symbols(feed.venue))
    return _source(feed.venue, feed.kind, feed.source, feed.seed, symbols)


@lru_cache(maxsize=4)
def _source(venue: str, kind: str, folder: str, seed: int, symbols: tuple[str, ...] | None) -> Source:
    if kind == Feed.Kind.SIMULATED:
        return SimulatedSource(venue, symbols or (), seed)
    if kind == Feed.Kind.RECORDED:
        return RecordedSource(venue, Path(folder), symbols)
    raise Rejected(f"a feed of kind {kind!r} cannot be made here: choose simulated or recorded", code="kind")


def _checked(feed: Feed) -> Feed:
    try:
        feed.clean_fields()
    except ValidationError as error:
        faults = "; ".join(f"{name}: {' '.join(texts)}" for name, texts in error.message_dict.items())
        raise Rejected(f"the feed of {feed.venue} cannot be set up: {faults}", code="feed") from error
    return feed


def _create(feed: Feed, source: Source, start: datetime | None) -> Feed:
    feed.interval = source.interval
    if isinstance(source, RecordedSource):
        feed.market_at = from_ms(_start_inside(source, start))
    feed.save()
    return feed


def _start_inside(source: RecordedSource, start: datetime | None) -> int:
    if start is None:
        return source.earliest_start()
    if not source.begins_at <= to_ms(start) < (source.ends_at or 0):
        first, last = from_ms(source.begins_at), from_ms(source.ends_at or 0)
        raise Rejected(f"start between {first:%F %H:%M} and {last:%F %H:%M} UTC, not at {start:%F %H:%M}", code="start")
    return floor_to(to_ms(start), source.interval)


def _other_market(known: Feed) -> str:
    what = known.source if known.kind == Feed.Kind.RECORDED else f"the simulated market of seed {known.seed}"
    return (
        f"the venue {known.venue} of this data folder has candles of {what}, and prices of two markets must not mix. "
        "Use the same one, or another data folder (VIBEX_DATA_DIR)."
    )


def _change_speed(feed: Feed, speed: float) -> Feed:
    """Go on at another speed from the present market time: a change of speed is no jump in time."""
    if feed.speed != speed:
        present = _last_moment(feed)
        feed.speed = speed
        _anchor(feed, present, running=feed.running)
    return feed


def _anchor(feed: Feed, market_at: datetime, *, running: bool) -> None:
    feed.market_at, feed.wall_at, feed.running = market_at, timezone.now(), running
    feed.save(update_fields=["market_at", "wall_at", "running", "speed"])


def _last_moment(feed: Feed) -> datetime:
    """Return the market time of the last write: where a replay goes on after a stop or a crash."""
    if follows_wall_clock(feed) or not feed.running:
        return clock_of(feed).now()
    written = max(feed.heartbeat or feed.wall_at, feed.wall_at)
    return feed.market_at + (written - feed.wall_at) * feed.speed


def _write_closed(
    venue: str, source: Source, now_ms: int, stopping: Callable[[], bool]
) -> Iterable[tuple[str, float | None]]:
    """Write the closed candles of every symbol and yield the close of the last one."""
    step, stop_ms = interval_ms(source.interval), floor_to(now_ms, source.interval)
    known = last_closed(venue, source.interval, now=from_ms(now_ms))
    for symbol in source.specs:
        start_ms, close = source.history_from(symbol, now_ms), None
        if symbol in known:
            start_ms, close = to_ms(known[symbol][0]) + step, known[symbol][1]
        while start_ms < stop_ms and not stopping():
            until_ms = min(stop_ms, start_ms + BATCH * step)
            candles = source.whole(symbol, start_ms=start_ms, stop_ms=until_ms, previous_close=close)
            candles_upsert(venue=venue, candles=candles, closed=True)
            close = float(candles.close[-1]) if len(candles) else close
            start_ms = until_ms
        yield symbol, close


def _write_newest(venue: str, source: Source, now_ms: int, closes: dict[str, float | None]) -> None:
    quotes = []
    for symbol, close in closes.items():
        forming = source.forming(symbol, now_ms=now_ms, previous_close=close)
        candles_upsert(venue=venue, candles=forming, closed=False)
        quote = _quote(source, symbol, now_ms, forming, close)
        quotes += [quote] if quote else []
    ticker_put(venue=venue, quotes=quotes)
    _write_funding(venue, source, now_ms)


def _quote(source: Source, symbol: str, now_ms: int, forming: Candles, close: float | None) -> Quote | None:
    """Return the newest prices; in a hole of a recording nothing is newer than what is stored."""
    on_boundary = now_ms == floor_to(now_ms, source.interval)
    if not len(forming) and not on_boundary:
        return None
    price = float(forming.close[-1]) if len(forming) else close
    if price is None:
        return None
    last, spec = decimal_of(price), source.specs[symbol]
    bid, ask = touch(spec, last)
    mark = source.mark(symbol, now_ms=now_ms)
    rate, next_ms = source.next_funding(symbol, now_ms=now_ms) or (None, None)
    return Quote(
        symbol=symbol,
        at=from_ms(now_ms),
        last=last,
        bid=bid,
        ask=ask,
        mark=last if mark is None else decimal_of(mark),
        funding_rate=rate,
        next_funding_at=None if next_ms is None else from_ms(next_ms),
    )


def _write_funding(venue: str, source: Source, now_ms: int) -> None:
    rows = FundingRate.objects.filter(venue=venue)
    written = dict(rows.filter(at__gt=from_ms(now_ms)).values_list("symbol").annotate(Max("at")))
    due = {}
    for symbol in source.specs:
        newest = written.get(symbol) or rows.filter(symbol=symbol).aggregate(newest=Max("at"))["newest"]
        since_ms = to_ms(newest) if newest else source.history_from(symbol, now_ms)
        due[symbol] = source.funding(symbol, since_ms=since_ms, until_ms=now_ms + FUNDING_AHEAD_MS)
    if any(due.values()):
        funding_put(venue=venue, settlements=due)


def _write_heartbeat(feed: Feed, now_ms: int, *, ended: bool) -> None:
    """Note that the feed has written; a recording that has ended stands still with a problem that says so."""
    mine = Feed.objects.filter(pk=feed.pk, wall_at=feed.wall_at)  # somebody may have stopped or moved it meanwhile
    if ended:
        text = f"{ENDED} at {from_ms(now_ms):%F %H:%M} UTC: choose another one, with another data folder."
        mine.update(heartbeat=timezone.now(), problem=text, running=False, market_at=from_ms(now_ms))
    else:
        mine.update(heartbeat=timezone.now(), problem="")
