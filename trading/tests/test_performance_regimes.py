"""Regimes are told from what was known before the day, and results are sorted by them without a remainder."""

from __future__ import annotations

from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain.performance import ENOUGH
from trading.domain.ratios import sharpe_ratio, total_return
from trading.domain.regimes import BEFORE, RULE, Regime, by_regime, regimes

FIRST = date(2026, 1, 1)
UP, DOWN, SIDEWAYS, UNKNOWN = Regime.UP, Regime.DOWN, Regime.SIDEWAYS, Regime.UNKNOWN


def days(values, first=FIRST):
    return [(first + timedelta(days=place), value) for place, value in enumerate(values)]


def walk(count, drift=0.0, seed=1):
    return 100 * np.exp(np.cumsum(np.random.default_rng(seed).normal(drift, 0.03, count)))


def labels(closes, **more):
    return list(regimes(days(closes), **more).values())


def test_a_market_that_rises_is_up_and_one_that_falls_is_down():
    assert labels(1.01 ** np.arange(60))[BEFORE + 1 :] == [UP] * 40
    assert labels(0.99 ** np.arange(60))[BEFORE + 1 :] == [DOWN] * 40
    assert labels([100.0] * 60)[BEFORE + 1 :] == [SIDEWAYS] * 40
    assert labels([100.0, 101.0] * 30)[BEFORE + 1 :] == [SIDEWAYS] * 40


def test_the_first_days_are_not_known_and_the_day_after_the_last_one_is():
    told = regimes(days(walk(50)))
    assert list(told)[-1] == FIRST + timedelta(days=50)
    assert [day for day, regime in told.items() if regime is UNKNOWN] == [day for day, _ in days(range(BEFORE + 1))]
    assert labels(walk(BEFORE)) == [UNKNOWN] * (BEFORE + 1)
    assert regimes([]) == {}


def test_the_rule_is_what_it_says_it_is():
    closes = walk(200, seed=3)
    told = labels(closes)
    for day in range(BEFORE + 1, 201):
        moves = np.diff(np.log(closes[day - BEFORE - 1 : day]))
        trend, reach = moves.sum(), 0.5 * moves.std(ddof=1) * BEFORE**0.5
        assert told[day] is (SIDEWAYS if abs(trend) <= reach else UP if trend > 0 else DOWN)
    assert {UP, DOWN, SIDEWAYS} == set(told[BEFORE + 1 :])
    assert "20 days before" in RULE
    assert "0.5 ×" in RULE


def test_without_a_trend_each_regime_is_about_as_frequent():
    told = labels(walk(20_000))
    shares = [told.count(regime) / len(told) for regime in (UP, DOWN, SIDEWAYS)]
    assert shares == pytest.approx([0.31, 0.31, 0.38], abs=0.03)


@settings(max_examples=40)
@given(st.integers(0, 100), st.integers(30, 99), st.floats(0.01, 100))
def test_nothing_that_comes_later_changes_a_label(seed, day, factor):
    closes = walk(100, seed=seed)
    poisoned = closes.copy()
    poisoned[day:] *= factor
    poisoned[-1] *= 1e9
    assert labels(closes)[: day + 1] == labels(poisoned)[: day + 1], "the close of the day itself is not known either"


@pytest.mark.parametrize(
    ("closes", "told"),
    [
        ([*days([1.0]), *days([1.0], FIRST + timedelta(days=2))], "without a gap"),
        (days([1.0, 0.0]), "above 0"),
        (days([1.0, float("nan")]), "no NaN"),
    ],
)
def test_what_is_no_series_of_days_is_refused(closes, told):
    with pytest.raises(ValueError, match=told):
        regimes(closes)
    with pytest.raises(ValueError, match="two days at least"):
        regimes(days([1.0, 2.0]), before=1)


def test_results_are_sorted_by_regime():
    returns = days(np.random.default_rng(2).normal(0.001, 0.02, 100))
    told = {day: (UP if place < 60 else DOWN) for place, (day, _) in enumerate(returns) if place < 80}
    rows = by_regime(returns, told, [(FIRST, True), (FIRST, False), (FIRST + timedelta(days=70), True)])
    assert [(row.regime, row.days) for row in rows] == [(UP, 60), (DOWN, 20), (UNKNOWN, 20)]
    first = [value for _, value in returns[:60]]
    assert rows[0].returned == pytest.approx(total_return(first))
    assert rows[0].sharpe == pytest.approx(sharpe_ratio(first))
    assert 20 < ENOUGH
    assert rows[1].sharpe is None
    assert [(row.hits.part, row.hits.whole) for row in rows] == [(1, 2), (1, 1), (0, 0)]
    assert 0 < rows[0].drawdown < 1


@settings(max_examples=40)
@given(st.integers(0, 1000), st.integers(1, 150))
def test_all_regimes_together_are_the_whole(seed, count):
    returns = days(np.random.default_rng(seed).normal(0, 0.02, count))
    rows = by_regime(returns, regimes(days(walk(count, seed=seed))))
    assert sum(row.days for row in rows) == count
    together = np.prod([1 + row.returned for row in rows]) - 1
    assert together == pytest.approx(total_return([value for _, value in returns]), abs=1e-9)
    assert all(0 <= row.drawdown <= 1 for row in rows)
