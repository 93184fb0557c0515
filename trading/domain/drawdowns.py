"""Falls of a series of equity from its peaks: how deep, from where to where, and how long it was under water. Pure.

Equity is a float64 series; places are indices into it, lengths are counted in periods (steps from one point to the next).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import ArrayLike

from trading.domain.ratios import Array, series


@dataclass(frozen=True, slots=True)
class Fall:
    """A fall from a peak to a trough, and back, if it came back."""

    depth: float
    """Share of the peak that was lost, 0 to 1."""
    peak: int
    """Where equity last was at its peak."""
    trough: int
    recovery: int | None
    """Where equity first was at the peak again; None where it never was."""
    end: int
    """Last place of the series."""

    @property
    def falling(self) -> int:
        """Periods from peak to trough."""
        return self.trough - self.peak

    @property
    def recovering(self) -> int | None:
        """Periods from trough to recovery, None while it lasts."""
        return None if self.recovery is None else self.recovery - self.trough

    @property
    def lasted(self) -> int:
        """Periods from the peak to the recovery, or so far."""
        return (self.end if self.recovery is None else self.recovery) - self.peak


@dataclass(frozen=True, slots=True)
class Falls:
    """What a series lost on the way."""

    deepest: Fall | None
    """The first of equally deep ones; None where equity never fell."""
    under_water: float
    """Share of points at which equity is below its peak so far; NaN without equity."""
    longest: int
    """Most periods from one peak until equity was there again, or until the end; 0 where it never fell."""

    @property
    def depth(self) -> float:
        """Share of its peak that the deepest fall lost, 0 to 1."""
        return self.deepest.depth if self.deepest else 0.0


def falls_of(equity: ArrayLike) -> Falls:
    """Return all falls of a series at once. Raises ValueError where the first equity is not above 0."""
    values = _begun(equity)
    if not values.size:
        return Falls(None, nan, 0)
    peaks = np.maximum.accumulate(values)
    at_peak = np.flatnonzero(values >= peaks)
    lost = _lost(values, peaks)
    between = int(np.diff(at_peak).max(initial=0))
    # From one peak straight to the next is no time under water.
    longest = max(between if between > 1 else 0, values.size - 1 - int(at_peak[-1]))
    return Falls(_deepest(values, lost), 1 - at_peak.size / values.size, longest)


def below_peak(equity: ArrayLike) -> Array:
    """Return by which share of its peak so far equity is lower, at every point: 0 to 1.

    Raises ValueError where the first equity is not above 0: there is no share of nothing.
    """
    values = _begun(equity)
    return _lost(values, np.maximum.accumulate(values))


def max_fall(equity: ArrayLike) -> float:
    """Return the deepest fall from a peak as a share of it, 0 to 1; NaN without equity."""
    lost = below_peak(equity)
    return float(lost.max()) if lost.size else nan


def _begun(equity: ArrayLike) -> Array:
    values = series(equity)
    if values.size and values[0] <= 0:
        raise ValueError("A series of equity begins above 0: take it from the first deposit on.")
    return values


def _lost(values: Array, peaks: Array) -> Array:
    lost = values / peaks
    np.subtract(1, lost, out=lost)
    return np.minimum(lost, 1, out=lost)


def _deepest(values: Array, lost: Array) -> Fall | None:
    trough = int(lost.argmax())
    if not lost[trough]:
        return None
    before, after = values[: trough + 1], values[trough:]
    top = before.max()
    peak = trough - int(np.argmax(before[::-1] == top))
    back = after >= top
    recovery = trough + int(back.argmax()) if back.any() else None
    return Fall(float(lost[trough]), peak, trough, recovery, values.size - 1)
