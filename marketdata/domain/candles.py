"""Candles as arrays. Every open time is UTC milliseconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata.domain.intervals import INTERVAL_MS, floor_to, interval_ms
from vibex.lib.records import record

if TYPE_CHECKING:  # NumPy is heavy, and much that names candles never touches one
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["INTERVAL_MS", "Candles", "floor_to", "interval_ms"]


@record()
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
        window = slice(start, stop)
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
        stop = int(self.open_time.searchsorted(now_ms - interval_ms(self.interval), side="right"))
        return self.slice(0, stop)
