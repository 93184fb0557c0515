"""The way a price is taken to have gone inside a candle. Replays and the simulated market reveal candles along it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from marketdata.domain.candles import Candles, interval_ms


@dataclass(frozen=True, slots=True)
class Forming:
    """A candle as far as it has happened. Prices in quote units, volume in the base asset."""

    open: float
    high: float
    low: float
    close: float
    volume: float


def reveal(whole: Forming, *, elapsed: float, tick: float) -> Forming:
    """Return what has happened of the `whole` candle after the share `elapsed` (0 to 1) of its time.

    The path is open → low → high → close when close ≥ open, else open → high → low → close, at even speed and on the
    tick. The matching engine walks the same path, so a stop that is hit here is hit there.
    """
    if elapsed >= 1.0:
        return whole
    points = _points(whole)
    last, passed = _walk(points, elapsed, tick)
    return Forming(
        open=whole.open,
        high=max(last, *passed),
        low=min(last, *passed),
        close=last,
        volume=whole.volume * max(elapsed, 0.0),
    )


def seen_until(candles: Candles, now_ms: int, *, tick: float) -> Candles:
    """Return what of whole, recorded `candles` has happened at `now_ms` (UTC ms): the last one may be forming."""
    stop = int(np.searchsorted(candles.open_time, now_ms, side="left"))
    seen, length = candles.slice(0, stop), interval_ms(candles.interval)
    if not stop or int(seen.open_time[-1]) + length <= now_ms:
        return seen
    elapsed = (now_ms - int(seen.open_time[-1])) / length
    return _with_last(seen, reveal(last_of(seen), elapsed=elapsed, tick=tick))


def last_of(candles: Candles) -> Forming:
    """Return the values of the last candle."""
    columns = (candles.open, candles.high, candles.low, candles.close, candles.volume)
    return Forming(*(float(column[-1]) for column in columns))


def _with_last(candles: Candles, last: Forming) -> Candles:
    before = candles.slice(0, len(candles) - 1)
    return Candles(
        candles.symbol,
        candles.interval,
        candles.open_time,
        np.append(before.open, last.open),
        np.append(before.high, last.high),
        np.append(before.low, last.low),
        np.append(before.close, last.close),
        np.append(before.volume, last.volume),
    )


def _points(whole: Forming) -> tuple[float, float, float, float]:
    if whole.close >= whole.open:
        return whole.open, whole.low, whole.high, whole.close
    return whole.open, whole.high, whole.low, whole.close


def _walk(points: tuple[float, ...], elapsed: float, tick: float) -> tuple[float, list[float]]:
    """Return where the price is and the corners it has passed, the open among them."""
    legs = [abs(end - start) for start, end in pairwise(points)]
    left = sum(legs) * max(elapsed, 0.0)
    passed = [points[0]]
    for leg, start, end in zip(legs, points, points[1:], strict=False):
        if left < leg:
            return _on_tick(start + (end - start) * left / leg, start, end, tick), passed
        left -= leg
        passed.append(end)
    return points[-1], passed


def _on_tick(price: float, start: float, end: float, tick: float) -> float:
    """Round to the tick without leaving the leg. Dividing by a whole number keeps the shortest decimal digits."""
    per_unit = round(1 / tick)
    rounded = round(price * per_unit) / per_unit if per_unit else round(price / tick) * tick
    return min(max(rounded, min(start, end)), max(start, end))
