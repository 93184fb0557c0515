"""A live account that is only listened to: what happens on the exchange is in the books, and mended there, within seconds."""

import time
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal as D

import pytest
from django.db import DatabaseError

from accounts.models import Incident
from trading.exchange.aster.user_connection import UserPace
from trading.models import IncomeEntry, Lock, Position, UserStreamState
from trading.services import user_streams
from trading.services.user_streams import UserStreams
from trading.tests.live_kit import BUY, SYMBOL, USER, books_tie_out, live_house, nothing_hangs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci, pytest.mark.postgres]

GOAL = 5.0
"""Seconds from flat to no order of ours left."""
PACE = UserPace(first_pause=0.01, longest_pause=0.1, overlap=0.05, quiet=1.0)


class Listened:
    """A house whose account is listened to."""

    def __init__(self):
        factory = user_streams.user_stream_for

        def quick(account):
            stream = factory(account)
            stream.pace = PACE
            return stream

        self.streams = UserStreams(quick)

    def __enter__(self):
        self.streams.start()
        self.until(lambda: self.seen(lambda: UserStreamState.objects.filter(caught_up_at__isnull=False).exists()))
        return self

    def __exit__(self, *_):
        assert self.streams.stop()

    def until(self, condition, seconds=20.0):
        began = time.monotonic()
        while not (found := condition()):
            assert time.monotonic() - began < seconds, "it did not happen"
            time.sleep(0.02)
        return found, time.monotonic() - began

    def seen(self, read):
        """Read while other threads write: SQLite in memory refuses at once instead of waiting."""
        with suppress(DatabaseError):
            return read()
        return None

    def booked_flat(self):
        return self.seen(lambda: not Position.objects.filter(closed__isnull=True).exists())


@pytest.fixture(params=["v3", "v1"])
def house(request, monkeypatch):
    with live_house(monkeypatch, generation=request.param) as made:
        yield made


@pytest.fixture
def alone(monkeypatch):
    with live_house(monkeypatch) as made:
        yield made


def all_is_well(house):
    books_tie_out(house)
    nothing_hangs(house)
    assert house.incidents() == set()
    assert house.sent_twice() == []


def test_after_a_stop_has_fired_its_sibling_goes_within_five_seconds(house):
    house.cycle(BUY)
    assert len(house.truth.working()) == 2
    with Listened() as listened:
        house.at(97_900)
        assert house.held() == 0
        _, seconds = listened.until(lambda: not house.truth.working())
        listened.until(listened.booked_flat)
    assert seconds < GOAL
    assert Position.objects.get().exit_reason == "stop"
    all_is_well(house)


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "lose", "count": 2},
        {"kind": "duplicate"},
        {"kind": "reorder", "count": 2, "after": 2},
        {"kind": "delay", "count": 2, "seconds": 0.5},
        {"kind": "corrupt"},
        {"kind": "silence", "seconds": 1.5},
    ],
    ids=lambda fault: fault["kind"],
)
def test_faults_of_the_stream_change_nothing_of_the_end(alone, fault):
    alone.cycle(BUY)
    with Listened() as listened:
        alone.served.control.stream_fault(**fault)
        alone.at(104_100)
        assert alone.held() == 0
        listened.until(lambda: not alone.truth.working())
        listened.until(listened.booked_flat)
    assert Position.objects.get().exit_reason == "target"
    all_is_well(alone)


@pytest.mark.parametrize("break_off", ["cut", "expire"])
def test_what_happens_while_nothing_is_heard_is_caught_up_with(alone, break_off):
    alone.cycle(BUY)
    with Listened() as listened:
        alone.served.control.fault("503", path="*/listenKey", count=3)
        if break_off == "cut":
            alone.served.control.cut()
        else:
            alone.served.control.expire_listen_key(USER)
        alone.at(97_900)
        listened.until(lambda: not alone.truth.working())
        listened.until(listened.booked_flat)
    all_is_well(alone)


def test_a_deposit_is_in_the_ledger_at_once(alone):
    alone.cycle(BUY)
    with Listened() as listened:
        alone.served.control.deposit(USER, 50)
        listened.until(lambda: listened.seen(lambda: IncomeEntry.objects.filter(amount=D(50)).exists()))
    all_is_well(alone)


def test_a_stop_that_somebody_cancelled_is_placed_again(alone):
    alone.cycle(BUY)
    with Listened() as listened:
        stop = next(one for one in alone.truth.working() if one.type == "STOP_MARKET")
        alone.world.exchange.cancel(symbol=SYMBOL, client_order_id=stop.client_order_id)
        listened.until(lambda: alone.stops() == [D(98_000)])
    all_is_well(alone)


def test_a_liquidation_is_told_and_locks_the_symbol(alone):
    alone.cycle(BUY)
    for one in alone.truth.working():  # somebody takes the protection away, and then it is too late
        alone.world.exchange.cancel(symbol=SYMBOL, client_order_id=one.client_order_id)
    alone.at(45_000)
    assert alone.held() == 0
    with Listened() as listened:
        listened.until(lambda: listened.seen(Lock.objects.filter(symbol=SYMBOL).exists))
    assert Position.objects.get().exit_reason == "liquidation"
    incident = Incident.objects.get(kind="liquidation")
    assert incident.severity == "critical"
    assert [(lock.symbol, lock.until) for lock in Lock.objects.exclude(kind__startswith="loss.")] == [(SYMBOL, None)]
    run = alone.cycle(replace(BUY, stop_loss=D(44_000), profit_target=D(47_000)))
    assert alone.held() == 0, run.text
    books_tie_out(alone)
