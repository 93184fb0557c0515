"""Stored candles as arrays: read in order, and kept in the process so that many bots share them."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from math import inf
from typing import Any, Final

import numpy as np
from django.db.models import Q

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.frames import Frame, frame_grown, joined, whole_until
from marketdata.domain.quality import faults, without
from marketdata.domain.resample import resample
from marketdata.models import Candle, CandleCorrection, Feed
from vibex.lib.clock import from_ms, to_ms

ROW: Final = ("open_time", "open", "high", "low", "close", "volume")
FRAME_BARS: Final = 500
"""Candles of a timeframe that indicators are computed over: what came before moves EMA50 by less than 1e-8."""
MAX_BASE: Final = 90_000
"""Base candles of a symbol that are read at most: 62 days of 1m, so that even a timeframe of 1d has its indicators."""
OVERLAP: Final = 5
"""So many of the last candles are read again at each look: a candle is mostly corrected or filled in soon."""
RELOAD_SECONDS: Final = 900.0
"""So long after it was written at most, a correction of an old candle is seen by every process."""
WRITING: Final = timedelta(minutes=5)
"""A correction that was noted shortly before the last look may have been committed after it."""


def candles_of(symbol: str, interval: str, rows: Iterable[Sequence[Any]]) -> Candles:
    """Return rows of (open time, open, high, low, close, volume), oldest first, as candles."""
    table = list(rows)
    times = np.array([round(row[0].timestamp() * 1000) for row in table], dtype=np.int64)
    values = np.array([row[1:] for row in table], dtype=np.float64).reshape(-1, 5).T.copy()
    return Candles(symbol, interval, times, values[0], values[1], values[2], values[3], values[4])


def stored_series(venue: str, symbol: str, base: str, interval: str, limit: int) -> Candles:
    """Return the newest `limit` closed candles of `interval`, made of the stored `base` candles, oldest first."""
    per_bar = interval_ms(interval) // interval_ms(base)
    series = resample(_newest(venue, symbol, base, (limit + 1) * per_bar), interval)
    return series.slice(max(0, len(series) - limit), len(series))


@dataclass(frozen=True, slots=True)
class Series:
    """The newest closed base candles of one symbol, and the frames that were made of them and of older ones.

    A frame is made of the last complete buckets, `bars_of` many where so many are stored, and of nothing else: what
    this process has read before does not show in it.
    """

    base: Candles
    frames: Mapping[str, Frame]
    since: datetime
    """Open time of the oldest candle behind the frames; the dawn of time where all that are stored were read."""
    count: int
    """How many were stored from there on when the past was last looked at, and have come since."""
    checked: float
    """When the past was last looked at, in monotonic seconds."""
    checked_at: datetime
    """The same in wall time."""


class SeriesStore:
    """Candles and indicators of one feed in this process, computed once for all bots. Safe to be asked by many threads.

    Of several feeds the one asked last is kept: an installation trades on one market at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._series: dict[str, Series] = {}

    def series(
        self, feed: Feed, symbols: Sequence[str], interval: str, timeframes: Iterable[str]
    ) -> Mapping[str, Series]:
        """Return the series of `symbols` up to the last closed candle, with the frames of these timeframes."""
        wanted = frozenset(timeframes)
        with self._lock:
            self._begin(feed, interval)
            self._extend(feed.venue, [symbol for symbol in symbols if symbol in self._series], interval)
            self._check(feed.venue, self._unchecked(symbols), interval)
            for symbol in self._lacking(symbols, wanted):
                self._read(feed.venue, symbol, interval, wanted)
            return {symbol: self._series[symbol] for symbol in symbols}

    def knows(self, symbol: str, timeframes: Iterable[str]) -> bool:
        """Tell whether these frames of a symbol are here already, so that little has to be read for them."""
        with self._lock:
            return not self._lacking([symbol], frozenset(timeframes))

    def touch(self, candles: Candles) -> None:
        """Take note that this process has written candles: where they reach further back than a look, it looks there too."""
        with self._lock:
            known = self._series.get(candles.symbol)
            if known is None or not len(candles) or known.base.interval != candles.interval or not len(known.base):
                return
            seen_from = int(known.base.open_time[-1]) - (OVERLAP - 1) * interval_ms(candles.interval)
            if candles.open_time[0] < seen_from and candles.open_time[-1] >= to_ms(known.since):
                self._series[candles.symbol] = replace(known, checked=-inf)

    def _begin(self, feed: Feed, interval: str) -> None:
        """Forget everything when the feed was made anew."""
        key = (feed.pk, feed.kind, feed.source, feed.seed, interval)
        if key != self._key:
            self._key, self._series = key, {}

    def _lacking(self, symbols: Sequence[str], wanted: frozenset[str]) -> list[str]:
        known = self._series
        return [
            symbol
            for symbol in symbols
            if symbol not in known or not len(known[symbol].base) or not wanted <= known[symbol].frames.keys()
        ]

    def _unchecked(self, symbols: Sequence[str]) -> list[str]:
        """Return whose past must be looked at: all that are due, or the oldest when half of its time is over."""
        now = time.monotonic()
        ages = {symbol: now - self._series[symbol].checked for symbol in symbols if symbol in self._series}
        late = [symbol for symbol, age in ages.items() if age >= RELOAD_SECONDS]
        oldest = max(ages, key=ages.__getitem__, default="")
        return late or ([oldest] if oldest and ages[oldest] >= RELOAD_SECONDS / 2 else [])

    def _check(self, venue: str, symbols: Sequence[str], interval: str) -> None:
        """Forget those whose past has changed: a candle was corrected, or one came that was missing."""
        for symbol in symbols:
            known, wall = self._series[symbol], datetime.now(UTC)
            mine = {"venue": venue, "symbol": symbol, "interval": interval, "open_time__gte": known.since}
            corrected = CandleCorrection.objects.filter(**mine, seen__gte=known.checked_at - WRITING).exists()
            if corrected or Candle.objects.filter(**mine, closed=True).count() != known.count:
                self._read(venue, symbol, interval, frozenset(known.frames))
            else:
                self._series[symbol] = replace(known, checked=time.monotonic(), checked_at=wall)

    def _read(self, venue: str, symbol: str, interval: str, wanted: frozenset[str]) -> None:
        """Read the past of a symbol. A frame that comes out as it was is kept, with its indicators."""
        known = self._series[symbol].frames if symbol in self._series else {}
        per_bars = {name: interval_ms(name) // interval_ms(interval) for name in wanted | known.keys()}
        depth = max((depth_of(per_bar) for per_bar in per_bars.values()), default=OVERLAP)
        checked, checked_at = time.monotonic(), datetime.now(UTC)
        read = _newest(venue, symbol, interval, depth)
        base, since = _sound(read), from_ms(int(read.open_time[0]) if len(read) == depth else 0)
        frames = {name: _frame(base, name, bars_of(per_bar), known.get(name)) for name, per_bar in per_bars.items()}
        self._series[symbol] = Series(_tail(base, frames), frames, since, len(read), checked, checked_at)

    def _extend(self, venue: str, symbols: Sequence[str], interval: str) -> None:
        """Take in what has closed since the last look and what has changed shortly before, in one query for all."""
        since = {
            symbol: int(base.open_time[-1]) - (OVERLAP - 1) * interval_ms(interval)
            for symbol in symbols
            if len(base := self._series[symbol].base)
        }
        if not since:
            return
        rows = Candle.objects.filter(_from(since), venue=venue, interval=interval, closed=True)
        found: dict[str, list[Any]] = {symbol: [] for symbol in since}
        for symbol, *row in rows.order_by("symbol", "open_time").values_list("symbol", *ROW):
            found[symbol].append(row)
        for symbol, several in found.items():
            grown = _grown(self._series[symbol], _sound(candles_of(symbol, interval, several)), since[symbol])
            if grown is None:
                del self._series[symbol]
            else:
                self._series[symbol] = grown


def bars_of(per_bar: int) -> int:
    """Return how many candles a frame has at most that takes `per_bar` base candles each."""
    return min(FRAME_BARS, MAX_BASE // per_bar - 1)


def depth_of(per_bar: int) -> int:
    """Return how many base candles hold all buckets of such a frame, wherever in a bucket they begin and end."""
    return (bars_of(per_bar) + 1) * per_bar


def _frame(base: Candles, interval: str, bars: int, known: Frame | None) -> Frame:
    candles = resample(base, interval)
    candles = candles.slice(max(0, len(candles) - bars), len(candles))
    return known if known is not None and _same(known.candles, candles) else Frame(candles)


def _grown(series: Series, read: Candles, since_ms: int) -> Series | None:
    """Return the series with the candles read from `since_ms` on; None when one that was known has vanished."""
    base = series.base
    start = int(base.open_time.searchsorted(since_ms))
    known = base.slice(start, len(base))
    changed_ms = _first_change(known, read)
    if changed_ms is None:
        return series
    if not np.isin(known.open_time, read.open_time).all():
        return None
    whole = joined(base.slice(0, start), read)
    frames = {}
    for name, frame in series.frames.items():
        bars = bars_of(interval_ms(name) // interval_ms(base.interval))
        since = min(changed_ms, whole_until(base, name))  # what was not complete before may be now
        frames[name] = frame_grown(frame, whole, changed_ms=since, bars=bars)
    come = len(read) - len(known)
    return replace(series, base=_tail(whole, frames), frames=frames, count=series.count + come)


def _first_change(known: Candles, read: Candles) -> int | None:
    """Return the first open time at which the two differ, None when they do not."""
    shared = min(len(known), len(read))
    same = np.ones(shared, dtype=bool)
    for name in ROW:
        same &= getattr(known, name)[:shared] == getattr(read, name)[:shared]
    if not same.all():
        place = int(np.argmin(same))
        return int(min(known.open_time[place], read.open_time[place]))
    longer = known if len(known) > len(read) else read
    return int(longer.open_time[shared]) if len(longer) > shared else None


def _tail(base: Candles, frames: Iterable[str]) -> Candles:
    """Return what is needed of the base to let the frames grow: the bucket that forms and the last complete one."""
    step = interval_ms(base.interval)
    kept = 2 * max((interval_ms(name) // step for name in frames), default=1) + 2 * OVERLAP
    return base.slice(max(0, len(base) - kept), len(base))


def _from(since: Mapping[str, int]) -> Q:
    """Return the condition on rows: of each symbol those from its moment (UTC ms) on."""
    moments: dict[int, list[str]] = defaultdict(list)
    for symbol, at_ms in since.items():
        moments[at_ms].append(symbol)
    wanted = Q()
    for at_ms, symbols in moments.items():
        wanted |= Q(symbol__in=symbols, open_time__gte=from_ms(at_ms))
    return wanted


def _newest(venue: str, symbol: str, interval: str, count: int) -> Candles:
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval, closed=True).order_by("-open_time")
    return candles_of(symbol, interval, reversed(rows.values_list(*ROW)[:count]))


def _sound(candles: Candles) -> Candles:
    """Leave out what cannot be true, should anybody have written it past the services: it is a hole then."""
    return without(candles, faults(candles))


def _same(left: Candles, right: Candles) -> bool:
    return all(np.array_equal(getattr(left, name), getattr(right, name)) for name in ROW)
