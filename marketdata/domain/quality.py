"""What makes a candle impossible, and where candles are missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles, interval_ms


@dataclass(frozen=True, slots=True)
class Fault:
    """One candle that cannot be true: its index, open time (UTC ms) and what is wrong with it."""

    index: int
    open_time: int
    reason: str


@dataclass(frozen=True, slots=True)
class Gap:
    """A hole: the open time (UTC ms) of the first candle that is missing, and how many are."""

    open_time: int
    missing: int


def faults(candles: Candles) -> list[Fault]:
    """Return every impossible candle, oldest first, each with the first reason found."""
    found: dict[int, str] = {}
    with np.errstate(invalid="ignore"):
        for reason, broken in _rules(candles):
            for index in np.flatnonzero(broken):
                found.setdefault(int(index), reason)
    return [Fault(index, int(candles.open_time[index]), found[index]) for index in sorted(found)]


def without(candles: Candles, broken: list[Fault]) -> Candles:
    """Return the candles that are left when the broken ones are taken out."""
    if not broken:
        return candles
    keep = np.ones(len(candles), dtype=bool)
    keep[[fault.index for fault in broken]] = False
    return Candles(
        candles.symbol,
        candles.interval,
        candles.open_time[keep],
        candles.open[keep],
        candles.high[keep],
        candles.low[keep],
        candles.close[keep],
        candles.volume[keep],
    )


def gaps(candles: Candles) -> list[Gap]:
    """Return the holes between the first and the last candle, oldest first."""
    step = interval_ms(candles.interval)
    distance = np.diff(candles.open_time)
    return [
        Gap(int(candles.open_time[index]) + step, int(distance[index]) // step - 1)
        for index in np.flatnonzero(distance > step)
    ]


def first_disorder(open_time: NDArray[np.int64]) -> tuple[int, str] | None:
    """Return the index of the first open time that does not follow its predecessor, and why; None when all do."""
    distance = np.diff(open_time)
    wrong = np.flatnonzero(distance <= 0)
    if not len(wrong):
        return None
    index = int(wrong[0])
    return index + 1, "repeats the candle before it" if distance[index] == 0 else "is older than the candle before it"


def _rules(candles: Candles) -> tuple[tuple[str, NDArray[np.bool_]], ...]:
    o, h, low, c, volume = candles.open, candles.high, candles.low, candles.close, candles.volume
    finite = np.isfinite(o) & np.isfinite(h) & np.isfinite(low) & np.isfinite(c) & np.isfinite(volume)
    return (
        ("a value is not a finite number", ~finite),
        ("a price is zero or negative", (o <= 0) | (h <= 0) | (low <= 0) | (c <= 0)),
        ("high is below low", h < low),
        ("high is below open", h < o),
        ("high is below close", h < c),
        ("low is above open", low > o),
        ("low is above close", low > c),
        ("volume is negative", volume < 0),
        ("open time is not on the interval", candles.open_time % interval_ms(candles.interval) != 0),
    )
