"""Parts of a window: what walk-forward tests are run over."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from marketdata.domain.intervals import interval_ms
from trading.services.backtest.plan import BacktestPlan
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

MOST: Final = 100
FEWEST_DECISIONS: Final = 10
"""A part with fewer decisions shows nothing."""


@dataclass(frozen=True, slots=True)
class Fold:
    """A time to learn on, and the time after it to be judged on."""

    learn: BacktestPlan
    judge: BacktestPlan


def parts_of(plan: BacktestPlan, count: int) -> tuple[BacktestPlan, ...]:
    """Return a plan for each of `count` equal parts of the window, one after the other, each from its own capital.

    Raises Rejected for parts that are too many or too short.
    """
    step = interval_ms(plan.interval)
    begin, end = to_ms(plan.start), to_ms(plan.end)
    if not 1 <= count <= MOST or (end - begin) // count < FEWEST_DECISIONS * step:
        text = f"{count} parts are too many for this time: each needs {FEWEST_DECISIONS} decisions of {plan.interval}"
        raise Rejected(f"{text}. Choose fewer, or a longer time.", code="parts")
    edges = [begin + (end - begin) * number // count // step * step for number in range(count)] + [end]
    return tuple(replace(plan, start=from_ms(first), end=from_ms(last)) for first, last in pairwise(edges))


def folds_of(plan: BacktestPlan, count: int) -> tuple[Fold, ...]:
    """Return `count` folds: the window is cut into `count` + 1 equal parts, and each but the first is judged with what was
    learned on the part before it. So nothing is judged on what it was learned from."""
    parts = parts_of(plan, count + 1)
    return tuple(Fold(before, after) for before, after in pairwise(parts))
