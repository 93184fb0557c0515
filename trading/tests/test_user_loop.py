"""Many user streams on one loop: one thread for all, and what hangs for one holds up no other and no end."""

import socket
import threading
from contextlib import ExitStack
from dataclasses import replace

import pytest

from trading.exchange.aster import user_loop
from trading.exchange.aster.user_stream import AsterUserStream
from trading.tests.signed_kit import exchange_with, newcomer
from trading.tests.user_stream_kit import QUICK, SECONDS, Ear, keys_of, listening

pytestmark = pytest.mark.ci

LOOP = "user-streams-loop"


@pytest.fixture(scope="module")
def exchange():
    with exchange_with() as running:
        yield running


@pytest.fixture
def trader(exchange):
    return newcomer(exchange)


def loops():
    return [thread for thread in threading.enumerate() if thread.name == LOOP]


def until(condition):
    """Wait for what happens in other threads."""
    pause = threading.Event()
    for _ in range(int(SECONDS / 0.01)):
        if found := condition():
            return found
        pause.wait(0.01)
    pytest.fail("it did not happen")


class Hung:
    """A desk whose keys do not come until it is let go."""

    user = "0xhung"

    def __init__(self):
        self.asked, self.go_on = threading.Event(), threading.Event()

    def obtain(self):
        self.asked.set()
        self.go_on.wait(SECONDS)
        return "late"

    def prolong(self): ...

    def close(self): ...


@pytest.fixture
def hung():
    desk = Hung()
    yield desk
    desk.go_on.set()


def test_many_streams_have_one_thread_that_ends_with_the_last(exchange):
    before = exchange.control.connections()
    with ExitStack() as stack:
        ears = [stack.enter_context(listening(newcomer(exchange))) for _ in range(20)]
        assert len(loops()) == 1
        until(lambda: exchange.control.connections() == before + 20)
        ears[0].stream.stop()
        assert all(ear.stream.connected() for ear in ears[1:])
        assert not ears[0].stream.connected()
    until(lambda: not loops())
    until(lambda: exchange.control.connections() == before)


def test_one_that_gets_no_answer_makes_room_for_the_next(trader, hung, monkeypatch):
    monkeypatch.setattr(user_loop, "ASKED_AT_ONCE", 1)
    monkeypatch.setattr(user_loop, "ASK_SECONDS", 0.1)
    until(lambda: not loops())
    waits = AsterUserStream(trader.exchange.ws, hung, pace=QUICK)
    waits.start()
    try:
        assert hung.asked.wait(SECONDS)
        with listening(trader):
            assert not waits.connected()
        assert not hung.go_on.is_set()
        hung.go_on.set()
        Ear(waits).until(lambda one: one.gaps())
    finally:
        assert waits.stop()


def test_a_name_whose_look_up_hangs_holds_up_no_other_stream_and_no_end(trader, monkeypatch):
    look_up, hangs, go_on = socket.getaddrinfo, threading.Event(), threading.Event()

    def sometimes(host, *rest, **more):
        if host == "hangs.test":
            hangs.set()
            go_on.wait(SECONDS)
            raise socket.gaierror(socket.EAI_AGAIN, "no answer")
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", sometimes)
    lost = [AsterUserStream("ws://hangs.test:1", keys_of(newcomer(trader.exchange)), pace=QUICK) for _ in range(12)]
    for one in lost:
        one.start()
    try:
        assert hangs.wait(SECONDS)
        there = trader.exchange.ws.replace("127.0.0.1", "localhost")  # a name that has to be looked up as well
        stream = AsterUserStream(there, keys_of(trader), pace=QUICK)
        stream.start()
        Ear(stream).until(lambda one: one.gaps() == ["connected"])
        assert stream.stop()
    finally:
        assert all(one.stop() for one in lost)
        assert not go_on.is_set()
        until(lambda: not loops())
        go_on.set()


def test_a_look_up_that_takes_too_long_is_given_up_and_begun_anew(trader, monkeypatch):
    monkeypatch.setattr(user_loop, "LOOK_UP_SECONDS", 0.05)
    until(lambda: not loops())
    look_up, times, go_on = socket.getaddrinfo, [], threading.Event()

    def once(host, *rest, **more):
        if host != "localhost":
            return look_up(host, *rest, **more)
        times.append(host)
        if len(times) == 1:
            go_on.wait(SECONDS)
        return look_up(host, *rest, **more)

    there = trader.exchange.ws.replace("127.0.0.1", "localhost")
    stream = AsterUserStream(there, keys_of(trader), pace=QUICK)
    monkeypatch.setattr(socket, "getaddrinfo", once)
    stream.start()
    try:
        Ear(stream).until(lambda one: one.gaps() == ["connected"])
        assert len(times) >= 2
        assert stream.complaints.counts["connect"] >= 1
    finally:
        go_on.set()
        assert stream.stop()


def test_a_stream_that_stops_while_one_connection_takes_over_from_another_leaves_none(trader):
    before = trader.exchange.control.connections()
    with listening(trader, pace=replace(QUICK, life=0.1, overlap=60.0)):
        until(lambda: trader.exchange.control.connections() == before + 2)
    until(lambda: trader.exchange.control.connections() == before)


def test_a_fault_of_ours_in_one_stream_ends_no_other(trader, monkeypatch):
    class Broken(Hung):
        tries = 0

        def obtain(self):
            self.tries += 1
            raise ZeroDivisionError

    broken = Broken()
    stream = AsterUserStream(trader.exchange.ws, broken, pace=QUICK)
    stream.start()
    try:
        with listening(trader):
            until(lambda: broken.tries >= 3)
            assert stream.problem() == "a fault of ours, see the log"
    finally:
        assert stream.stop()
    assert stream.problem() == "stopped"


def test_a_stop_may_only_be_begun_and_asked_for(trader, hung):
    stream = AsterUserStream(trader.exchange.ws, keys_of(trader), pace=QUICK)
    assert stream.stop(0), "one that never began has ended"
    stream.start()
    Ear(stream).until(lambda one: one.gaps())
    stream.stop(0)
    assert until(lambda: stream.stop(0))
    assert not stream.connected()
