"""What a unit of an account is worth over time: a curve that deposits and withdrawals do not move."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

EMPTY: Final = 1.0
"""Below this many quote units an account is empty, as for its loss limits."""


def results(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return for every point what a unit has brought since the first one, as a share: never below −1.

    `points` are equity and net deposits so far, oldest first. From point to point a unit keeps what equity is without
    what was paid in meanwhile, as a share of the equity before: the same as a day keeps (`performance.daily_returns`).
    What comes into an empty account is what it begins with.
    """
    unit, told = 1.0, []
    for place, (equity, moved) in enumerate(points):
        before, moved_before = points[max(0, place - 1)]
        paid = moved - moved_before
        base, left = (before, equity - paid) if before >= EMPTY else (before + paid, equity)
        unit *= max(0.0, left / base) if base >= EMPTY else 1.0
        told.append(unit - 1)
    return told


def drawdowns(points: Sequence[tuple[float, float]]) -> list[float]:
    """Return for every point by which share a unit is worth less than at its peak so far: 0 to −1.

    `points` are equity and net deposits so far, oldest first. From point to point a unit changes by what equity gained
    without what was paid in meanwhile, as a share of the equity before (time-weighted return; Bacon, Practical Portfolio
    Performance Measurement, 2008, section 2.3). An account without equity has lost all until money comes in again.
    """
    unit = peak = 1.0
    fallen = []
    before: tuple[float, float] | None = None
    for equity, moved in points:
        if before is not None and before[0] > 0:
            gained = equity - before[0] - (moved - before[1])
            unit = max(0.0, unit * (1 + gained / before[0]))
        elif before is not None and equity > 0:
            unit = peak = 1.0  # it began anew with what was paid in
        peak = max(peak, unit)
        fallen.append(round(unit / peak - 1, 6))
        before = equity, moved
    return fallen
