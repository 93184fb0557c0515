"""A hundred clients at one web process over Redis: every event reaches every one once, also when all break off at once."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection

from benchmarks import house
from benchmarks.streams_rounds import Rounds, Unwatched, free_port, measured, people, serving, unwatched
from vibex.lib.events import Hint, account_topic, log_of_process

pytestmark = [pytest.mark.ci, pytest.mark.redis]
CLIENTS = 100
UNWATCHED = Unwatched(bots=(2, 50), events=300, clients=10)
ROUNDS = Rounds(single=10, every=0.05, burst=100, per_second=500, missed=10)


@pytest.fixture
def redis_of_its_own(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    import redis

    url = f"{redis_url.rpartition('/')[0]}/10"
    with redis.Redis.from_url(url) as client:
        client.flushdb()
    monkeypatch.setattr(settings, "REDIS_URL", url)
    return url


def environment_of_the_server(folder: Path, redis_url: str) -> dict[str, str]:
    """Return the environment of a process that sees the rows of this test, and reads its events."""
    (folder / "data").mkdir()
    more = {"REDIS_URL": redis_url, "SECRET_KEY": settings.SECRET_KEY}
    if connection.vendor == "sqlite":  # in the memory of this process
        with closing(sqlite3.connect(folder / "data" / "vibex.sqlite3")) as copy:
            connection.connection.backup(copy)
    else:
        server, _, _ = os.environ["DATABASE_URL"].rpartition("/")
        more["DATABASE_URL"] = f"{server}/{connection.settings_dict['NAME']}"
    return house.environment(folder, **more)


def publish(topic: str) -> float:
    """Publish an event as a worker would, from another process than that of the clients."""
    log_of_process().put([Hint((topic,), "account")])
    return time.time()


@pytest.mark.django_db(transaction=True)
def test_a_hundred_clients_hear_everything_once_and_all_come_back_from_a_storm(
    tmp_path: Path, redis_of_its_own: str
) -> None:
    account_id, cookies = people(CLIENTS)
    port = free_port()
    with serving(port, environment_of_the_server(tmp_path, redis_of_its_own)) as server:
        found = asyncio.run(measured(cookies, port, server.pid, partial(publish, account_topic(account_id)), ROUNDS))
        nobodys = asyncio.run(unwatched(cookies, port, server.pid, publish, UNWATCHED))  # raises where one was told
    assert found["events"] == ROUNDS.events
    assert (found["lost"], found["twice"], found["closed"]) == (0, 0, [])
    assert found["answers"] == {"snapshot": CLIENTS, "resumed": CLIENTS}
    assert [one["bots"] for one in nobodys] == [2, 50]
