"""Candles of one timeframe with their indicators, computed once, and the window of them that one moment may see."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.indicators import Indicators, Values
from marketdata.domain.resample import resample
from marketdata.domain.snapshot import Timeframe
from vibex.lib.clock import MILLISECOND

LOOKBACK: Final = 200
"""Candles of each timeframe that a snapshot shows."""

NEVER: Final = timedelta.max
"""Age of an input that is not there."""

_SPLITMIX: Final = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


class Window(Mapping[str, Values]):
    """The part [start:stop) of every indicator. Arrays are cut when they are asked for: most never are."""

    __slots__ = ("_series", "_start", "_stop")

    def __init__(self, series: Mapping[str, Values], start: int, stop: int) -> None:
        self._series, self._start, self._stop = series, start, stop

    def __getitem__(self, name: str) -> Values:
        return self._series[name][self._start : self._stop]

    def __iter__(self) -> Iterator[str]:
        return iter(self._series)

    def __len__(self) -> int:
        return len(self._series)


class Frame:
    """Closed candles of one symbol and interval over all time, with indicators and fingerprints."""

    __slots__ = ("_opened", "candles", "fingerprint", "indicators", "length")

    def __init__(self, candles: Candles) -> None:
        self.candles = candles
        self._opened: list[int] = candles.open_time.tolist()  # one moment is found sooner in a list than in an array
        self.length = interval_ms(candles.interval)
        self.indicators = Indicators(candles)
        self.fingerprint = fingerprints(candles)

    def count_at(self, at_ms: int) -> int:
        """Return how many candles have closed at `at_ms`."""
        return bisect_right(self._opened, at_ms - self.length)

    def window(self, count: int, at_ms: int, lookback: int) -> Timeframe:
        """Return the last `lookback` of the first `count` candles as seen at `at_ms`, as views without a copy."""
        start = max(0, count - lookback)
        age = (at_ms - self._opened[count - 1] - self.length) * MILLISECOND if count else NEVER
        return Timeframe(
            self.candles.interval, self.candles.slice(start, count), Window(self.indicators, start, count), age
        )

    def fingerprint_at(self, count: int) -> int:
        """Return a number that stands for the first `count` candles, every value of them."""
        return int(self.fingerprint[count - 1]) if count else 0


def frame_of(base: Candles, interval: str) -> Frame:
    """Return the frame of `interval` over closed `base` candles. Raises ValueError where it cannot be made of them."""
    return Frame(resample(base, interval))


def frame_grown(frame: Frame, base: Candles, *, changed_ms: int, bars: int) -> Frame:
    """Return the frame after closed `base` candles came or changed from `changed_ms` on: its last `bars` buckets.

    `changed_ms` is not later than the moment up to which the frame was complete before. What lies before it is kept,
    only the rest is resampled. The same frame comes back when no bucket has completed and none that had has changed.
    `base` must reach back to the bucket of the first change and the one before it.
    """
    interval, length = frame.candles.interval, frame.length
    first, until = changed_ms - changed_ms % length, whole_until(base, interval)
    if first >= until:
        return frame
    kept = frame.candles.slice(0, int(frame.candles.open_time.searchsorted(first)))
    known_ms = int(kept.open_time[-1]) if len(kept) else -1
    tail = resample(base.slice(int(base.open_time.searchsorted(known_ms)), len(base)), interval)
    grown = joined(kept, tail.slice(int(tail.open_time.searchsorted(known_ms, "right")), len(tail)))
    return Frame(grown.slice(max(0, len(grown) - bars), len(grown)))


def whole_until(base: Candles, interval: str) -> int:
    """Return up to which moment (UTC ms) the buckets of `interval` are complete with these closed base candles."""
    end = int(base.open_time[-1]) + interval_ms(base.interval) if len(base) else 0
    return end - end % interval_ms(interval)


def joined(left: Candles, right: Candles) -> Candles:
    """Return candles of one symbol and interval one after the other."""
    columns = ("open_time", "open", "high", "low", "close", "volume")
    both = [np.concatenate((getattr(left, name), getattr(right, name))) for name in columns]
    return Candles(left.symbol, left.interval, *both)


def fingerprints(candles: Candles) -> NDArray[np.uint64]:
    """Return for each i a 64-bit hash of candles[0:i+1]: SplitMix64 over the bits of each candle, summed."""
    mixed = _mix(candles.open_time.astype(np.uint64))
    for column in (candles.open, candles.high, candles.low, candles.close, candles.volume):
        mixed = _mix(mixed ^ np.ascontiguousarray(column).view(np.uint64))
    return np.cumsum(mixed, dtype=np.uint64)


def _mix(x: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Finaliser of SplitMix64 (Steele, Lea, Flood 2014)."""
    x = (x ^ (x >> np.uint64(30))) * _SPLITMIX[0]
    x = (x ^ (x >> np.uint64(27))) * _SPLITMIX[1]
    return x ^ (x >> np.uint64(31))
