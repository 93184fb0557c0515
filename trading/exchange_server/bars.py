"""Candles with all that AsterDEX tells of them, and every interval that it offers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
MONTH: Final = "1M"
MONDAY_MS: Final = 4 * DAY_MS
"""Weeks begin on Monday; 1 January 1970 was a Thursday."""

LENGTHS: Final[dict[str, int]] = {
    "1m": MINUTE_MS,
    "3m": 3 * MINUTE_MS,
    "5m": 5 * MINUTE_MS,
    "15m": 15 * MINUTE_MS,
    "30m": 30 * MINUTE_MS,
    "1h": HOUR_MS,
    "2h": 2 * HOUR_MS,
    "4h": 4 * HOUR_MS,
    "6h": 6 * HOUR_MS,
    "8h": 8 * HOUR_MS,
    "12h": 12 * HOUR_MS,
    "1d": DAY_MS,
    "3d": 3 * DAY_MS,
    "1w": 7 * DAY_MS,
    MONTH: 28 * DAY_MS,
}
"""Length of each interval in milliseconds; of a month the least."""

SUM_DECIMALS: Final = 8
"""Sums of floats are rounded to this, so that 0.1 + 0.2 is 0.3 as a venue counts it."""

type Times = NDArray[np.int64]
type Values = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Bars:
    """Candles of one symbol and interval, oldest first. `quote` is the turnover, `taker` the volume of taker buys."""

    open_time: Times
    open: Values
    high: Values
    low: Values
    close: Values
    volume: Values
    quote: Values
    taker: Values

    def __len__(self) -> int:
        return len(self.open_time)

    def columns(self) -> tuple[NDArray[Any], ...]:
        return tuple(getattr(self, field.name) for field in fields(self))

    def cut(self, start: int, stop: int | None) -> Bars:
        """Return bars[start:stop] as views."""
        return Bars(*(column[start:stop] for column in self.columns()))

    def place(self, at_ms: int) -> int:
        """Return how many bars open before `at_ms`."""
        return int(np.searchsorted(self.open_time, at_ms, side="left"))

    def between(self, start_ms: int, stop_ms: int) -> Bars:
        """Return the bars that open in [start_ms, stop_ms)."""
        first = self.place(start_ms)
        return self.cut(first, max(first, self.place(stop_ms)))

    def with_prices(self, change: Callable[[Values], Values]) -> Bars:
        """Return these bars with `change` made to all four prices."""
        made = [change(column) for column in (self.open, self.high, self.low, self.close)]
        return Bars(self.open_time, made[0], made[1], made[2], made[3], self.volume, self.quote, self.taker)


def no_bars() -> Bars:
    return Bars(np.empty(0, np.int64), *(np.empty(0) for _ in range(7)))


def joined(first: Bars, second: Bars) -> Bars:
    """Return the bars of both, one after the other."""
    if not len(first) or not len(second):
        return first if len(first) else second
    pairs = zip(first.columns(), second.columns(), strict=True)
    return Bars(*(np.concatenate(pair) for pair in pairs))


def bars_of(open_time: Times, prices: tuple[Values, Values, Values, Values], volume: Values) -> Bars:
    """Return bars whose turnover is the volume at the middle of their prices, half of it bought by takers."""
    middle = (prices[0] + prices[1] + prices[2] + prices[3]) / 4
    return Bars(open_time, *prices, volume, np.round(volume * middle, SUM_DECIMALS), np.round(volume / 2, SUM_DECIMALS))


def opens_at(at_ms: int, interval: str) -> int:
    """Return when the candle of `interval` opened that holds the moment `at_ms`."""
    return int(buckets(np.array([at_ms], np.int64), interval)[0])


def ends_at(open_ms: int, interval: str) -> int:
    """Return when the candle that opened at `open_ms` ends: the open time of the next one."""
    if interval == MONTH:
        return opens_at(open_ms + 31 * DAY_MS, MONTH)
    return open_ms + LENGTHS[interval]


def buckets(times: Times, interval: str) -> Times:
    """Return the open time of the candle of `interval` that holds each of `times`."""
    if interval == MONTH:
        return times.astype("datetime64[ms]").astype("datetime64[M]").astype("datetime64[ms]").astype(np.int64)
    offset = MONDAY_MS if interval == "1w" else 0
    rest: Times = (times - offset) % LENGTHS[interval]
    return times - rest


def makes(base: str, interval: str) -> bool:
    """Say whether candles of `interval` can be made of candles of `base`."""
    return interval == base or (LENGTHS[interval] > LENGTHS[base] and LENGTHS[interval] % LENGTHS[base] == 0)


def grouped(base: Bars, interval: str) -> Bars:
    """Return the candles of `interval` that `base` makes up. Whether the last one is whole is for the caller to know."""
    if not len(base):
        return base
    bucket = buckets(base.open_time, interval)
    first = np.concatenate(([0], np.flatnonzero(np.diff(bucket)) + 1))
    last = np.concatenate((first[1:], [len(base)])) - 1
    sums = (np.round(np.add.reduceat(column, first), SUM_DECIMALS) for column in (base.volume, base.quote, base.taker))
    return Bars(
        bucket[first],
        base.open[first],
        np.maximum.reduceat(base.high, first),
        np.minimum.reduceat(base.low, first),
        base.close[last],
        *sums,
    )
