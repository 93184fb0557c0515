"""A candle is revealed along one path, and never more of it than has happened."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.path import Forming, reveal, seen_until
from marketdata.tests.build import same, walk

TICK = 0.1
ticks = st.integers(1, 5_000)


@st.composite
def candle(draw):
    low, *inside, high = sorted(draw(st.lists(ticks, min_size=4, max_size=4)))
    opened, close = draw(st.permutations(inside))
    return Forming(opened / 10, high / 10, low / 10, close / 10, 12.0)


@given(candle(), st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_what_is_known_only_grows_and_ends_as_the_candle(whole, moments):
    known = [reveal(whole, elapsed=moment, tick=TICK) for moment in [*sorted(moments), 1.0]]
    for earlier, later in pairwise(known):
        assert earlier.open == later.open == whole.open
        assert earlier.high <= later.high <= whole.high
        assert earlier.low >= later.low >= whole.low
        assert earlier.volume <= later.volume
        assert later.low <= later.close <= later.high
    assert known[-1] == whole


@given(candle(), st.floats(0, 1))
def test_every_price_is_on_the_tick(whole, moment):
    seen = reveal(whole, elapsed=moment, tick=TICK)
    for price in (seen.high, seen.low, seen.close):
        assert price == round(price, 1)


def test_a_rising_candle_sees_its_low_first():
    rising = Forming(100.0, 110.0, 95.0, 105.0, 9.0)
    early = reveal(rising, elapsed=0.2, tick=TICK)
    assert early.high == 100.0
    assert early.low == 95.0


def test_a_falling_candle_sees_its_high_first():
    falling = Forming(100.0, 110.0, 95.0, 99.0, 9.0)
    early = reveal(falling, elapsed=0.3, tick=TICK)
    assert early.low == 100.0
    assert early.high > 105.0


def test_before_it_begins_only_the_open_is_known():
    assert reveal(Forming(100.0, 110.0, 95.0, 105.0, 9.0), elapsed=0.0, tick=TICK) == Forming(100, 100, 100, 100, 0)


def test_a_flat_candle_stays_flat():
    assert reveal(Forming(3.0, 3.0, 3.0, 3.0, 0.0), elapsed=0.5, tick=TICK) == Forming(3, 3, 3, 3, 0)


@pytest.mark.parametrize("minutes", [60, 61, 90, 119])
def test_of_a_series_nothing_later_is_seen(minutes):
    hours = walk(5)
    now = int(hours.open_time[0]) + minutes * 60_000
    seen = seen_until(hours, now, tick=TICK)
    assert same(seen.slice(0, 1), hours.slice(0, 1))
    assert len(seen) == (1 if minutes == 60 else 2)
    assert len(seen.closed_before(now)) == 1


def test_of_a_series_that_has_not_begun_nothing_is_seen():
    hours = walk(5)
    assert len(seen_until(hours, int(hours.open_time[0]), tick=TICK)) == 0
    assert np.shares_memory(seen_until(hours, 2**60, tick=TICK).close, hours.close)
