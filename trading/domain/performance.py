"""Figures about a series of equity. Formulas with their source; conventions beside the figure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import fsum, prod, sqrt
from typing import Final, NamedTuple

from decisions.domain.shares import Share
from trading.domain.significance import PerPeriod, Sample


def max_drawdown(equity: Sequence[Decimal]) -> Decimal:
    """Return the deepest fall from an earlier peak as a share of that peak: 0 for a series that never falls."""
    peak, deepest, none = None, Decimal(0), Decimal(0)
    for value in equity:
        if peak is None or value > peak:
            peak = value
        elif peak > none and (fall := (peak - value) / peak) > deepest:
            deepest = fall
    return deepest


EMPTY: Final = 1.0
"""Below this many quote units an account is empty, as for its loss limits."""
TINY: Final = 1e-18
"""Squares of returns below this are the rounding of floats."""
Z_95: Final = 1.959963984540054
"""Of the normal distribution: 95 % lie within so many standard deviations."""


def wilson(won: int, of: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a share by E. B. Wilson (1927), which holds for few trials too; None without any."""
    share = Share(won, of)
    return (share.low, share.high) if of else None


def ratio(part: Decimal, of: Decimal) -> float | None:
    """Return a share as a float; None of nothing."""
    return float(part / of) if of else None


# -- results beside what they varied -----------------------------------------------------------------------

PER_YEAR: Final = 365
"""Days of a year on which crypto trades: all of them."""
CONVENTION: Final = "Returns are per period and compounded; a year has 365 days; cash earns 0 %; deviations are those of a sample (n − 1)."
"""What figures here and in `ratios` are computed by, for faces to show beside them."""
ENOUGH: Final = 30
"""Days below which a Sharpe ratio says nothing: its interval would reach from very good to very bad."""


@dataclass(frozen=True, slots=True)
class Sharpe:
    """Sharpe ratio of a year with its 95 % interval, and the days it was taken from."""

    value: float
    low: float
    high: float
    days: int

    @property
    def tells(self) -> bool:
        """Whether the interval lies on one side of nothing."""
        return self.low > 0 or self.high < 0


def sharpe(returns: Sequence[float]) -> Sharpe | None:
    """Return the Sharpe ratio of daily returns over cash at 0 %; None below ENOUGH days, or where nothing varied.

    Mean ÷ standard deviation (of a sample), times √365. The interval is value ± 1.96 standard errors, which E. Mertens
    (2002, "Comments on variance of the IID estimator in Lo (2002)") gives for returns that need not be normal:
    √((1 − skewness × S + (kurtosis − 1) ÷ 4 × S²) ÷ (n − 1)) for the ratio S of a day, as everywhere (`significance`).
    For normal returns that is the one of A. W. Lo (2002, "The Statistics of Sharpe Ratios"). It takes the days as
    independent of each other.
    """
    count = len(returns)
    if count < ENOUGH:
        return None
    mean = fsum(returns) / count
    spread = [each - mean for each in returns]
    square = fsum(each**2 for each in spread)
    if square <= TINY * count:
        return None
    deviation = sqrt(square / count)
    skewness = fsum(each**3 for each in spread) / count / deviation**3
    kurtosis = fsum(each**4 for each in spread) / count / deviation**4
    daily = mean / sqrt(square / (count - 1))
    error = Sample(PerPeriod(daily), count, skewness, kurtosis).error
    value, reach, year = daily, Z_95 * error, sqrt(PER_YEAR)
    return Sharpe(value * year, (value - reach) * year, (value + reach) * year, count)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean with its 95 % interval by the normal distribution, and the number of days it is taken from."""

    value: float
    low: float
    high: float
    days: int

    @property
    def tells(self) -> bool:
        """Whether the interval lies on one side of nothing."""
        return self.low > 0 or self.high < 0


def mean_of(values: Sequence[float]) -> Mean | None:
    """Return the mean of days with its interval; None below ENOUGH days. It takes them as independent of each other."""
    count = len(values)
    if count < ENOUGH:
        return None
    mean = fsum(values) / count
    reach = Z_95 * sqrt(fsum((each - mean) ** 2 for each in values) / (count - 1) / count)
    return Mean(mean, mean - reach, mean + reach, count)


def daily_returns(days: Iterable[tuple[EquityOfDay, float]]) -> list[float]:
    """Return the result of each day ÷ equity when it began, net of transfers and of what models cost on it (the second)."""
    return [_kept(day) - 1 - (cost / day.first if day.first >= EMPTY else 0.0) for day, cost in days]


def compounded(returns: Iterable[float]) -> float:
    """Return what became of a unit, less that unit: never below −1."""
    return max(0.0, prod(1 + each for each in returns)) - 1


# -- falls ------------------------------------------------------------------------------------------------


class EquityOfDay(NamedTuple):
    """Equity of a day in floats: enough for a share, and a year of it is read in a moment."""

    first: float
    last: float
    lowest: float
    highest: float
    transfers: float


@dataclass(frozen=True, slots=True)
class Doubt:
    """A day whose low may have followed its own high: then the fall is `worst`."""

    place: int
    worst: float
    peak: float
    """Highest value of a unit before the day."""
    scale: float
    """Value of a unit ÷ equity on this day."""


def falls(days: Sequence[EquityOfDay]) -> tuple[float, list[Doubt]]:
    """Return the deepest fall of a unit of the account that days alone prove, and the days that may hide a deeper one.

    A unit is worth 1 when the first day begins and is not moved by deposits. On a day with transfers only its end counts:
    which part of its range they made is not known from the day.
    """
    unit, peak, deepest = 1.0, 1.0, 0.0
    doubts: list[Doubt] = []
    for place, day in enumerate(days):
        if not day.transfers and day.first >= EMPTY:
            scale = unit / day.first
            low, high = day.lowest * scale, day.highest * scale
            deepest = max(deepest, 1 - low / peak)
            if high > peak:
                doubts.append(Doubt(place, 1 - low / high, peak, scale))
                peak = high
        unit *= _kept(day)
        peak = max(peak, unit)
        deepest = max(deepest, 1 - unit / peak)
    doubts = [doubt for doubt in doubts if doubt.worst > deepest]
    return min(1.0, deepest), sorted(doubts, key=lambda doubt: -doubt.worst)


def fall_within(doubt: Doubt, path: Iterable[float]) -> float:
    """Return the deepest fall on a day, by its equity in the order of time."""
    peak, deepest = doubt.peak, 0.0
    for equity in path:
        value = equity * doubt.scale
        peak = max(peak, value)
        deepest = max(deepest, 1 - value / peak)
    return deepest


def _kept(day: EquityOfDay) -> float:
    """Return what is left of each quote unit at the end of a day, as losses are counted: never below 0."""
    base, left = (day.first, day.last - day.transfers) if day.first >= EMPTY else (day.first + day.transfers, day.last)
    return max(0.0, left / base) if base >= EMPTY else 1.0
