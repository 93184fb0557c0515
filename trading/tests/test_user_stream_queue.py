"""Events are handed on in the order in which they happened, as far as they are there in time."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading.domain.venue_events import ConfigChanged, Gap
from trading.exchange.aster.event_queue import EventQueue

START = datetime(2025, 10, 10, tzinfo=UTC)


def event(second, text="x"):
    return ConfigChanged(START + timedelta(seconds=second), text)


def test_an_event_waits_for_one_that_happened_before_it():
    queue = EventQueue(hold=0.02, kept=10)
    queue.put(event(2))
    queue.put(event(1))
    assert queue.drain() == []
    assert queue.wait(5)
    assert queue.drain() == [event(1), event(2)]
    assert not queue.wait(0)


def test_what_happened_before_something_ripe_does_not_wait_itself():
    queue = EventQueue(hold=0.02, kept=10)
    queue.put(event(5))
    assert queue.wait(5)
    queue.put(event(3))
    queue.put(event(9))
    assert queue.drain() == [event(3), event(5)]
    assert queue.wait(5)
    assert queue.drain() == [event(9)]


@given(st.lists(st.integers(0, 5)))
def test_nothing_is_lost_and_equal_times_stay_as_they_came(seconds):
    queue = EventQueue(hold=0, kept=1_000)
    events = [event(second, str(place)) for place, second in enumerate(seconds)]
    for one in events:
        assert queue.put(one)
    assert queue.drain() == sorted(events, key=lambda one: one.at)


def test_a_gap_waits_for_nothing_goes_last_and_is_there_once():
    queue = EventQueue(hold=0, kept=10)
    for reason in ("connected", "connected", "garbled"):
        queue.put_gap(START, reason)
    queue.put(event(1))
    assert queue.wait(0)
    assert queue.drain() == [event(1), Gap(START, "connected"), Gap(START, "garbled")]
    queue.put_gap(START, "connected")
    assert queue.drain() == [Gap(START, "connected")]


def test_beyond_its_room_the_oldest_go_and_that_is_said_once():
    queue = EventQueue(hold=0, kept=2)
    assert [queue.put(event(second)) for second in range(5)] == [True, True, False, True, True]
    assert queue.drain() == [event(3), event(4)]
    assert [queue.put(event(second)) for second in range(3)] == [True, True, False]


def test_whoever_waits_is_woken():
    queue = EventQueue(hold=0, kept=2)
    woken = []
    waiting = threading.Thread(target=lambda: woken.append(queue.wait(20)))
    waiting.start()
    queue.put_gap(START, "connected")
    waiting.join(5)
    assert woken == [True]


def test_an_event_is_told_with_the_time_that_it_is_held_and_a_gap_at_once():
    queue, told = EventQueue(hold=0.1, kept=10), []
    queue.when_news(told.append)
    queue.put(event(1))
    queue.put_gap(START, "connected")
    assert told == [0.1, 0.0]


def test_it_says_when_something_can_be_drained():
    queue = EventQueue(hold=60.0, kept=10)
    assert queue.due() is None
    queue.put(event(1))
    assert queue.due() == pytest.approx(60, abs=5)
    assert queue.drain() == []
    assert not queue.wait(0.01)
    queue.put_gap(START, "connected")
    assert (queue.due(), queue.wait(0.0)) == (0.0, True)
    assert len(queue.drain()) == 1
    assert queue.due() == pytest.approx(60, abs=5), "what is held is still there"


def test_what_was_told_may_be_drained_by_whoever_is_told():
    queue, drained = EventQueue(hold=0.0, kept=10), []
    queue.when_news(lambda _: drained.extend(queue.drain()))
    queue.put(event(1))
    assert drained == [event(1)]
    assert queue.due() is None
