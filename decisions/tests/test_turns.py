"""Never more than the figure starts in any minute, never more than the places are under way, in all processes together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
import uuid
from bisect import bisect_left
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st
from redis import RedisError

from decisions.domain.turns import LATE, SKEW, Bucket, Rate, Wanted, filled, rate_of, take
from decisions.llm import shared, turns_redis
from decisions.llm import turns as module
from decisions.llm.endpoints import Endpoint
from decisions.llm.shared import redis_client
from decisions.llm.turns import NoTurn, turn, wanted_of
from decisions.llm.turns_database import DatabaseTurns
from decisions.llm.turns_redis import PREFIX, RedisTurns
from decisions.models import AskBucket, AskPlace
from vibex.lib.clock import Deadline
from vibex.lib.env import ROOT

NOW = 1_800_000_000.0
KEY = "sk-or-a-key-that-nobody-may-see"


# The bucket


@given(st.data(), st.integers(1, 100))
def test_no_sixty_seconds_hold_more_starts_than_the_figure(data, figure):
    rate, bucket, now, starts = rate_of(figure), None, NOW, []
    gaps = st.one_of(st.just(0.0), st.floats(0, 0.3), st.floats(0, 90))
    for gap in data.draw(st.lists(gaps, min_size=figure // 2, max_size=2 * figure + 20)):
        now += gap
        bucket, wait, taken = take(bucket, rate, now, longest=60.0)
        if taken:
            starts.append(now + wait + data.draw(st.floats(0, LATE)))
    starts.sort()
    for index, start in enumerate(starts):
        assert bisect_left(starts, start + 60.0) - index <= figure


@pytest.mark.parametrize("figure", [1, 2, 7, 50, 500])
def test_a_full_bucket_gives_a_quarter_at_once_and_most_of_the_figure_in_a_minute(figure):
    rate, bucket, waits = rate_of(figure), None, []
    for _ in range(figure):
        bucket, wait, _ = take(bucket, rate, NOW, longest=1_000.0)
        waits.append(wait)
    assert waits.count(0.0) == max(1, figure // 4)
    assert waits == sorted(waits)
    assert max(waits) <= 61.0


def test_those_who_wait_stand_in_a_line_and_who_would_stand_too_long_takes_nothing():
    rate, bucket = Rate(1.0, 0.5), None
    moments = []
    for _ in range(3):
        bucket, wait, _ = take(bucket, rate, NOW, longest=30.0)
        moments.append(wait)
    assert moments == [0.0, 2.0, 4.0]
    assert take(bucket, rate, NOW, longest=5.9) == (bucket, 6.0, False)


def test_a_clock_that_differs_a_little_fills_nothing_and_one_that_was_put_back_goes_on_from_there():
    rate, bucket = Rate(4.0, 1.0), Bucket(1.0, NOW)
    assert filled(bucket, rate, NOW - SKEW) == bucket
    assert filled(bucket, rate, NOW - 3_600) == Bucket(1.0, NOW - 3_600)
    assert filled(bucket, rate, NOW + 2) == Bucket(3.0, NOW + 2)


def test_a_figure_below_one_is_refused():
    with pytest.raises(ValueError, match="0 requests a minute"):
        rate_of(0)


# Where it is counted


@pytest.fixture(params=["database", pytest.param("redis", marks=pytest.mark.redis)])
def counted(request, settings, transactional_db):
    """Turns counted in the database, or in Redis."""
    if request.param == "redis":
        settings.REDIS_URL = request.getfixturevalue("redis_url")
    return request.param


@pytest.fixture
def endpoint():
    """A provider that no other test asks: Redis outlives a test."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    yield Endpoint(f"http://{name}.test/v1", KEY, name, requests_per_minute=8, at_once=2)
    for key in _keys(name):
        redis_client().delete(key)


def _keys(name):
    from django.conf import settings

    if not settings.REDIS_URL:
        return []
    mark = module.fingerprint(Endpoint(f"http://{name}.test/v1", KEY, name))
    return list(redis_client().scan_iter(f"{PREFIX}*{mark}"))


