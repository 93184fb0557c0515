"""The stationary bootstrap: the same bytes for a seed, blocks that stay together, intervals that hold what they promise."""

from __future__ import annotations

from math import isfinite, isnan, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.domain import bootstrap as module
from trading.domain.bootstrap import (
    block_of,
    bootstrap,
    mean_of_rows,
    paired_difference,
    return_of_rows,
    sharpe_of_rows,
)
from trading.domain.ratios import sharpe_ratio, total_return

RETURNS = st.lists(st.floats(-0.3, 0.3), min_size=2, max_size=40).map(np.array)
FEW = {"draws": 60}


def test_the_same_seed_gives_the_same_and_another_one_another():
    returns = np.random.default_rng(1).normal(0, 0.02, 200)
    one, again = (bootstrap(returns, mean_of_rows, **FEW) for _ in range(2))
    assert one == again
    assert bootstrap(returns, mean_of_rows, seed=2, **FEW) != one


def test_figures_of_a_known_seed_stay_what_they_are():
    found = bootstrap(np.sin(np.arange(300.0)) / 100, mean_of_rows, block=5)
    assert (found.low, found.high) == pytest.approx((-0.000503290611, 0.000582465844), abs=1e-12)
    assert (found.draws, found.block, found.level) == (2_000, 5, 0.95)


def test_draws_are_runs_of_the_series_of_the_length_that_was_asked_for(monkeypatch):
    monkeypatch.setattr(module, "CELLS", 1_000)  # several chunks, of whole rows
    n, seen = 150, []

    def keep(rows):
        seen.append(rows)
        return rows.mean(axis=1)

    bootstrap(np.arange(n, dtype=float), keep, block=6, draws=400)
    rows = np.concatenate(seen[:-1])  # the last one is the series itself
    assert rows.shape == (400, n)
    assert max(len(chunk) for chunk in seen) == 1_000 // n
    follows = (rows[:, 1:] - rows[:, :-1]) % n == 1
    # A block begins with 1/6, and goes on by chance where it begins behind the one before.
    assert follows.mean() == pytest.approx(5 / 6 + 1 / 6 / n, abs=0.005)
    assert np.bincount(rows.astype(int).ravel(), minlength=n).std() / 400 < 0.15, "every period is drawn equally often"
    assert (rows[:, 0] == rows[0, 0]).mean() < 0.1, "a row begins anywhere"


def test_a_series_goes_on_from_its_beginning():
    rows = []
    bootstrap(np.arange(5.0), lambda drawn: rows.append(drawn) or drawn[:, 0], block=5, draws=200)
    steps = np.concatenate([drawn[:, 1:] - drawn[:, :-1] for drawn in rows[:-1]])
    assert -4 in steps
    assert (steps == 1).any()


def test_independent_returns_have_the_interval_of_the_formula():
    returns = np.random.default_rng(3).normal(0.001, 0.01, 1_000)
    found = bootstrap(returns, mean_of_rows, block=1)
    reach = 1.96 * returns.std() / sqrt(1_000)
    assert (found.high - found.low) / 2 == pytest.approx(reach, rel=0.08)
    assert found.low < returns.mean() < found.high


def test_returns_that_follow_each_other_have_a_wider_one_which_blocks_see_and_single_draws_do_not():
    noise = np.random.default_rng(4).normal(0, 0.01, 2_000)
    trending = np.convolve(noise, np.ones(8), "valid")
    single, blocks = (bootstrap(trending, mean_of_rows, block=block) for block in (1, 40))
    assert blocks.high - blocks.low > 2 * (single.high - single.low)


def test_an_interval_holds_the_truth_about_as_often_as_it_says():
    dice = np.random.default_rng(8)
    held = 0
    for _ in range(200):
        found = bootstrap(dice.normal(0.01, 0.1, 120), mean_of_rows, draws=400, level=0.9)
        held += found.low <= 0.01 <= found.high
    assert 160 <= held <= 196


def test_a_difference_to_what_moves_alike_is_known_better_than_the_figure_itself():
    market = np.random.default_rng(9).normal(0, 0.03, 300)
    ours = market + 0.002 + np.random.default_rng(10).normal(0, 0.002, 300)
    alone, over = bootstrap(ours, mean_of_rows), paired_difference(ours, market, mean_of_rows)
    assert over.tells
    assert over.above == 1
    assert over.high - over.low < (alone.high - alone.low) / 5


def test_a_series_that_does_not_move_has_no_ratio():
    found = bootstrap([0.0] * 30, sharpe_of_rows())
    assert (found.draws, found.tells) == (0, False)
    assert isnan(found.low)
    assert isnan(found.above)


@pytest.mark.parametrize(
    ("returns", "more", "told"),
    [
        ([0.1], {}, "two are the fewest"),
        ([0.1, 0.2], {"draws": 0}, "at least one draw"),
        ([0.1, 0.2], {"level": 1.0}, "between 0 and 1"),
        ([0.1, 0.2], {"block": 3}, "from 1 to the 2"),
        ([0.1, 0.2], {"block": 0.5}, "from 1 to the 2"),
    ],
)
def test_what_cannot_be_drawn_is_refused(returns, more, told):
    with pytest.raises(ValueError, match=told):
        bootstrap(returns, mean_of_rows, **more)


def test_a_pair_has_the_same_periods():
    with pytest.raises(ValueError, match="2 returns stand against 3"):
        paired_difference([0.1, 0.2], [0.1, 0.2, 0.3], mean_of_rows)


def test_blocks_are_the_cube_root_long():
    assert [block_of(n) for n in (2, 27, 365, 8_760)] == [1, 3, 7, 21]


@settings(max_examples=40)
@given(RETURNS)
def test_a_difference_of_a_series_to_itself_is_nothing(returns):
    for statistic in (mean_of_rows, return_of_rows):
        found = paired_difference(returns, returns.copy(), statistic, **FEW)
        assert (found.value, found.low, found.high, found.above) == (0, 0, 0, 0)


@settings(max_examples=40)
@given(RETURNS)
def test_no_draw_is_outside_of_what_the_series_can_make(returns):
    found = bootstrap(returns, mean_of_rows, **FEW)
    assert found.low <= found.high
    assert returns.min() - 1e-12 <= found.low
    assert found.high <= returns.max() + 1e-12
    assert 0 <= found.above <= 1


@settings(max_examples=40)
@given(RETURNS)
def test_statistics_of_rows_are_those_of_a_series(returns):
    assert bootstrap(returns, return_of_rows, **FEW).value == pytest.approx(total_return(returns), abs=1e-12)
    of_rows = bootstrap(returns, sharpe_of_rows(252, ddof=0), **FEW).value
    expected = sharpe_ratio(returns, periods_per_year=252, ddof=0)
    if isfinite(expected):
        assert of_rows == pytest.approx(expected, rel=1e-6, abs=1e-9)
    else:
        assert isnan(of_rows), "what does not move has no ratio among draws"
