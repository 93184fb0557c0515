"""The venue's clock is measured at the middle of a question, goes on by a clock that nobody sets, and says when it is off."""

import threading
from datetime import UTC, datetime

import httpx2
import pytest
import stamina
from django.db import OperationalError

from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp
from marketdata.tests.test_aster_http import HTML, Ledger
from marketdata.venues.public import Purpose

WALL = datetime(2025, 6, 17, 8, 0, 20, tzinfo=UTC).timestamp()


class World:
    """A venue whose clock is `off` seconds ahead of ours, trips of so many seconds, and two clocks of our own."""

    def __init__(self, off=0.0, trips=(0.2,)):
        self.off, self.trips = off, list(trips)
        self.true, self.set_by, self.fault = WALL, 0.0, None
        self.asked, self.answers = 0, None

    def wall(self):
        return self.true + self.set_by

    def ran(self):
        return self.true - WALL + 1_000

    def __call__(self, request):
        self.asked += 1
        assert request.url.path == "/fapi/v3/time"
        if self.answers:
            self.answers.wait(5)
        if self.fault:
            raise self.fault
        trip = self.trips.pop(0) if len(self.trips) > 1 else self.trips[0]
        self.true += trip / 2
        told = self.true + self.off
        self.true += trip / 2
        return httpx2.Response(200, json={"serverTime": round(told * 1000)})


@pytest.fixture(autouse=True)
def _no_waiting():
    with stamina.set_testing(True, attempts=100, cap=True):
        yield


@pytest.fixture
def made():
    opened = []

    def make(world, budget=None, **options):
        http = AsterHttp(
            "https://venue.test", budget or Ledger(), Purpose.FEED, transport=httpx2.MockTransport(world), **options
        )
        opened.append(http)
        return VenueClock(http, wall=world.wall, ran=world.ran)

    yield make
    for http in opened:
        http.close()


@pytest.mark.parametrize("off", [-15.0, -0.4, 0.0, 15.0, 86_400.0])
@pytest.mark.parametrize("trip", [0.01, 1.9])
def test_it_is_measured_at_the_middle_of_the_question(made, off, trip):
    world = World(off, [trip])
    clock = made(world)
    assert clock.ahead() == pytest.approx(off, abs=0.001)
    assert abs(clock.milliseconds() / 1000 - (world.true + off)) < 0.002


def test_the_quicker_of_two_questions_counts(made):
    clock = made(World(3.0, [1.5, 0.02]))
    assert clock.measure().trip == pytest.approx(0.02)


def test_it_is_asked_in_the_part_of_the_budget_that_is_kept_for_closing(made):
    ledger = Ledger()
    made(World(), ledger).ahead()
    assert ledger.taken == [(1, Purpose.CLOSING)] * 2


def test_one_measurement_lasts_five_minutes(made):
    world = World(2.5)
    clock = made(world)
    for _ in range(10):
        world.true += 29.0
        assert clock.ahead() == pytest.approx(2.5, abs=0.001)
    assert world.asked == 2


def test_an_old_measurement_is_used_on_while_a_thread_measures_again(made):
    world = World(2.5)
    clock = made(world)
    clock.ahead()
    world.true += 301
    world.off, world.answers = 4.0, threading.Event()
    for _ in range(3):
        assert clock.ahead() == pytest.approx(2.5, abs=0.001)
    (thread,) = [one for one in threading.enumerate() if one.name == "venue-clock"]
    world.answers.set()
    thread.join(5)
    assert clock.ahead() == pytest.approx(4.0, abs=0.001)
    assert world.asked == 4


def test_a_wall_clock_that_jumps_does_not_move_what_is_signed(made):
    """Also while the venue cannot be asked: its time goes on by the clock that nobody sets."""
    world = World(1.0)
    clock = made(world)
    before = clock.milliseconds()
    world.set_by, world.fault = 15.0, httpx2.ConnectError("refused")
    world.true += 10
    assert clock.milliseconds() - before == pytest.approx(10_000, abs=2)
    assert clock.ahead() == pytest.approx(-14.0, abs=0.001)


def test_doubt_has_it_measured_before_the_next_signature(made):
    world = World(0.0)
    clock = made(world)
    clock.ahead()
    world.off = 12.0
    assert clock.ahead() == pytest.approx(0.0, abs=0.001)
    clock.doubt()
    assert clock.ahead() == pytest.approx(12.0, abs=0.001)
    assert world.asked == 4


@pytest.mark.parametrize("fault", [httpx2.ConnectError("refused"), httpx2.ReadTimeout("slow")])
def test_a_venue_that_cannot_be_asked_holds_up_a_signature_once_in_ten_seconds(made, fault):
    world = World(5.0)
    world.fault = fault
    clock = made(world, attempts=1)
    for _ in range(5):
        assert clock.ahead() == 0.0
    assert world.asked == 1
    world.true += 11
    world.fault = None
    assert clock.ahead() == pytest.approx(5.0, abs=0.001)


def test_an_answer_that_is_none_changes_nothing(made):
    world = World(5.0)
    clock = made(world, attempts=1)
    clock.ahead()
    clock.doubt()
    good, world.__class__ = (
        world.__class__,
        type("Page", (World,), {"__call__": lambda *_: httpx2.Response(200, text=HTML)}),
    )
    assert clock.ahead() == pytest.approx(5.0, abs=0.001)
    world.__class__ = good


def test_threads_that_need_it_together_ask_once(made):
    world, found, start = World(7.0), [], threading.Barrier(6)
    clock = made(world)

    def work():
        start.wait(5)
        found.append(clock.ahead())

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(5)
    assert found == [pytest.approx(7.0, abs=0.5)] * 6
    assert world.asked == 2


def test_a_database_that_is_gone_is_told_before_anything_is_signed(made):
    class Gone(Ledger):
        def take(self, weight, purpose):
            raise OperationalError("gone")

    with pytest.raises(OperationalError):
        made(World(), Gone()).ahead()


@pytest.mark.parametrize(
    ("off", "alarm", "problem"),
    [(1.9, False, False), (-1.9, False, False), (2.2, True, False), (-7.8, True, False), (8.2, True, True),
     (-15.0, True, True)],
)  # fmt: skip
def test_two_seconds_are_an_alarm_and_eight_let_nothing_be_opened(made, off, alarm, problem):
    clock = made(World(off))
    told = clock.clock_alarm(), clock.clock_problem()
    assert (told[0] is not None, told[1] is not None) == (alarm, problem)
    for text in filter(None, told):
        assert f"{abs(off):.1f} s {'behind' if off > 0 else 'ahead of'} AsterDEX" in text
        assert "timedatectl" in text
    assert problem == ("nothing is opened" in (told[1] or ""))


def test_a_clock_that_was_not_compared_for_long_lets_nothing_be_opened(made):
    world = World(0.1)
    world.fault = httpx2.ConnectError("refused")
    clock = made(world, attempts=1)
    assert "could not be compared" in clock.clock_problem()
    assert clock.clock_alarm() is None
    world.fault = None
    world.true += 11
    assert clock.clock_problem() is None
    world.true += 1_799
    clock._failed_at = world.ran()  # nobody answers just now
    assert clock.clock_problem() is None
    world.true += 5
    assert "could not be compared" in clock.clock_problem()