def asks(endpoint, model="m", seconds=0.2):
    with turn(endpoint, model, Deadline(seconds)):
        pass


def test_a_turn_is_had_at_once_until_the_quarter_is_used_and_then_the_wait_is_known(counted, endpoint):
    asks(endpoint)
    asks(endpoint)
    began = time.monotonic()
    with pytest.raises(
        NoTurn, match=r"^rate: m may be asked 8 times a minute; the next turn comes in \d+\.\d s"
    ) as told:
        asks(endpoint, seconds=5.0)
    assert time.monotonic() - began < 2.0, "it was certain at once"
    assert KEY not in str(told.value)
    asks(endpoint, model="another")
    asks(replace(endpoint, key="another key"))


def test_who_is_early_enough_waits_for_the_turn(counted, endpoint):
    quick = replace(endpoint, requests_per_minute=100, at_once=200)
    while module._turns().take(wanted_of(quick, "m"), longest=0.0, keep=0.1).go:
        pass
    began = time.monotonic()
    for _ in range(2):
        asks(quick, seconds=5.0)
    assert time.monotonic() - began > 0.3


def test_a_place_is_held_while_the_request_is_under_way_and_another_waits_for_it(counted, endpoint):
    with turn(endpoint, "m", Deadline(5)), turn(endpoint, "n", Deadline(5)):
        with pytest.raises(NoTurn, match=r"^busy: all 2 requests to test-"):
            asks(endpoint, model="o")
        asks(replace(endpoint, key="another key"), model="o")
    asks(endpoint, model="o")


def test_no_turn_is_lost_where_there_was_no_place(counted, endpoint):
    both = turn(endpoint, "m", Deadline(5)), turn(endpoint, "n", Deadline(5))
    with both[0], both[1], pytest.raises(NoTurn, match=r"^busy: "):
        asks(endpoint, model="o")
    asks(endpoint, model="o")
    asks(endpoint, model="o")


def test_a_request_that_fails_gives_its_place_back(counted, endpoint):
    for model in ("a", "b", "c"):
        with pytest.raises(ZeroDivisionError), turn(endpoint, model, Deadline(5)):
            raise ZeroDivisionError
    asks(endpoint, model="d")


def test_the_place_of_a_process_that_died_is_free_a_bit_after_its_deadline(counted, endpoint, monkeypatch):
    monkeypatch.setattr(module, "OUTLIVES", 0.1)
    for model in ("a", "b"):
        wanted = wanted_of(endpoint, model)
        turns = module._turns()
        assert turns.take(wanted, longest=1.0, keep=0.3 + module.OUTLIVES).go
    began = time.monotonic()
    asks(endpoint, model="c", seconds=5.0)
    assert time.monotonic() - began > 0.2


def test_a_deadline_that_is_over_gives_no_turn(counted, endpoint):
    with pytest.raises(NoTurn, match=r"^busy: "):
        asks(endpoint, seconds=0.0)


def test_a_turn_that_is_used_too_late_is_none(counted, endpoint):
    turns, wanted = module._turns(), wanted_of(endpoint, "m")
    assert not turns.place(wanted, due=time.time() - LATE - 1.0, keep=5.0).go
    assert turns.place(wanted, due=time.time(), keep=5.0).go
    turns.leave(wanted)


def test_no_name_of_a_row_or_key_holds_the_key(counted, endpoint):
    with turn(endpoint, "m", Deadline(5)):
        rows = [*AskBucket.objects.values_list("key", flat=True), *AskPlace.objects.values_list("provider", flat=True)]
        names = rows or _keys(endpoint.provider)
        assert names
        assert all(KEY not in name and KEY[-8:] not in name for name in names)


