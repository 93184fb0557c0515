"""Stored candles as arrays: read in order, and kept in the process so that many bots share them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.frames import Frame, frame_of
from marketdata.domain.resample import resample
from marketdata.models import Candle, Feed
from vibex.lib.clock import from_ms

ROW: Final = ("open_time", "open", "high", "low", "close", "volume")
FRAME_BARS: Final = 500
"""Candles of a timeframe that indicators are computed over: what came before moves EMA50 by less than 1e-8."""
MAX_BASE: Final = 60_000
"""Base candles of a symbol that are kept in memory at most: 41 days of 1m."""
RELOAD_SECONDS: Final = 900.0
"""After so long everything is read anew, so that a correction of an old candle is seen by every process."""


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


@dataclass(slots=True)
class Series:
    """The closed base candles of one symbol as far as they were read, with the frames made of them."""

    base: Candles
    depth: int
    read_at: float
    frames: dict[str, Frame] = field(default_factory=dict)

    def frame(self, interval: str) -> Frame:
        """Return candles and indicators of a timeframe, computed once per closed base candle."""
        if interval not in self.frames:
            per_bar = interval_ms(interval) // interval_ms(self.base.interval)
            count = len(self.base)
            self.frames[interval] = frame_of(self.base.slice(max(0, count - FRAME_BARS * per_bar), count), interval)
        return self.frames[interval]


class SeriesStore:
    """Base candles of one feed in this process. Safe to be asked by many threads.

    Of several feeds the one asked last is kept: an installation trades on one market at a time.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[Any, ...] = ()
        self._series: dict[str, Series] = {}

    def series(self, feed: Feed, symbols: Sequence[str], interval: str, *, longest: str) -> Mapping[str, Series]:
        """Return the series of `symbols` up to the last closed candle, deep enough for a timeframe of `longest`."""
        depth = min(MAX_BASE, FRAME_BARS * (interval_ms(longest) // interval_ms(interval)))
        with self._lock:
            self._begin(feed, interval)
            fresh = [symbol for symbol in symbols if self._usable(symbol, depth)]
            self._extend(feed.venue, fresh, interval)
            for symbol in symbols:
                if not self._usable(symbol, depth):
                    read = _newest(feed.venue, symbol, interval, depth)
                    self._series[symbol] = Series(read, depth, time.monotonic())
            return {symbol: self._series[symbol] for symbol in symbols}

    def _begin(self, feed: Feed, interval: str) -> None:
        """Forget everything when the feed was made anew."""
        key = (feed.pk, feed.kind, feed.source, feed.seed, interval)
        if key != self._key:
            self._key, self._series = key, {}

    def _usable(self, symbol: str, depth: int) -> bool:
        known = self._series.get(symbol)
        return (
            known is not None
            and known.depth >= depth
            and len(known.base) > 0
            and time.monotonic() - known.read_at < RELOAD_SECONDS
        )

    def _extend(self, venue: str, symbols: Sequence[str], interval: str) -> None:
        """Append what has closed since the last look, in one query for all symbols."""
        if not symbols:
            return
        last = {symbol: int(self._series[symbol].base.open_time[-1]) for symbol in symbols}
        rows = Candle.objects.filter(
            venue=venue,
            symbol__in=symbols,
            interval=interval,
            closed=True,
            open_time__gte=from_ms(min(last.values())),
        ).order_by("symbol", "open_time")
        found: dict[str, list[Any]] = {symbol: [] for symbol in symbols}
        for symbol, *row in rows.values_list("symbol", *ROW):
            found[symbol].append(row)
        for symbol in symbols:
            self._append(symbol, candles_of(symbol, interval, found[symbol]))

    def _append(self, symbol: str, read: Candles) -> None:
        """Join what was read to what is known. The candle known last was read again: when it differs, forget all."""
        known = self._series[symbol]
        place = int(np.searchsorted(read.open_time, known.base.open_time[-1]))
        if place >= len(read) or _row(read, place) != _row(known.base, -1):
            del self._series[symbol]
        elif place + 1 < len(read):
            joined = _joined(known.base, read.slice(place + 1, len(read)), known.depth)
            self._series[symbol] = Series(joined, known.depth, known.read_at)


def _newest(venue: str, symbol: str, interval: str, count: int) -> Candles:
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval, closed=True).order_by("-open_time")
    return candles_of(symbol, interval, reversed(rows.values_list(*ROW)[:count]))


def _row(candles: Candles, place: int) -> tuple[float, ...]:
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    return tuple(float(column[place]) for column in columns)


def _joined(left: Candles, right: Candles, depth: int) -> Candles:
    start = max(0, len(left) + len(right) - depth)
    return Candles(
        left.symbol,
        left.interval,
        np.concatenate((left.open_time, right.open_time))[start:],
        np.concatenate((left.open, right.open))[start:],
        np.concatenate((left.high, right.high))[start:],
        np.concatenate((left.low, right.low))[start:],
        np.concatenate((left.close, right.close))[start:],
        np.concatenate((left.volume, right.volume))[start:],
    )
