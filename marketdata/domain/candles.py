"""Candles as arrays, and the arithmetic of intervals. Every open time is UTC milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

INTERVAL_MS: Final[dict[str, int]] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
"""Length of each interval in milliseconds, shortest first."""


def interval_ms(interval: str) -> int:
    """Return the length of `interval`. Raises ValueError that lists the known ones."""
    try:
        return INTERVAL_MS[interval]
    except KeyError:
        raise ValueError(f"unknown interval {interval!r}: use one of {', '.join(INTERVAL_MS)}") from None


def floor_to(ms: int, interval: str) -> int:
    """Return the open time of the candle of `interval` that holds the moment `ms`."""
    length = interval_ms(interval)
    return ms - ms % length


@dataclass(frozen=True, slots=True)
class Candles:
    """Candles of one symbol and interval, oldest first, open times strictly rising.

    `open_time` is int64 milliseconds, the other arrays float64, all of one length n. Whether the last one is
    closed depends on the moment one looks: `closed_before` answers it, no flag is trusted.
    """

    symbol: str
    interval: str
    open_time: NDArray[np.int64]
    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.open_time)

    def slice(self, start: int, stop: int) -> Candles:
        """Return candles[start:stop] as views, without copying."""
        window = np.s_[start:stop]
        return Candles(
            self.symbol,
            self.interval,
            self.open_time[window],
            self.open[window],
            self.high[window],
            self.low[window],
            self.close[window],
            self.volume[window],
        )

    def closed_before(self, now_ms: int) -> Candles:
        """Return the candles whose interval has ended at `now_ms`; a forming candle is never among them."""
        stop = int(np.searchsorted(self.open_time, now_ms - interval_ms(self.interval), side="right"))
        return self.slice(0, stop)
