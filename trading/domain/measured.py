"""All figures of a series of equity, of its trades and against a baseline, by one function. Pure.

For live, paper and backtest alike, so that a report, a page and the API show the same (`measured_words` writes it).
What too little is known of is None, and `missing` says why: NaN and infinity do not leave this module.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from math import isfinite, nan, sqrt
from typing import Final

from numpy.typing import ArrayLike

from trading.domain import drawdowns, ratios
from trading.domain.bootstrap import (
    DRAWS,
    SEED,
    Spread,
    Statistic,
    bootstrap,
    paired_difference,
    return_of_rows,
    sharpe_of_rows,
)
from trading.domain.performance import ENOUGH, PER_YEAR
from trading.domain.ratios import Array
from trading.domain.significance import Sample, dsr, expected_best, psr, still_needed, variance_by_chance
from trading.domain.trades import ClosedTrade, TradeFigures, exposure, figures_of, time_in_market, turnover

MOST_DRAWN: Final = 20_000
"""Periods that are drawn from at most: two years of hours."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What a Sharpe ratio proves."""

    sample: Sample
    """The ratio of a period, from how many periods, and the shape of their returns."""
    error: float
    """Standard error of the ratio of a year."""
    psr: float
    """Probability that the true ratio is above 0."""
    trials: int
    spread_known: bool
    """Whether the variance of the trials' ratios is theirs; else it is what chance alone gives over as many periods."""
    by_chance: float
    """Ratio of a year that the best of so many trials without skill is expected to show."""
    dsr: float
    """Probability that the true ratio is above 0, the trials counted."""
    needed: int | None
    """Periods still missing until the PSR is 95 %; None where the ratio is not above 0."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What the bootstrap says. Differences are to the baseline over the same periods, None without one.

    A Sharpe ratio of what does not move is none, so that neither cash nor a difference to it has one.
    """

    returned: Spread | None
    sharpe: Spread | None
    returned_over: Spread | None
    sharpe_over: Spread | None


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of a series. Shares are fractions, annual ones by `periods_per_year`, lengths in periods."""

    periods: int
    periods_per_year: float
    ddof: int
    returned: float | None
    """Compounded return of the whole series."""
    baseline: float | None
    """That of the baseline."""
    cagr: float | None
    volatility: float | None
    sharpe: float | None
    sortino: float | None
    calmar: float | None
    downside_risk: float | None
    omega: float | None
    tail_ratio: float | None
    stability: float | None
    max_drawdown: float | None
    fall: drawdowns.Fall | None
    """The deepest one; None where equity never fell."""
    under_water: float | None
    longest_under_water: int
    proof: Proof | None
    drawn: Drawn | None
    trades: TradeFigures
    turnover: float | None
    exposure: float | None
    time_in_market: float | None
    missing: Mapping[str, str]
    """Why a figure is None, by its name here."""


def measure(
    equity: ArrayLike,
    *,
    periods_per_year: float = PER_YEAR,
    ddof: int = 1,
    trades: Iterable[ClosedTrade] = (),
    baseline: ArrayLike | None = None,
    notional: ArrayLike | None = None,
    span: tuple[datetime, datetime] | None = None,
    trials: int = 1,
    spread_of_trials: float | None = None,
    draws: int = DRAWS,
    seed: int = SEED,
) -> Measured:
    """Return all figures of a series of equity: one point before the first period, and one at the end of each.

    `baseline` is equity, `notional` what was held, both at the same points; `span` is when the series begins and ends.
    `trials` are all that were tried before this one was chosen, `spread_of_trials` is the variance of their Sharpe ratios
    per period where it is known (`significance.variance_of`). `draws` 0 leaves the bootstrap out. Raises ValueError for
    equity that does not begin above 0 or is not finite, and for series of different lengths.
    """
    values, closed = ratios.series(equity), list(trades)
    returns = ratios.returns_of(values)
    other = None if baseline is None else ratios.series(baseline)
    if other is not None and other.size != values.size:
        raise ValueError(f"A baseline has the same points as the series: {other.size} stand against {values.size}.")
    over = None if other is None else ratios.returns_of(other)
    known = Known(returns.size, periods_per_year)
    told, few, brief = known.told, known.few, known.brief
    sample = ratios.sample_of(returns, ddof=ddof) if not few else None
    sharpe = nan if sample is None else sample.annual(periods_per_year)
    falls = drawdowns.falls_of(values)
    grown = ratios.cagr_over(1 + _total(values), returns.size / periods_per_year)
    below = ratios.downside_risk(returns, periods_per_year=periods_per_year)
    upside = ratios.divided(float(returns.mean()) * periods_per_year, below) if returns.size else nan
    traded = figures_of(closed)
    return Measured(
        periods=returns.size,
        periods_per_year=periods_per_year,
        ddof=ddof,
        returned=told("returned", _total(values), "no period is over"),
        baseline=told("baseline", nan if other is None else _total(other), "no baseline is given"),
        cagr=told("cagr", grown, "no period is over", brief),
        volatility=told(
            "volatility", ratios.volatility(returns, periods_per_year=periods_per_year, ddof=ddof), "too large", few
        ),
        sharpe=told("sharpe", sharpe, "nothing moved", few),
        sortino=told("sortino", upside, "no period lost anything", few),
        calmar=told("calmar", grown / falls.depth if falls.depth else nan, "equity never fell", brief),
        downside_risk=told("downside_risk", below, "too large", few),
        omega=told("omega", ratios.omega_ratio(returns), "no period lost anything", few),
        tail_ratio=told("tail_ratio", ratios.tail_ratio(returns), "the bad tail is nothing", few),
        stability=told("stability", ratios.stability(returns), "nothing moved, or everything was lost", few),
        max_drawdown=told("max_drawdown", falls.depth if values.size else nan, "no equity is known"),
        fall=falls.deepest,
        under_water=told("under_water", falls.under_water, "no equity is known"),
        longest_under_water=falls.longest,
        proof=_proof(sample, periods_per_year, trials, spread_of_trials, known),
        drawn=_drawn(returns, over, sharpe_of_rows(periods_per_year, ddof=ddof), draws, seed, known),
        trades=traded,
        turnover=told("turnover", turnover(traded.traded, values), "no equity is known"),
        exposure=told(
            "exposure", nan if notional is None else exposure(notional, values), "what was held is not given"
        ),
        time_in_market=told("time_in_market", time_in_market(closed, *span) if span else nan, "the span is not given"),
        missing=known.missing,
    )


@dataclass(slots=True)
class Known:
    """Keeps what is defined, and notes why the rest is missing."""

    periods: int
    periods_per_year: float
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def few(self) -> str:
        """Why figures of a distribution are missing; "" where they are not."""
        return f"fewer than {ENOUGH} periods" if self.periods < ENOUGH else ""

    @property
    def brief(self) -> str:
        """Why figures that go on for a year are missing; "" where they are not."""
        short = self.periods * PER_YEAR < ENOUGH * self.periods_per_year
        return f"a year cannot be told from less than {ENOUGH} days" if short else ""

    def told(self, name: str, value: float, undefined: str, before: str = "") -> float | None:
        """Return the value; None where there is something `before` it, or where it is `undefined`."""
        if not before and isfinite(value):
            return value
        self.missing[name] = before or undefined
        return None


def _total(values: Array) -> float:
    return max(0.0, float(values[-1] / values[0])) - 1 if values.size > 1 else nan


def _proof(
    sample: Sample | None, periods_per_year: float, trials: int, spread: float | None, known: Known
) -> Proof | None:
    if sample is None:
        known.missing["proof"] = known.few or "nothing moved"
        return None
    best = expected_best(trials, variance_by_chance(sample.n) if spread is None else spread)
    return Proof(
        sample,
        sample.error * sqrt(periods_per_year),
        psr(sample),
        trials,
        spread is not None,
        best * sqrt(periods_per_year),
        dsr(sample, trials, spread),
        still_needed(sample),
    )


def _drawn(returns: Array, over: Array | None, sharpe: Statistic, draws: int, seed: int, known: Known) -> Drawn | None:
    why = known.few or ("no draws were asked for" if not draws else "")
    if why or returns.size > MOST_DRAWN:
        known.missing["drawn"] = why or f"more than {MOST_DRAWN:,} periods: measure hours or days"
        return None

    def alone(statistic: Statistic) -> Spread | None:
        return _defined(bootstrap(returns, statistic, draws=draws, seed=seed))

    def beside(statistic: Statistic) -> Spread | None:
        if over is None:
            return None
        return _defined(paired_difference(returns, over, statistic, draws=draws, seed=seed))

    return Drawn(alone(return_of_rows), alone(sharpe), beside(return_of_rows), beside(sharpe))


def _defined(spread: Spread) -> Spread | None:
    return spread if isfinite(spread.value) and isfinite(spread.low) and isfinite(spread.high) else None
