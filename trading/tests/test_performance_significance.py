"""What a Sharpe ratio proves: the values that were computed beforehand, and what has to hold of any."""

from __future__ import annotations

from math import inf, isinf, sqrt
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain import performance
from trading.domain.ratios import sample_of
from trading.domain.significance import (
    NOTHING,
    PerPeriod,
    Sample,
    dsr,
    expected_best,
    interval,
    min_track_record,
    per_period,
    psr,
    still_needed,
    variance_by_chance,
    variance_of,
)

YEAR = 365
RATIOS = st.floats(-1, 1).map(PerPeriod)
LENGTHS = st.integers(2, 5_000)


@st.composite
def samples(draw, ratios=RATIOS):
    skewness = draw(st.floats(-3, 3))
    # No distribution has less kurtosis than its squared skewness and one.
    return Sample(draw(ratios), draw(LENGTHS), skewness, 1 + skewness**2 + draw(st.floats(0, 10)))


def daily(annual: float, days: int) -> Sample:
    """Daily returns as they are in this market: skewed to the left, with heavy tails."""
    return Sample(per_period(annual, YEAR), days, -0.5, 8.0)


# -- the table of the research -----------------------------------------------------------------------------


@pytest.mark.parametrize(("annual", "days"), [(1, 1_019), (1.5, 462), (2, 266), (3, 124), (4, 74)])
def test_days_that_prove_a_ratio_above_nothing(annual, days):
    assert round(min_track_record(daily(annual, 30))) == days


@pytest.mark.parametrize(("days", "known"), [(17, 0.72), (30, 0.79), (90, 0.92), (180, 0.98)])
def test_probability_of_a_window_that_shows_an_annual_three(days, known):
    assert round(psr(daily(3, days)), 2) == known


def test_probability_of_a_year_that_shows_an_annual_three():
    assert round(psr(daily(3, 365)), 3) == 0.998


@pytest.mark.parametrize(("days", "half"), [(17, 9.5), (30, 7.1), (90, 4.0), (180, 2.8), (365, 2.0)])
def test_half_the_width_of_the_interval_of_a_year(days, half):
    # The table has it for a true annual ratio of 1: at 3 it would be a twentieth wider.
    low, high = interval(daily(1, days))
    assert round((high - low) / 2 * sqrt(YEAR), 1) == half


@pytest.mark.parametrize(("days", "trials", "known"), [(17, 6, 0.26), (30, 24, 0.14), (90, 6, 0.57), (180, 6, 0.78), (180, 24, 0.55)])  # fmt: skip
def test_probability_with_the_trials_counted(days, trials, known):
    assert round(dsr(daily(3, days), trials), 2) == known


def test_the_best_of_six_without_skill_shows_an_annual_six_in_seventeen_days():
    best = expected_best(6, variance_by_chance(17))
    assert round(best * sqrt(YEAR), 1) == 6.2


# -- what it means -----------------------------------------------------------------------------------------


def test_the_expected_best_is_what_a_simulation_finds():
    dice = np.random.default_rng(5)
    best = dice.normal(0, 0.3, (40_000, 20)).max(axis=1).mean()
    assert expected_best(20, 0.09) == pytest.approx(best, rel=0.02)


def test_the_error_is_what_a_simulation_finds():
    dice = np.random.default_rng(6)
    drawn = dice.exponential(1, (4_000, 250)) - 0.9  # skewness 2, kurtosis 9, mean 0.1, deviation 1
    found = (drawn.mean(axis=1) / drawn.std(axis=1, ddof=1)).std()
    assert Sample(PerPeriod(0.1), 250, 2, 9).error == pytest.approx(found, rel=0.05)


def test_it_is_the_interval_that_bots_have_on_the_leaderboard():
    returns = np.random.default_rng(7).normal(0.002, 0.02, 90)
    low, high = interval(sample_of(returns))
    shown = performance.sharpe(returns.tolist())
    assert (shown.low, shown.high) == pytest.approx((low * sqrt(YEAR), high * sqrt(YEAR)))
    assert shown.value == pytest.approx(sample_of(returns).annual(YEAR))


def test_a_ratio_of_a_year_and_one_of_a_period_are_told_apart():
    sample = Sample(per_period(1.91, YEAR), 100)
    assert sample.sharpe == pytest.approx(0.1, abs=1e-3)
    assert sample.annual(YEAR) == pytest.approx(1.91)


def test_the_variance_of_trials_is_that_of_a_sample():
    trials = [PerPeriod(0.1), PerPeriod(0.2), PerPeriod(0.6)]
    assert variance_of(trials) == pytest.approx(0.07)
    with pytest.raises(ValueError, match="needs two"):
        variance_of(trials[:1])


@pytest.mark.parametrize(("sharpe", "n"), [(0.1, 1), (inf, 30), (float("nan"), 30)])
def test_a_ratio_without_periods_or_without_an_end_is_none(sharpe, n):
    with pytest.raises(ValueError, match="two periods"):
        Sample(PerPeriod(sharpe), n)


def test_there_is_one_trial_at_least():
    assert expected_best(1, 0.5) == 0
    with pytest.raises(ValueError, match="one trial"):
        expected_best(0, 0.5)


def test_what_is_not_above_will_never_be_proven():
    assert isinf(min_track_record(daily(-1, 100)))
    assert still_needed(daily(0, 100)) is None
    assert still_needed(daily(3, 100)) == 24 + 1  # 124.1 days: the 125th proves it
    assert still_needed(daily(3, 500)) == 0


# -- properties --------------------------------------------------------------------------------------------


@given(samples(st.floats(1e-3, 1).map(PerPeriod)), st.integers(1, 1_000))
def test_more_of_the_same_good_proves_more(sample, more):
    longer = Sample(sample.sharpe, sample.n + more, sample.skewness, sample.kurtosis)
    assert psr(longer) >= psr(sample) >= 0.5


@given(samples(), st.integers(2, 10_000))
def test_trials_take_away(sample, trials):
    assert 0 <= dsr(sample, trials) <= psr(sample, NOTHING) <= 1
    assert dsr(sample, 1) == psr(sample, NOTHING)
    assert dsr(sample, trials + 1, 0.1) <= dsr(sample, trials, 0.1)


@given(samples(st.floats(0.01, 1).map(PerPeriod)))
def test_as_many_periods_as_are_needed_are_enough_and_one_fewer_is_not(sample):
    enough = still_needed(sample) + sample.n
    as_long = [Sample(sample.sharpe, n, sample.skewness, sample.kurtosis) for n in (enough, enough - 1) if n >= 2]
    assert psr(as_long[0]) >= 0.95 - 1e-9
    if enough > sample.n and len(as_long) == 2:
        assert psr(as_long[1]) < 0.95 + 1e-9


@settings(max_examples=30)
@given(samples(), RATIOS)
def test_a_higher_mark_is_passed_with_less_probability(sample, mark):
    assert psr(sample, PerPeriod(mark + 0.1)) <= psr(sample, mark)
    if sample.error:
        expected = NormalDist(mark, sample.error).cdf(sample.sharpe)
        assert psr(sample, mark) == pytest.approx(expected, abs=1e-9)
