"""All figures of a million points of equity, and an interval of a year of hourly returns."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.report import Table, against
from benchmarks.timing import in_turns
from trading.domain.bootstrap import DRAWS, bootstrap, paired_difference, return_of_rows, sharpe_of_rows
from trading.domain.measured import measure as measured
from trading.domain.ratios import returns_of

POINTS = 1_000_000
HOURS = 8_760
MINUTES = 525_600
OF_FIGURES = 0.1
OF_DRAWS = 1.0
"""Seconds that are allowed."""
ROUNDS = 11


def measure() -> list[Table]:
    equity = walk(POINTS)
    hours, other = returns_of(walk(HOURS + 1, seed=8)), returns_of(walk(HOURS + 1, seed=9))
    sharpe = sharpe_of_rows(HOURS)
    calls: dict[str, Callable[[], object]] = {
        f"all figures of {POINTS:,} points of equity": partial(measured, equity, periods_per_year=MINUTES),
        f"Sharpe ratio, {DRAWS:,} draws of {HOURS:,} returns": partial(bootstrap, hours, sharpe),
        f"return, {DRAWS:,} draws of {HOURS:,} returns": partial(bootstrap, hours, return_of_rows),
        f"difference of two Sharpe ratios, {DRAWS:,} draws": partial(paired_difference, hours, other, sharpe),
    }
    found = in_turns(calls, rounds=ROUNDS)
    rows = tuple(_row(name, seconds) for name, seconds in found.items())
    note = (
        f"Processor time of one thread, median of {ROUNDS} rounds in turns. The figures are those of `measure` without trades "
        "and without draws, its checks included. Draws are those of the stationary bootstrap in blocks of 21 hours on average."
    )
    return [Table("Figures of performance", ("what", "time", "bar"), rows, (note,))]


def walk(count: int, seed: int = 7) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Return so many points of equity of a random walk that could be an account's."""
    moves = np.random.default_rng(seed).normal(1e-6, 2e-4, count)
    equity: np.ndarray[tuple[int], np.dtype[np.float64]] = 10_000 * np.exp(np.cumsum(moves))
    return equity


def _row(name: str, seconds: float) -> tuple[str, ...]:
    limit = OF_FIGURES if name.startswith("all") else OF_DRAWS
    return name, f"{seconds * 1e3:,.0f} ms", f"≤ {limit * 1e3:,.0f} ms: {against(seconds, limit)}"
