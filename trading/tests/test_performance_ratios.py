"""Figures of a series agree with known answers, and with what they mean."""

from __future__ import annotations

import json
from math import inf, isnan, nan, sqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from trading.domain import ratios
from trading.domain.drawdowns import max_fall

PERIODS = {"daily": 252, "weekly": 52, "monthly": 12, "yearly": 1}
"""What these cases call a year."""
RETURNS = st.lists(st.floats(-0.5, 0.5), min_size=2, max_size=120).map(np.array)


# -- every case of empyrical -------------------------------------------------------------------------------


def compounded(returns, _):
    """A period of which nothing is known is one in which nothing was earned: the time counts."""
    return np.nan_to_num(returns), None


def spread(returns, beside):
    """A period of which nothing is known is left out, also where it is not known what it stands beside."""
    missing = np.isnan(returns) | (np.isnan(beside) if isinstance(beside, np.ndarray) else False)
    return returns[~missing], beside[~missing] if isinstance(beside, np.ndarray) else beside


METRICS = {
    "max_drawdown": (compounded, lambda r, _, year, case: -max_fall(ratios.wealth(r)) if r.size else nan),
    "annual_return": (compounded, lambda r, _, year, case: ratios.cagr(r, periods_per_year=year)),
    "cagr": (compounded, lambda r, _, year, case: ratios.cagr(r, periods_per_year=year)),
    "calmar_ratio": (compounded, lambda r, _, year, case: ratios.calmar_ratio(r, periods_per_year=year)),
    "annual_volatility": (spread, lambda r, _, year, case: ratios.volatility(r, periods_per_year=year)),
    "sharpe_ratio": (spread, lambda r, free, year, case: ratios.sharpe_ratio(r, risk_free=free, periods_per_year=year)),
    "downside_risk": (
        spread,
        lambda r, need, year, case: ratios.downside_risk(r, required=need, periods_per_year=year),
    ),
    "sortino_ratio": (
        spread,
        lambda r, need, year, case: ratios.sortino_ratio(r, required=need, periods_per_year=year),
    ),
    "omega_ratio": (
        spread,
        lambda r, free, year, case: ratios.omega_ratio(
            r, risk_free=free, required_of_year=case["required_return"], periods_per_year=year
        ),
    ),
    # The value of the file counts the period of which nothing is known as 0; the library itself leaves it out: 0.9557.
    "tail_ratio": (compounded, lambda r, _, year, case: ratios.tail_ratio(r)),
    "stability_of_timeseries": (spread, lambda r, _, year, case: ratios.stability(r)),
}
# In all others what stands beside is the risk-free rate, and a required return of omega is that of a year.
REQUIRED = ("downside_risk", "sortino_ratio")


def read(part, series):
    """Return a series of the file, or the number that stands in its place."""
    if not isinstance(part, dict):
        return part
    values = series[part["series"]]["values"] if "series" in part else part["values"]
    return np.array([nan if value is None else value for value in values], dtype=float)


def test_every_case_of_empyrical_comes_out(shared_data):
    file = json.loads(Path(shared_data / "metrics" / "empyrical_cases.json").read_text())
    seen = set()
    for case in file["cases"]:
        seen.add(case["metric"])
        expected = np.array(case["expected"], dtype=float)  # "NaN" and "Infinity" are spelled as Python reads them
        if case["metric"] == "simple_returns":
            found = ratios.returns_of(read(case["prices"], file["series"]))
        else:
            known, figure = METRICS[case["metric"]]
            beside = case.get("required_return" if case["metric"] in REQUIRED else "risk_free", 0.0)
            returns, beside = known(read(case["returns"], file["series"]), read(beside, file["series"]))
            found = figure(returns, beside, PERIODS[case.get("period", "daily")], case)
        assert found == pytest.approx(expected, rel=1e-9, abs=1e-12, nan_ok=True), case
    assert len(file["cases"]) == 69
    assert seen == {*METRICS, "simple_returns"}


# -- what a series is --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [[0.1, nan], [inf, 0.1], [0.1, -inf], [[0.1], [0.2]]])
def test_a_series_is_finite_and_has_one_dimension(bad):
    with pytest.raises(ValueError, match="A series has"):
        ratios.sharpe_ratio(bad)


def test_an_empty_series_has_no_figures_and_does_not_warn():
    figures = (
        ratios.total_return, ratios.cagr, ratios.volatility, ratios.sharpe_ratio, ratios.downside_risk,
        ratios.sortino_ratio, ratios.calmar_ratio, ratios.omega_ratio, ratios.tail_ratio, ratios.stability,
    )  # fmt: skip
    assert all(isnan(figure([])) for figure in figures)
    assert ratios.sample_of([]) is None
    assert ratios.returns_of([]).size == ratios.returns_of([100.0]).size == 0
    assert ratios.wealth([]).tolist() == [1]


