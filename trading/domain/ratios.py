"""Figures of a series of returns: one float64 value per period, as a share (0.01 is 1 %). Pure.

Every function takes a series that is one-dimensional and finite, and raises ValueError for any other. NaN stands where a
figure is not defined (too few periods, nothing divided by nothing), ±infinity where something is divided by nothing: faces
write neither. Without more being said a year has 365 days, a period is a day, cash earns nothing, and a deviation is that of
a sample (ddof 1). C. R. Bacon, "Practical Portfolio Performance Measurement and Attribution" (2008), has most formulas.
"""

from __future__ import annotations

from math import expm1, inf, isnan, log, log1p, nan, sqrt
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from trading.domain.performance import PER_YEAR
from trading.domain.significance import PerPeriod, Sample

type Array = NDArray[np.float64]
type Rate = float | Array
"""Of a period: the same for all of them, or one for each."""

STILL: Final = 1e-12
"""A deviation of returns up to this is the rounding of the amounts that they were divided from: nothing moved."""
LARGEST: Final = 700.0
"""Of numbers whose exponential a float can hold."""
TAIL: Final = 0.05
"""Share of the returns that is one tail."""


def series(values: ArrayLike) -> Array:
    """Return the values as a series. Raises ValueError for one that has more dimensions, or a NaN or infinity in it."""
    found: Array = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"A series has one dimension, not {found.ndim}.")
    if not np.isfinite(found).all():
        raise ValueError("A series has no NaN and no infinity: leave out what is not known.")
    return found


def returns_of(equity: ArrayLike) -> Array:
    """Return of each period: equity at its end ÷ equity at its beginning − 1. One value fewer than points of equity.

    Nothing falls below −1, and from an account that is empty nothing comes: 0 for each period after.
    """
    values = series(equity)
    before, after = values[:-1], values[1:]
    if values.size and values.min() > 0:
        returned: Array = after / before
        returned -= 1
        return returned
    left = np.divide(after, before, out=np.ones_like(after), where=before > 0)
    kept: Array = np.maximum(left, 0) - 1
    return kept


def wealth(returns: ArrayLike) -> Array:
    """Return what a unit is worth at the beginning and after each period: one value more than returns."""
    values = series(returns)
    grown = np.empty(values.size + 1)
    grown[0] = 1
    np.cumprod(values + 1, out=grown[1:])
    return grown


# -- how much ----------------------------------------------------------------------------------------------


def total_return(returns: ArrayLike) -> float:
    """Return the compounded return of all periods; NaN without one."""
    values = series(returns)
    return float(np.prod(values + 1)) - 1 if values.size else nan


def cagr(returns: ArrayLike, *, periods_per_year: float = PER_YEAR) -> float:
    """Return the compounded return of a year (compound annual growth rate): (1 + total)^(periods per year ÷ n) − 1."""
    values = series(returns)
    return cagr_over(1 + total_return(values), values.size / periods_per_year) if values.size else nan


def cagr_over(multiple: float, years: float) -> float:
    """Return the return of a year where money became so many times itself in so many years; −1 where nothing is left."""
    if years <= 0:
        return nan
    if multiple <= 0:
        return -1.0
    power = log(multiple) / years
    return expm1(power) if power < LARGEST else inf


# -- how much for which risk -------------------------------------------------------------------------------


def volatility(returns: ArrayLike, *, periods_per_year: float = PER_YEAR, ddof: int = 1) -> float:
    """Return the standard deviation of a year: that of the returns × √(periods per year)."""
    values = series(returns)
    return _deviation(values, ddof) * sqrt(periods_per_year)


def sharpe_ratio(
    returns: ArrayLike, *, risk_free: Rate = 0.0, periods_per_year: float = PER_YEAR, ddof: int = 1
) -> float:
    """Return the Sharpe ratio of a year: mean of the excess ÷ its standard deviation × √(periods per year).

    W. F. Sharpe (1994, "The Sharpe Ratio"). `risk_free` is of a period.
    """
    excess = series(returns) - risk_free
    if excess.size < 2:
        return nan
    return divided(float(excess.mean()), _deviation(excess, ddof)) * sqrt(periods_per_year)


def downside_risk(returns: ArrayLike, *, required: Rate = 0.0, periods_per_year: float = PER_YEAR) -> float:
    """Return √(mean of the squares of what falls short of `required`) × √(periods per year), over all n periods.

    F. A. Sortino and R. van der Meer (1991, "Downside Risk"). `required` is of a period.
    """
    short = series(returns) - required
    np.minimum(short, 0, out=short)
    return sqrt(_together(short, short) / short.size * periods_per_year) if short.size else nan


