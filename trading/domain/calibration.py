"""Whether stated confidence was worth anything: how often trades won, by how sure the model said it was. Pure.

The Brier score is the mean of (stated − outcome)², outcome 1 for a trade that won and 0 for one that did not (Brier 1950,
"Verification of forecasts expressed in terms of probability"): 0 is perfect, and a coin that always says 0.5 has 0.25.
Beside it stands the score of somebody who says the hit rate itself every time, which is rate × (1 − rate): who knows
something about a single trade is below it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from decisions.domain.shares import Share

BUCKETS: Final = 10
"""Buckets of the same width from 0 to 1."""
FEW: Final = 30
"""Below so many trades nobody can tell skill from luck."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """Trades whose stated confidence lies from `low` to below `high` (the last one with 1)."""

    low: float
    high: float
    stated: float
    """Mean of what was stated, from 0 to 1."""
    hits: Share
    """How many of them won, with the Wilson interval."""

    @property
    def verdict(self) -> str:
        """What the interval says of what was stated: "too sure", "too unsure", or "" where it may have been right."""
        if self.stated > self.hits.high:
            return "too sure"
        return "too unsure" if self.stated < self.hits.low else ""


@dataclass(frozen=True, slots=True)
class Calibration:
    """All buckets that have a trade, the least sure first. `brier` and `base` are None where there is no trade."""

    buckets: tuple[Bucket, ...] = ()
    hits: Share = Share(0, 0)
    stated: float | None = None
    brier: float | None = None
    base: float | None = None
    """Brier score of the hit rate itself."""

    @property
    def few(self) -> bool:
        return self.hits.whole < FEW


def calibration_of(trades: Iterable[tuple[float, bool]]) -> Calibration:
    """Return how well confidence fitted. `trades` are pairs of stated confidence and whether the trade won.

    What is no number from 0 to 1 states no probability and is left out.
    """
    told = [(stated, won) for stated, won in trades if 0.0 <= stated <= 1.0]
    if not told:
        return Calibration()
    groups: defaultdict[int, list[tuple[float, bool]]] = defaultdict(list)
    for stated, won in told:
        groups[_place(stated)].append((stated, won))
    hits = _hits(told)
    rate = hits.part / hits.whole
    return Calibration(
        tuple(_bucket(place, groups[place]) for place in sorted(groups)),
        hits,
        stated=_mean_stated(told),
        brier=sum((stated - won) ** 2 for stated, won in told) / len(told),
        base=rate * (1 - rate),
    )


def _place(stated: float) -> int:
    # 0.7 × 10 is 7.000000000000001 in some and 6.999999999999999 in other spellings: a bucket begins at its own edge.
    return min(BUCKETS - 1, int(stated * BUCKETS + 1e-9))


def _bucket(place: int, trades: list[tuple[float, bool]]) -> Bucket:
    return Bucket(place / BUCKETS, (place + 1) / BUCKETS, _mean_stated(trades), _hits(trades))


def _hits(trades: list[tuple[float, bool]]) -> Share:
    return Share(sum(won for _, won in trades), len(trades))


def _mean_stated(trades: list[tuple[float, bool]]) -> float:
    return sum(stated for stated, _ in trades) / len(trades)
