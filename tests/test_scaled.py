"""The scaled mode: web, market, worker and beat as processes of their own over PostgreSQL and Redis."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import psycopg
import pytest

from trading.consumers import TradingEvents
from vibex.lib.env import ROOT
from vibex.lib.events import account_topic
from vibex.lib.events.over_redis import RedisLog
from vibex.tests.running import KEPT, free_port

pytestmark = [pytest.mark.ci, pytest.mark.redis, pytest.mark.timeout(300)]
DATABASE = "vibex_scaled"
PATIENCE = 120.0


class Fleet:
    """The four processes of one installation."""

    def __init__(self, folder: Path, postgres_url: str, redis_url: str) -> None:
        base, _, _ = postgres_url.rpartition("/")
        self.postgres, self.redis, self.port = f"{base}/{DATABASE}", f"{redis_url.rpartition('/')[0]}/9", free_port()
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
        self.environment = kept | {
            "DATABASE_URL": self.postgres,
            "REDIS_URL": self.redis,
            "SECRET_KEY": "the same key for all processes of an installation, long enough",
            "VIBEX_DATA_DIR": str(folder / "data"),
            "VIBEX_LOG_DIR": str(folder / "logs"),
            "LOG_LEVEL": "WARNING",
            "ASSETS": "BTC",
            "MARKET": "simulated",
        }
        self.folder = folder
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def begin(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.txt").open("wb") as said:
            self.processes[name] = subprocess.Popen(
                [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=said, stderr=said
            )

    def asks(self, query: str) -> list[Any]:
        with psycopg.connect(self.postgres) as connection:
            try:
                return connection.execute(query).fetchall()
            except psycopg.errors.UndefinedTable:
                return []

    def ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/api/v1/health/ready/") as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False

    def wait_for(self, happened: Callable[[], Any]) -> Any:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            for name, process in self.processes.items():
                assert process.poll() is None, (name, (self.folder / f"{name}.txt").read_text())
            if found := happened():
                return found
            time.sleep(0.3)
        raise AssertionError({name: (self.folder / f"{name}.txt").read_text()[-800:] for name in self.processes})

    def end(self) -> dict[str, int]:
        for process in self.processes.values():
            process.terminate()
        return {name: process.wait(60) for name, process in self.processes.items()}


@pytest.fixture
def fleet(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Fleet]:
    import redis

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    fleet = Fleet(tmp_path, postgres_url, redis_url)
    redis.Redis.from_url(fleet.redis).flushdb()
    yield fleet
    for process in fleet.processes.values():
        process.kill()
        process.wait(10)


def heard(redis_url: str, account_id: int, seconds: float) -> str:
    """Return the kind of the first event that a watcher of the account gets from another process."""
    import redis

    client = redis.Redis.from_url(redis_url)
    (key,) = client.keys("vibex:*:events")
    log = RedisLog(redis_url, key.decode())

    async def listen() -> str:
        async with asyncio.timeout(seconds):
            async for batch in log.listen(await log.newest()):
                for event in batch.events:
                    if account_topic(account_id) in event.topics:
                        return event.kind
        raise AssertionError("unreachable")

    return asyncio.run(listen())


def test_four_processes_over_postgresql_and_redis_trade_and_tell_those_who_watch(fleet: Fleet) -> None:
    fleet.begin("web", "manage.py", "up", "--no-scheduler", "--port", str(fleet.port))
    (account,) = fleet.wait_for(lambda: fleet.asks("SELECT id FROM accounts_account"))[0]
    fleet.wait_for(lambda: fleet.asks("SELECT 1 FROM marketdata_feed"))
    fleet.begin("market", "manage.py", "feed", "--venue", "sim")
    fleet.begin("worker", "-m", "celery", "-A", "vibex", "worker", "--pool", "threads", "--concurrency", "4")
    fleet.begin("beat", "-m", "celery", "-A", "vibex", "beat")
    fleet.wait_for(lambda: fleet.asks("SELECT 1 FROM decisions_cycle WHERE status = 'done'"))
    fleet.wait_for(fleet.ready)
    assert fleet.asks("SELECT count(*) FROM decisions_decision")[0][0] >= 1
    assert heard(fleet.redis, account, PATIENCE) in TradingEvents.kinds
    assert fleet.end() == {"web": 0, "market": 0, "worker": 0, "beat": 0}
