"""The simulated fleet agrees with theory where there is one, and keeps what must hold in any queue."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulation.erlang import mean_wait, wait_beyond, waits
from benchmarks.simulation.tables import measured
from benchmarks.simulation.world import (
    FOREVER,
    Fleet,
    Turns,
    due_times,
    exponential,
    fixed,
    lognormal,
    poisson,
    simulate,
)


def queue(servers: int, rate: float, service: float, count: int = 200_000, seed: int = 1):
    """Simulate M/M/c: threads are the servers, the model's time is the service, nothing else takes any."""
    random = np.random.default_rng(seed)
    fleet = Fleet(workers=1, threads=servers, latency=exponential(service), deadline=FOREVER)
    found = simulate(poisson(rate, count, random), fleet, random)
    return found, found.start[count // 10 :]  # the first tenth begins with nobody there


@pytest.mark.parametrize(
    ("load", "servers", "known"),
    [(1.0, 2, 1 / 3), (2.0, 3, 4 / 9), (0.5, 1, 0.5), (8.0, 10, 0.4092)],
)
def test_erlang_c_gives_the_values_that_are_known(load: float, servers: int, known: float) -> None:
    assert waits(load, servers) == pytest.approx(known, rel=1e-3)


def test_with_one_server_it_is_what_is_known_of_m_m_1() -> None:
    assert mean_wait(0.5, 1.0, 1) == pytest.approx(0.5 / (1 - 0.5))


@pytest.mark.parametrize("load", [0.0, 2.0, 3.0])
def test_a_load_without_a_steady_state_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="no steady state"):
        waits(load, 2)


@pytest.mark.ci
@pytest.mark.parametrize(("servers", "busy"), [(1, 0.7), (4, 0.8), (32, 0.85)])
def test_it_agrees_with_erlang_c(servers: int, busy: float) -> None:
    service = 2.0
    rate = busy * servers / service
    found, wait = queue(servers, rate, service)
    assert np.mean(wait > 1e-9) == pytest.approx(waits(rate * service, servers), abs=0.02)
    assert wait.mean() == pytest.approx(mean_wait(rate, service, servers), rel=0.1)
    assert np.mean(wait > service / 2) == pytest.approx(wait_beyond(service / 2, rate, service, servers), abs=0.02)
    assert found.busy_threads == pytest.approx(busy, rel=0.02)


def test_nobody_waits_where_there_is_room() -> None:
    random = np.random.default_rng(2)
    found = simulate(np.arange(100.0), Fleet(workers=1, threads=3, latency=fixed(2.5)), random)
    assert found.start.max() == 0
    assert found.total == pytest.approx(np.full(100, 2.5))


def test_with_one_thread_all_go_one_after_the_other() -> None:
    found = simulate(np.zeros(5), Fleet(workers=1, threads=1, latency=fixed(2.0)), np.random.default_rng(0))
    assert found.start.tolist() == [0, 2, 4, 6, 8]


def test_python_of_a_worker_is_one_at_a_time_and_workers_do_not_disturb_each_other() -> None:
    alone, two = (
        simulate(np.zeros(4), Fleet(workers=count, threads=4, before=1.0, latency=fixed(0.0)), np.random.default_rng(0))
        for count in (1, 2)
    )
    assert sorted(alone.total.tolist()) == [1, 2, 3, 4]
    assert sorted(two.total.tolist()) == [1, 1, 2, 2]


def test_the_database_serves_as_many_as_it_has_cores() -> None:
    fleet = Fleet(workers=8, database_cores=2, reading=1.0, latency=fixed(0.0))
    assert sorted(simulate(np.zeros(4), fleet, np.random.default_rng(0)).total.tolist()) == [1, 1, 2, 2]


def test_an_answer_after_the_deadline_is_given_up_at_it() -> None:
    found = simulate(np.zeros(1), Fleet(workers=1, latency=fixed(50.0), deadline=30), np.random.default_rng(0))
    assert found.late.all()
    assert found.total[0] == 30


def test_no_minute_holds_more_turns_than_the_provider_gives() -> None:
    turns, taken = Turns(100), []
    for now in np.linspace(0, 300, 3_000):
        wait = turns.take(float(now), 30)
        if wait is not None:
            taken.append(now + wait)
    times = np.sort(np.array(taken))
    most = max(int(np.searchsorted(times, at + 60 - 1e-9) - place) for place, at in enumerate(times))
    assert 95 <= most <= 100


def test_who_finds_no_turn_within_the_deadline_is_told_at_once() -> None:
    found = simulate(np.zeros(100), Fleet(workers=4, latency=fixed(1.0), turns_per_minute=8), np.random.default_rng(0))
    assert found.unasked.sum() == 100 - 2 - 3  # two at once, then one each ten seconds
    assert found.total[found.unasked].max() == 0


def test_a_lognormal_time_has_the_median_and_the_percentile_that_were_asked_for() -> None:
    drawn = lognormal(10, 28)(np.random.default_rng(3), 400_000)
    assert np.percentile(drawn, [50, 95]) == pytest.approx([10, 28], rel=0.02)


def test_bots_are_due_once_each_close_within_their_spread() -> None:
    due = due_times(1_000, interval=180, closes=3, random=np.random.default_rng(4))
    assert len(due) == 3_000
    assert (np.diff(due) >= 0).all()
    assert (due % 180).max() < 60


def test_the_same_seed_gives_the_same() -> None:
    first, again = (queue(3, 1.0, 2.0, count=2_000)[0].total.tolist() for _ in range(2))
    assert first == again


def test_service_times_are_those_of_the_page() -> None:
    row = "| a model holds all six                   | postgresql | 35.2 ms  | 57.4 ms  | 22.9 ms            | kept |"
    assert (measured(row).python, measured(row).database) == pytest.approx((0.0229, 0.0123))
    with pytest.raises(ValueError, match="no row"):
        measured("nothing")
