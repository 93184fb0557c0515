"""Intervals without a formula: the stationary block bootstrap. Pure, and the same bytes for the same seed.

D. N. Politis and J. P. Romano, "The Stationary Bootstrap" (1994): a draw is made of blocks of the series, each beginning
anywhere, going on past the end from the beginning, and with a length that is geometric with mean `block`. So what follows
on each other stays together, as it must where volatility comes in spells.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import nan, sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.domain.performance import PER_YEAR
from trading.domain.ratios import STILL, Array, series

DRAWS: Final = 2_000
SEED: Final = 1994
LEVEL: Final = 0.95
CELLS: Final = 1 << 17
"""Returns that are drawn at once: 1 MB, and as much again for each step of a statistic. What a seed gives depends on it."""

type Statistic = Callable[[Array], Array]
"""Takes draws as rows (k, n), returns a value for each (k,)."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure and how it spreads over the draws."""

    value: float
    """Of the series itself."""
    low: float
    high: float
    """Between which `level` of the draws lie (percentiles, nearest rank). NaN where no draw has a value."""
    above: float
    """Share of the draws above 0."""
    draws: int
    """Those that have a value."""
    block: float
    level: float

    @property
    def tells(self) -> bool:
        """Whether the interval lies on one side of nothing."""
        return self.low > 0 or self.high < 0


def block_of(n: int) -> float:
    """Return the mean length of blocks where none is asked for: the cube root of n, the order that is optimal."""
    return max(1.0, float(round(n ** (1 / 3))))


def bootstrap(
    returns: ArrayLike,
    statistic: Statistic,
    *,
    draws: int = DRAWS,
    block: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Spread:
    """Return a figure of a series with its interval. Raises ValueError below two periods, or for wrong settings."""
    values = series(returns)
    length = _checked(values.size, draws, block, level)
    found = np.concatenate([statistic(rows) for (rows,) in _drawn((values,), draws, length, seed)])
    return _spread(_once(statistic, values), found, length, level)


def paired_difference(
    returns: ArrayLike,
    baseline: ArrayLike,
    statistic: Statistic,
    *,
    draws: int = DRAWS,
    block: float | None = None,
    level: float = LEVEL,
    seed: int = SEED,
) -> Spread:
    """Return by how much a figure of a series is above that of a baseline over the same periods, with its interval.

    Both are drawn from the same blocks: what moved both takes itself away. Raises ValueError for different lengths.
    """
    ours, theirs = series(returns), series(baseline)
    if ours.size != theirs.size:
        raise ValueError(f"A pair has the same periods: {ours.size} returns stand against {theirs.size}.")
    length = _checked(ours.size, draws, block, level)
    pairs = _drawn((ours, theirs), draws, length, seed)
    found = np.concatenate([statistic(left) - statistic(right) for left, right in pairs])
    return _spread(_once(statistic, ours) - _once(statistic, theirs), found, length, level)


# -- statistics of rows ------------------------------------------------------------------------------------


def mean_of_rows(rows: Array) -> Array:
    """Return the mean of each row."""
    mean: Array = rows.mean(axis=1)
    return mean


def return_of_rows(rows: Array) -> Array:
    """Return what each row compounds to, less the unit that it began with."""
    grown: Array = np.prod(rows + 1, axis=1) - 1
    return grown


def sharpe_of_rows(periods_per_year: float = PER_YEAR, *, ddof: int = 1) -> Statistic:
    """Return the statistic "Sharpe ratio of a year", over cash that earns nothing. NaN for a row that does not move."""

    def of(rows: Array) -> Array:
        mean, deviation = rows.mean(axis=1), rows.std(axis=1, ddof=ddof)
        moves = deviation > STILL
        found: Array = np.full(len(rows), nan)
        np.divide(mean * sqrt(periods_per_year), deviation, out=found, where=moves)
        return found

    return of


# -- draws -------------------------------------------------------------------------------------------------


def _drawn(together: tuple[Array, ...], draws: int, block: float, seed: int) -> Iterator[tuple[Array, ...]]:
    """Yield the draws in chunks, of all series the same periods."""
    n = together[0].size
    # Twice the series end to end: a block that goes on past the end needs no division.
    doubled = [np.concatenate((values, values)) for values in together]
    random = np.random.default_rng(seed)
    at_once = max(1, CELLS // n)
    for done in range(0, draws, at_once):
        rows = min(at_once, draws - done)
        places = _places(random, rows, n, block)
        yield tuple(values.take(places).reshape(rows, n) for values in doubled)


def _places(random: np.random.Generator, rows: int, n: int, block: float) -> NDArray[np.int64]:
    """Return rows × n places of a series that is laid end to end with itself, one row after the other."""
    begins = random.random(rows * n, dtype=np.float32) < 1 / block
    begins[::n] = True
    at = np.flatnonzero(begins)
    # A block ends with its row at the latest, so that it is at most n long and stays within twice the series.
    lengths = np.diff(at, append=rows * n)
    shift = random.integers(n, size=at.size) - at
    places: NDArray[np.int64] = np.repeat(shift, lengths)
    places += np.arange(rows * n)
    return places


def _checked(n: int, draws: int, block: float | None, level: float) -> float:
    if n < 2:
        raise ValueError(f"{n} periods cannot be drawn from: two are the fewest.")
    if draws < 1 or not 0 < level < 1:
        raise ValueError("There is at least one draw, and a level lies between 0 and 1.")
    if block is not None and not 1 <= block <= n:
        raise ValueError(f"The mean length of a block is from 1 to the {n} periods, not {block:g}.")
    return block_of(n) if block is None else block


def _once(statistic: Statistic, values: Array) -> float:
    return float(statistic(values.reshape(1, -1))[0])


def _spread(value: float, found: Array, block: float, level: float) -> Spread:
    known = np.sort(found[~np.isnan(found)])
    if not known.size:
        return Spread(value, nan, nan, nan, 0, block, level)
    low, high = np.quantile(known, ((1 - level) / 2, (1 + level) / 2), method="inverted_cdf")
    above = float(np.count_nonzero(known > 0)) / known.size
    return Spread(value, float(low), float(high), above, known.size, block, level)