def test_while_redis_is_away_the_database_counts(db, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    endpoint = Endpoint("http://a.test/v1", KEY, "a", at_once=1)
    with turn(endpoint, "m", Deadline(5)):
        assert AskPlace.objects.count() == 1
        with pytest.raises(NoTurn, match=r"^busy: all 1 requests"), turn(endpoint, "m", Deadline(0.2)):
            pytest.fail("two were under way")
    assert AskPlace.objects.count() == 0


def test_a_database_that_does_not_answer_lets_nobody_ask(db, endpoint, monkeypatch):
    from django.db import OperationalError

    def gone(*_, **__):
        raise OperationalError("it is gone")

    monkeypatch.setattr(DatabaseTurns, "take", gone)
    with pytest.raises(NoTurn, match=r"^busy: the database does not say"):
        asks(endpoint, seconds=5.0)


def test_an_answer_is_not_lost_over_a_place_that_cannot_be_freed(db, endpoint, monkeypatch):
    def gone(*_):
        raise OSError("it is gone")

    monkeypatch.setattr(DatabaseTurns, "leave", gone)
    with turn(endpoint, "m", Deadline(5)):
        answer = "kept"
    assert answer == "kept"


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_a_model_is_asked(endpoint):
    with turn(endpoint, "m", Deadline(5)):
        assert connection.connection is None
    assert connection.connection is None


# The script of Redis against the rules


@pytest.mark.redis
@given(st.data())
def test_redis_takes_turns_by_the_same_rules(redis_url, data):
    import redis

    script = turns_redis.TAKE.replace("redis.call('TIME')", "{ARGV[9], ARGV[10]}")
    assert script != turns_redis.TAKE
    rate, bucket, now = rate_of(data.draw(st.integers(1, 200))), None, NOW
    name = f"{PREFIX}test:{uuid.uuid4().hex}"
    with redis.Redis.from_url(redis_url, decode_responses=True) as client:
        for gap in data.draw(st.lists(st.one_of(st.just(0.0), st.floats(0, 2), st.floats(-9, 90)), max_size=30)):
            now = round(now + gap, 6)
            longest = data.draw(st.sampled_from([0.0, 1.0, 30.0]))
            bucket, wait, taken = take(bucket, rate, now, longest=longest)
            bucket = Bucket(round(bucket.tokens, 9), round(bucket.at, 6)) if taken else bucket
            seconds, micros = divmod(round(now * 1e6), 1_000_000)
            values = [1e9, "x", 60, rate.burst, rate.per_second, longest, SKEW, 300, seconds, micros]
            said, waited, _ = client.eval(script, 2, name, f"{name}:places", *values)
            if abs(wait - longest) > 1e-4 and (wait == 0 or wait > 1e-4):
                assert (said in ("go", "wait")) == taken
                assert float(waited) == pytest.approx(wait, abs=1e-4)
            if said in ("go", "wait") and taken:
                bucket = Bucket(float(client.hget(name, "tokens")), float(client.hget(name, "at")))
            elif (said in ("go", "wait")) != taken:
                break
        client.delete(name, f"{name}:places")


def test_both_hold_the_same_port():
    for turns in (RedisTurns, DatabaseTurns):
        assert {"take", "place", "leave"} <= set(vars(turns))
    assert isinstance(wanted_of(Endpoint("http://a.test"), "m"), Wanted)


# Several processes


def contend(folder: Path, *, processes: int = 8, **extra: str) -> list[str]:
    """Return what processes that ask the same model, in two threads each, wrote: when each request began and ended."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_FILES": "no", "LOG_LEVEL": "ERROR", "VIBEX_DATA_DIR": str(folder)}
    env |= {"DJANGO_SETTINGS_MODULE": "vibex.settings", "SECRET_KEY": f"of these processes {uuid.uuid4()}", **extra}
    command = [sys.executable, "-m", "decisions.tests.turn_process", str(processes), str(folder / "diary")]
    subprocess.run(command, cwd=ROOT, env=env, check=True, timeout=100)
    return (folder / "diary").read_text().splitlines()


def keeps_the_limits(lines: list[str], asked: int) -> None:
    spans = [tuple(map(float, line.split())) for line in lines if " " in line]
    starts = sorted(began for began, _ in spans)
    rate = rate_of(48)
    assert len(lines) == asked
    assert {line for line in lines if " " not in line} <= {"rate", "busy"}
    assert len(starts) >= rate.burst
    for index, start in enumerate(starts):
        for last in range(index, len(starts)):
            span = starts[last] - start + LATE
            assert last - index + 1 <= rate.burst + rate.per_second * span + 1
    for began, _ in spans:
        assert sum(1 for other, ended in spans if other <= began < ended) <= 5


@pytest.mark.ci
@pytest.mark.redis
def test_eight_processes_keep_the_limits_in_redis(tmp_path, redis_url):
    keeps_the_limits(contend(tmp_path, REDIS_URL=redis_url), 32)


@pytest.mark.ci
def test_eight_processes_keep_the_limits_in_postgresql(tmp_path, postgres_url):
    import psycopg

    name = f"vibex_turns_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name}")
        try:
            base, _, _ = postgres_url.rpartition("/")
            keeps_the_limits(contend(tmp_path, DATABASE_URL=f"{base}/{name}"), 32)
        finally:
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@pytest.mark.ci
def test_processes_keep_the_limits_in_one_file(tmp_path):
    keeps_the_limits(contend(tmp_path, processes=4), 16)


@pytest.mark.redis
def test_threads_of_one_process_keep_the_places(settings, redis_url, endpoint):
    settings.REDIS_URL = redis_url
    under_way, most, lock = [0], [0], threading.Lock()

    def ask(number):
        with turn(endpoint, f"m{number}", Deadline(10)):
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            time.sleep(0.03)
            with lock:
                under_way[0] -= 1

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most[0] == 2


def test_a_redis_that_hangs_after_the_answer_keeps_nobody_beyond_the_deadline(settings):
    with socket.create_server(("127.0.0.1", 0)) as hung:
        settings.REDIS_URL = f"redis://127.0.0.1:{hung.getsockname()[1]}/0"
        began = time.monotonic()
        module._leave(RedisTurns(), wanted_of(Endpoint("http://127.0.0.1:9/v1", KEY), "a/model"))
        assert time.monotonic() - began < 0.5


def test_a_redis_that_hangs_costs_one_ask_its_patience_and_the_next_ones_nothing(
    transactional_db, settings, monkeypatch
):
    monkeypatch.setattr(shared, "ANSWER_SECONDS", 0.3)
    ask = Endpoint("http://a.test/v1", KEY, "a", requests_per_minute=600)
    with socket.create_server(("127.0.0.1", 0)) as hung:
        settings.REDIS_URL = f"redis://127.0.0.1:{hung.getsockname()[1]}/0"
        tries: list[float] = []
        client = shared.redis_client
        monkeypatch.setattr(shared, "redis_client", lambda: tries.append(time.monotonic()) or client())
        for _ in range(5):
            asks(ask, seconds=10.0)
        assert len(tries) == 1, "the other four were counted in the database at once"
        monkeypatch.setitem(shared._silent_until, settings.REDIS_URL, 0.0)
        threads = [threading.Thread(target=_takes, args=(ask,)) for _ in range(4)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
        assert len(tries) == 2, "one looks whether it is there again, the others do not wait with it"


def _takes(endpoint):
    with suppress(OSError, RedisError):
        RedisTurns().take(wanted_of(endpoint, "m"), longest=1.0, keep=1.0)


@pytest.mark.redis
def test_a_redis_that_answers_again_counts_again(settings, redis_url, endpoint, monkeypatch):
    settings.REDIS_URL = redis_url
    wanted = wanted_of(endpoint, "m")
    monkeypatch.setitem(shared._silent_until, redis_url, time.monotonic() + 60.0)
    with pytest.raises(shared.RedisSilent):
        RedisTurns().take(wanted, longest=1.0, keep=1.0)
    monkeypatch.setitem(shared._silent_until, redis_url, 0.0)
    assert RedisTurns().take(wanted, longest=1.0, keep=1.0).go
    assert redis_url not in shared._silent_until