def sortino_ratio(returns: ArrayLike, *, required: Rate = 0.0, periods_per_year: float = PER_YEAR) -> float:
    """Return the Sortino ratio of a year: mean above `required` × periods per year ÷ downside risk."""
    values = series(returns)
    if values.size < 2:
        return nan
    mean = float((values - required).mean())
    below = downside_risk(values, required=required, periods_per_year=1)
    return divided(mean, below) * sqrt(periods_per_year)


def calmar_ratio(returns: ArrayLike, *, periods_per_year: float = PER_YEAR) -> float:
    """Return the return of a year ÷ the deepest fall (T. W. Young, 1991); NaN where nothing fell."""
    grown = wealth(returns)
    deepest = float((1 - grown / np.maximum.accumulate(grown)).max())
    return cagr(returns, periods_per_year=periods_per_year) / deepest if deepest > 0 else nan


def omega_ratio(
    returns: ArrayLike,
    *,
    risk_free: Rate = 0.0,
    required_of_year: float = 0.0,
    periods_per_year: float = PER_YEAR,
) -> float:
    """Return the sum of what lies above a threshold ÷ the sum of what lies below; NaN where nothing does.

    C. Keating and W. F. Shadwick (2002, "A Universal Performance Measure"). The threshold of a period is `risk_free` plus
    what compounds to `required_of_year`.
    """
    values = series(returns)
    if values.size < 2 or required_of_year <= -1:
        return nan
    beyond = values - (risk_free + expm1(log1p(required_of_year) / periods_per_year))
    above = float(np.maximum(beyond, 0).sum())
    below = -float(np.minimum(beyond, 0, out=beyond).sum())
    return above / below if below > 0 else nan


# -- how it was spread -------------------------------------------------------------------------------------


def tail_ratio(returns: ArrayLike) -> float:
    """Return |95th percentile| ÷ |5th percentile| of the returns: above 1 the good tail is the longer one."""
    values = series(returns)
    if not values.size:
        return nan
    ordered = np.sort(values)
    return divided(abs(_quantile(ordered, 1 - TAIL)), abs(_quantile(ordered, TAIL)))


def stability(returns: ArrayLike) -> float:
    """Return how well a straight line fits the cumulative log returns, as R² from 0 to 1.

    NaN below two periods, after a total loss, and where nothing moved.
    """
    values = series(returns)
    count = values.size
    if count < 2 or values.min() <= -1:
        return nan
    height = np.log1p(values)
    np.cumsum(height, out=height)
    height -= height.mean()
    place = np.arange(count, dtype=np.float64)
    place -= (count - 1) / 2
    squares = _together(height, height)
    if squares <= STILL**2 * count:
        return nan
    return _together(place, height) ** 2 / (count * (count**2 - 1) / 12) / squares


def sample_of(returns: ArrayLike, *, ddof: int = 1) -> Sample | None:
    """Return what probability statements need of a series; None below two periods, or where nothing moved.

    The Sharpe ratio is that of a period, not of a year. Skewness and kurtosis are those of the population (normal: 0 and 3).
    """
    values = series(returns)
    if values.size < 2:
        return None
    mean = float(values.mean())
    apart = values - mean
    squares = apart * apart
    variance = float(squares.mean())
    if sqrt(variance) <= STILL:
        return None
    deviation = sqrt(variance * values.size / (values.size - ddof))
    return Sample(
        PerPeriod(mean / deviation),
        values.size,
        _together(squares, apart) / values.size / variance**1.5,
        _together(squares, squares) / values.size / variance**2,
    )


def _together(left: Array, right: Array) -> float:
    """Return the sum of products. Not `dot`, whose threads wait for each other and round by how many they are."""
    return float(np.einsum("i,i->", left, right))


def _quantile(ordered: Array, share: float) -> float:
    """Return what lies at a share of the way through sorted values, on the straight line between two of them."""
    place, part = divmod(share * (ordered.size - 1), 1)
    at = int(place)
    low, high = float(ordered[at]), float(ordered[min(at + 1, ordered.size - 1)])
    return low + (high - low) * part


def _deviation(values: Array, ddof: int) -> float:
    return float(values.std(ddof=ddof)) if values.size > ddof else nan


def divided(part: float, of: float) -> float:
    """Divide; where nothing moved, what is there stands against no risk at all."""
    if of > STILL:
        return part / of
    if isnan(part) or abs(part) <= STILL:
        return nan
    return inf if part > 0 else -inf
