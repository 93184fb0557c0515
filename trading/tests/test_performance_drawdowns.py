"""Falls: how deep, from where to where, and for how long."""

from __future__ import annotations

from decimal import Decimal as D
from itertools import pairwise
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.drawdowns import Fall, below_peak, falls_of, max_fall
from trading.domain.performance import max_drawdown

EQUITY = st.lists(st.integers(1, 60), min_size=1, max_size=60)


def test_a_fall_has_a_peak_a_trough_and_a_way_back():
    falls = falls_of([100, 120, 90, 60, 100, 120, 130, 65, 70])
    assert falls.deepest == Fall(0.5, peak=1, trough=3, recovery=5, end=8)
    assert (falls.deepest.falling, falls.deepest.recovering, falls.deepest.lasted) == (2, 2, 4)
    assert (falls.depth, falls.longest) == (0.5, 4)
    assert falls.under_water == pytest.approx(5 / 9)


def test_a_fall_that_lasts_has_no_recovery_and_counts_so_far():
    deepest = falls_of([100, 100, 80, 90, 95]).deepest
    assert deepest == Fall(pytest.approx(0.2), peak=1, trough=2, recovery=None, end=4)
    assert (deepest.recovering, deepest.lasted) == (None, 3)


def test_a_fall_begins_at_the_peak_and_not_near_it():
    assert falls_of([90, 100, 98, 50]).deepest == Fall(0.5, peak=1, trough=3, recovery=None, end=3)


def test_what_only_rises_never_was_under_water():
    falls = falls_of([1, 2, 2, 3])
    assert (falls.deepest, falls.depth, falls.under_water, falls.longest) == (None, 0, 0, 0)


def test_more_than_all_cannot_be_lost():
    assert max_fall([100, -50]) == 1
    assert below_peak([100, 50, 0]).tolist() == [0, 0.5, 1]


def test_without_equity_nothing_is_known_and_from_nothing_there_is_no_share():
    falls = falls_of([])
    assert falls.deepest is None
    assert isnan(falls.under_water)
    assert isnan(max_fall([]))
    with pytest.raises(ValueError, match="begins above 0"):
        falls_of([0, 1])


@given(EQUITY)
def test_all_of_it_agrees_with_a_plain_walk_through_the_points(equity):
    falls = falls_of(equity)
    assert 0 <= falls.depth <= 1
    assert falls.depth == max_fall(equity) == pytest.approx(float(max_drawdown([D(value) for value in equity])))
    peak, since, longest, below = equity[0], 0, 0, 0
    for place, value in enumerate(equity):
        if value >= peak:
            peak, since = value, place
        else:
            below += 1
        # Under water since the last peak, up to here, or to the point where it is back.
        longest = max(longest, place - since)
    back = [place for place, value in enumerate(equity) if value >= max(equity[: place + 1])]
    between = max((b - a for a, b in pairwise(back) if b - a > 1), default=0)
    assert falls.longest == max(longest, between)
    assert falls.under_water == pytest.approx(below / len(equity))


@given(EQUITY)
def test_the_deepest_fall_is_where_it_says(equity):
    fall = falls_of(equity).deepest
    if fall is None:
        assert equity == sorted(equity)
        return
    assert fall.depth == pytest.approx(1 - equity[fall.trough] / equity[fall.peak])
    assert equity[fall.peak] == max(equity[: fall.trough + 1])
    between = equity[fall.peak + 1 : fall.recovery]
    assert max(between) < equity[fall.peak]
    assert min(between) == equity[fall.trough]
    if fall.recovery is not None:
        assert equity[fall.recovery] >= equity[fall.peak]


@given(EQUITY, st.floats(0.001, 1000))
def test_a_fall_does_not_depend_on_the_size_of_the_account(equity, scale):
    assert max_fall(np.array(equity) * scale) == pytest.approx(max_fall(equity), abs=1e-9)
