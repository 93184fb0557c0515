"""Longer candles out of shorter ones. A bucket that is not complete does not come out at all."""

from __future__ import annotations

import numpy as np

from marketdata.domain.candles import Candles, interval_ms

VOLUME_DECIMALS = 6
"""Sums of floats are rounded to this, finer than any step size, so that 0.1 + 0.2 is 0.3 as the venue records it."""


def resample(base: Candles, interval: str) -> Candles:
    """Return the candles of `interval` that closed `base` candles make up, oldest first.

    `base` holds closed candles only. The last bucket is left out unless its last base candle is there, the first one
    unless its first is: half a bucket would look like a whole one. Holes in between stay holes; a bucket with a hole
    in it is made of what is there (whether that may be traded is for the snapshot to say).

    Raises ValueError when `interval` is no whole multiple of the base interval.
    """
    step, length = interval_ms(base.interval), interval_ms(interval)
    if length % step:
        raise ValueError(f"{interval} candles cannot be made of {base.interval} candles")
    if length == step or not len(base):
        return Candles(base.symbol, interval, *_columns(base))
    return aggregate(_whole_buckets(base, step, length), interval)


def _whole_buckets(base: Candles, step: int, length: int) -> Candles:
    """Cut off the bucket at either end that has begun too early or has not ended."""
    bucket = base.open_time // length
    start = 0 if base.open_time[0] % length == 0 else int(np.searchsorted(bucket, bucket[0], side="right"))
    ended = (base.open_time[-1] + step) % length == 0
    stop = len(base) if ended else int(np.searchsorted(bucket, bucket[-1], side="left"))
    return base.slice(start, max(start, stop))


def aggregate(base: Candles, interval: str) -> Candles:
    """Return a candle of `interval` for every bucket of which `base` has a part. Which of them are whole, the caller knows."""
    length = interval_ms(interval)
    if not len(base):
        return Candles(base.symbol, interval, *_columns(base))
    bucket = base.open_time - base.open_time % length
    first = np.concatenate(([0], np.flatnonzero(np.diff(bucket)) + 1))
    last = np.concatenate((first[1:], [len(base)])) - 1
    return Candles(
        base.symbol,
        interval,
        bucket[first],
        base.open[first],
        np.maximum.reduceat(base.high, first),
        np.minimum.reduceat(base.low, first),
        base.close[last],
        np.round(np.add.reduceat(base.volume, first), VOLUME_DECIMALS),
    )


def _columns(candles: Candles) -> tuple[np.ndarray, ...]:
    return (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
