"""How much a Sharpe ratio proves: its error, and probabilities with the length, the shape and the trials counted. Pure.

Everything is **per period**. A Sharpe ratio of a year set beside the number of days makes seventeen days look like proof: a
common error, so that a ratio is a `PerPeriod` here, which `per_period` makes of one of a year, and stands with its n in a
`Sample`. Sources: D. H. Bailey and M. López de Prado, "The Sharpe Ratio Efficient Frontier" (2012) for PSR and MinTRL, "The
Deflated Sharpe Ratio" (2014) for DSR; the standard error is that of E. Mertens (2002). All take periods as independent.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, e, inf, isfinite, sqrt
from statistics import NormalDist, variance
from typing import Final, NewType

PerPeriod = NewType("PerPeriod", float)
"""A Sharpe ratio that is not annualised."""

NOTHING: Final = PerPeriod(0.0)
CONFIDENCE: Final = 0.95
EULER: Final = 0.5772156649015329
"""The constant of Euler and Mascheroni."""
NORMAL: Final = NormalDist()


def per_period(annual: float, periods_per_year: float) -> PerPeriod:
    """Return the Sharpe ratio of a period, of one of a year."""
    return PerPeriod(annual / sqrt(periods_per_year))


@dataclass(frozen=True, slots=True)
class Sample:
    """A Sharpe ratio, from how many periods it is, and the shape of their returns (normal: 0 and 3)."""

    sharpe: PerPeriod
    n: int
    skewness: float = 0.0
    kurtosis: float = 3.0

    def __post_init__(self) -> None:
        if self.n < 2 or not isfinite(self.sharpe):
            raise ValueError("A Sharpe ratio is taken from two periods at least, whose returns differ.")

    def annual(self, periods_per_year: float) -> float:
        """Return the ratio of a year."""
        return self.sharpe * sqrt(periods_per_year)

    @property
    def scatter(self) -> float:
        """Variance of the ratio × (n − 1): 1 − γ₃·SR + (γ₄ − 1)/4·SR², never below 0."""
        return max(0.0, 1 - self.skewness * self.sharpe + (self.kurtosis - 1) / 4 * self.sharpe**2)

    @property
    def error(self) -> PerPeriod:
        """Standard error of the ratio: √(scatter ÷ (n − 1))."""
        return PerPeriod(sqrt(self.scatter / (self.n - 1)))


def interval(sample: Sample, *, confidence: float = CONFIDENCE) -> tuple[PerPeriod, PerPeriod]:
    """Return the two-sided interval of the ratio by its standard error."""
    reach = NORMAL.inv_cdf(0.5 + confidence / 2) * sample.error
    return PerPeriod(sample.sharpe - reach), PerPeriod(sample.sharpe + reach)


def psr(sample: Sample, benchmark: PerPeriod = NOTHING) -> float:
    """Return the probability that the true ratio lies above `benchmark` (probabilistic Sharpe ratio), 0 to 1."""
    above = sample.sharpe - benchmark
    if not sample.error:
        return 0.5 if not above else float(above > 0)
    return NORMAL.cdf(above / sample.error)


def variance_of(trials: Sequence[PerPeriod]) -> float:
    """Return the variance of the ratios that trials had. Raises ValueError below two of them."""
    if len(trials) < 2:
        raise ValueError("The variance of trials needs two of them.")
    return variance(trials)


def variance_by_chance(n: int) -> float:
    """Return the variance of ratios over n periods of trials that know nothing: 1 ÷ (n − 1), the scatter being 1."""
    return 1 / (n - 1)


def expected_best(trials: int, spread: float) -> PerPeriod:
    """Return the ratio that the best of so many trials without skill is expected to show; 0 for one.

    `spread` is the variance of their ratios: √V·((1 − g)·Φ⁻¹(1 − 1/N) + g·Φ⁻¹(1 − 1/(N·e))), g being Euler's constant.
    """
    if trials < 1:
        raise ValueError("There is one trial at least: the one that is looked at.")
    if trials == 1:
        return NOTHING
    best = (1 - EULER) * NORMAL.inv_cdf(1 - 1 / trials) + EULER * NORMAL.inv_cdf(1 - 1 / (trials * e))
    return PerPeriod(sqrt(spread) * best)


def dsr(sample: Sample, trials: int, spread: float | None = None) -> float:
    """Return the probability that the true ratio is above 0 although the best of so many trials was chosen (deflated).

    `spread` is the variance of the ratios of all trials (`variance_of`). Where only this one is known it is taken as what
    chance alone gives over as many periods (`variance_by_chance`); trials that resemble each other vary less, trials with
    different risk more.
    """
    return psr(sample, expected_best(trials, variance_by_chance(sample.n) if spread is None else spread))


def min_track_record(sample: Sample, benchmark: PerPeriod = NOTHING, *, confidence: float = CONFIDENCE) -> float:
    """Return how many periods prove that the ratio is above `benchmark` (MinTRL); infinity where it is not above.

    1 + scatter × (Φ⁻¹(confidence) ÷ (SR − SR*))²: from as many periods on the PSR is at least `confidence`.
    """
    above = sample.sharpe - benchmark
    if above <= 0:
        return inf
    return 1 + sample.scatter * (NORMAL.inv_cdf(confidence) / above) ** 2


def still_needed(sample: Sample, benchmark: PerPeriod = NOTHING, *, confidence: float = CONFIDENCE) -> int | None:
    """Return how many periods are missing until that is proven, 0 where it is; None where no number would do."""
    enough = min_track_record(sample, benchmark, confidence=confidence)
    return max(0, ceil(enough) - sample.n) if isfinite(enough) else None
