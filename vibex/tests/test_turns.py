"""Turns on a few threads: nobody has two at once, what is quick waits for nothing long, and a failure is one's own."""

import threading
import time
from collections import Counter

import pytest

from vibex.lib.turns import NEVER, Next, Turns

SECONDS = 10.0


def until(condition):
    ends = time.monotonic() + SECONDS
    while not (found := condition()):
        assert time.monotonic() < ends, "it did not happen"
        time.sleep(0.002)
    return found


class Taker:
    """Notes its turns; may be held in one."""

    def __init__(self, *, wants=lambda long: Next()):
        self.turns, self.at_once, self.most = [], 0, 0
        self.wants = wants
        self.free = threading.Event()
        self.free.set()
        self._lock = threading.Lock()

    def turn(self, *, long):
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        self.turns.append(long)
        self.free.wait(SECONDS)
        with self._lock:
            self.at_once -= 1
        return self.wants(long)


@pytest.fixture
def turns():
    made = Turns("test", short=2, long=2)
    made.start()
    yield made
    made.stop()


def now():
    return time.monotonic()


def long_once(long):
    return Next() if long else Next(long=now())


def test_a_turn_is_given_when_it_is_due_and_not_before(turns):
    taker = Taker()
    at = now() + 0.1
    turns.ask(taker, at)
    until(lambda: taker.turns)
    assert now() >= at


def test_what_is_asked_for_sooner_comes_sooner_and_counts_once(turns):
    taker = Taker()
    turns.ask(taker, now() + 60)
    turns.ask(taker, now())
    until(lambda: taker.turns)
    turns.ask(taker, now() + 0.05)
    until(lambda: len(taker.turns) == 2)
    time.sleep(0.1)
    assert taker.turns == [False, False]


def test_nobody_has_two_turns_at_once_and_what_comes_meanwhile_is_one_more(turns):
    taker = Taker()
    taker.free.clear()
    turns.ask(taker, now())
    until(lambda: taker.turns)
    for _ in range(20):
        turns.ask(taker, now())
    time.sleep(0.05)
    assert len(taker.turns) == 1
    taker.free.set()
    until(lambda: len(taker.turns) == 2)
    time.sleep(0.05)
    assert (len(taker.turns), taker.most) == (2, 1)


def test_a_long_turn_follows_a_short_one_that_wants_it(turns):
    taker = Taker(wants=long_once)
    turns.ask(taker, now())
    until(lambda: taker.turns == [False, True])


@pytest.fixture
def gate(turns):
    """All threads for long turns are taken until it is opened."""
    opened = threading.Event()

    def stay(long):
        if long:
            opened.wait(SECONDS)
            return Next()
        return Next(long=now())

    full = [Taker(wants=stay) for _ in range(2)]
    for one in full:
        turns.ask(one, now())
    until(lambda: all(one.turns == [False, True] for one in full))
    yield opened
    opened.set()


def test_short_turns_go_on_while_all_threads_for_long_ones_are_taken(turns, gate):
    others = [Taker() for _ in range(5)]
    for one in others:
        turns.ask(one, now())
    until(lambda: all(one.turns == [False] for one in others))


def test_one_who_waits_for_a_long_turn_still_has_short_ones(turns, gate):
    waits = Taker(wants=long_once)
    for times in (1, 2):
        turns.ask(waits, now())
        until(lambda number=times: waits.turns == [False] * number)
    gate.set()
    until(lambda: waits.turns == [False, False, True])
    time.sleep(0.05)
    assert (waits.turns, waits.most) == ([False, False, True], 1)


def test_one_that_fails_has_no_more_turns_until_it_asks_and_holds_up_nobody(turns):
    bad, good = Taker(wants=lambda _: 1 / 0), Taker(wants=lambda _: Next(short=now() + 0.01))
    turns.ask(bad, now())
    turns.ask(good, now())
    until(lambda: len(good.turns) > 5)
    assert len(bad.turns) == 1
    turns.ask(bad, now())
    until(lambda: len(bad.turns) == 2)


def test_one_who_is_dropped_has_no_turn_any_more(turns):
    taker = Taker(wants=lambda _: Next())
    turns.ask(taker, now() + 0.1)
    assert turns.drop(taker)
    time.sleep(0.2)
    assert taker.turns == []
    taker.free.clear()
    turns.ask(taker, now())
    until(lambda: taker.turns)
    assert not turns.drop(taker)
    taker.free.set()
    until(lambda: turns.drop(taker))


def test_there_are_no_more_threads_than_are_needed_and_than_may_be():
    before = set(threading.enumerate())
    made = Turns("few", short=3, long=1)
    made.start()
    names = lambda: Counter(one.name.rpartition("-")[0] for one in set(threading.enumerate()) - before)  # noqa: E731
    assert names() == {"few": 1}
    takers = [Taker() for _ in range(10)]
    for one in takers:
        one.free.clear()
        made.ask(one, now())
    until(lambda: sum(len(one.turns) for one in takers) == 3)
    assert names() == {"few": 1, "few-short": 3}
    for one in takers:
        one.free.set()
    until(lambda: all(one.turns for one in takers))
    made.stop()
    until(lambda: not names())


def test_many_takers_have_all_their_turns(turns):
    left = {}

    def wants(taker):
        def after(long):
            left[taker] -= 1
            return Next(short=now() if left[taker] % 3 else NEVER, long=now() if not left[taker] % 3 else NEVER)

        return after

    takers = [Taker() for _ in range(200)]
    for one in takers:
        left[one] = 30
        one.wants = wants(one)
        turns.ask(one, now())
    until(lambda: all(value <= 0 for value in left.values()))
    assert {one.most for one in takers} == {1}