def test_an_empty_account_earns_nothing_and_loses_no_more_than_all():
    assert ratios.returns_of([100, 50, 0, 0, 80]).tolist() == [-0.5, -1, 0, 0]
    assert ratios.returns_of([100, -20, -30]).tolist() == [-1, 0]
    assert ratios.total_return([0.5, -1.0, 0.0]) == -1
    assert ratios.cagr([0.5, -1.0, 0.0]) == -1
    assert isnan(ratios.stability([0.5, -1.0, 0.0]))


def test_a_return_of_minutes_does_not_overflow_when_it_is_that_of_a_year():
    assert ratios.cagr([0.5, 0.5], periods_per_year=525_600) == inf
    assert isnan(ratios.cagr_over(1.2, 0))


def test_nothing_lies_below_a_required_loss_of_all():
    assert isnan(ratios.omega_ratio([0.1, -0.1], required_of_year=-1))


def test_deviations_are_of_a_sample_unless_said_otherwise():
    returns = [0.01, -0.02, 0.03, 0.0]
    assert ratios.volatility(returns) == pytest.approx(np.std(returns, ddof=1) * sqrt(365))
    assert ratios.volatility(returns, ddof=0, periods_per_year=1) == pytest.approx(np.std(returns))
    assert ratios.sharpe_ratio(returns, ddof=0) == pytest.approx(np.mean(returns) / np.std(returns) * sqrt(365))
    assert isnan(ratios.volatility([0.01]))


def test_what_moves_by_rounding_alone_does_not_move():
    rounded = ratios.returns_of(100 * 1.01 ** np.arange(50))
    assert np.ptp(rounded) > 0, "else this tests nothing"
    assert ratios.sharpe_ratio(rounded) == inf
    assert ratios.sample_of(rounded) is None


def test_skewness_and_kurtosis_are_those_of_the_population():
    # Bernoulli with p = 1/4: skewness (1 − 2p)/√(pq), kurtosis 3 + (1 − 6pq)/(pq).
    sample = ratios.sample_of([0.0, 0.0, 0.0, 1.0] * 25)
    assert sample.n == 100
    assert sample.skewness == pytest.approx(0.5 / sqrt(0.1875))
    assert sample.kurtosis == pytest.approx(3 + (1 - 6 * 0.1875) / 0.1875)
    assert sample.sharpe == pytest.approx(0.25 / (sqrt(0.1875) * sqrt(100 / 99)))


def test_tails_are_compared_by_percentiles_between_which_a_line_is_drawn():
    returns = np.linspace(-1, 3, 41)[::-1]
    assert ratios.tail_ratio(returns) == pytest.approx(np.percentile(returns, 95) / -np.percentile(returns, 5))
    assert ratios.tail_ratio([0.0, 0.0, 0.0, 0.0]) != ratios.tail_ratio([0.0, 0.0, 0.0, 0.0]), "nothing by nothing"
    assert ratios.tail_ratio([0.0] * 20 + [0.5] * 4) == inf


# -- properties --------------------------------------------------------------------------------------------


@given(RETURNS, st.floats(0.1, 1.9))
def test_a_sharpe_ratio_does_not_depend_on_leverage(returns, scale):
    assume(returns.std() > 1e-6)
    one = ratios.sharpe_ratio(returns)
    assert ratios.sharpe_ratio(returns * scale) == pytest.approx(one, rel=1e-6, abs=1e-9)
    assert ratios.sharpe_ratio(-returns) == pytest.approx(-one, rel=1e-9, abs=1e-12)


@given(RETURNS)
def test_figures_that_say_the_same_agree(returns):
    grown = ratios.wealth(returns)
    assert ratios.returns_of(grown) == pytest.approx(returns, abs=1e-9)
    assert ratios.total_return(returns) == pytest.approx(grown[-1] - 1, rel=1e-9, abs=1e-12)
    assert ratios.cagr(returns, periods_per_year=returns.size) == pytest.approx(ratios.total_return(returns), rel=1e-6)
    assert ratios.downside_risk(returns) <= sqrt(np.mean(returns**2) * 365) + 1e-12
    stable = ratios.stability(returns)
    assert isnan(stable) or -1e-9 <= stable <= 1 + 1e-9
    omega = ratios.omega_ratio(returns)
    assert isnan(omega) or omega >= 0


@given(RETURNS, st.integers(2, 10_000))
def test_more_periods_in_a_year_multiply_the_ratio_by_the_root(returns, year):
    assume(returns.std() > 1e-6)
    one = ratios.sharpe_ratio(returns, periods_per_year=1)
    assert ratios.sharpe_ratio(returns, periods_per_year=year) == pytest.approx(one * sqrt(year), rel=1e-9, abs=1e-12)
    assert ratios.sample_of(returns).sharpe == pytest.approx(one, rel=1e-9, abs=1e-12)
