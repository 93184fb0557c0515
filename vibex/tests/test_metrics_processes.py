"""Several web processes over PostgreSQL and Redis tell the same figures, also when one of them dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import Request, urlopen

import psutil
import psycopg
import pytest

from tests.fleet.gate import Gate
from vibex.lib.env import ROOT
from vibex.tests.metrics_kit import BEARER, TOKEN, Told, told, value
from vibex.tests.running import KEPT, free_port

pytestmark = [pytest.mark.ci, pytest.mark.redis, pytest.mark.timeout(600)]
DATABASE, REDIS = "vibex_metrics", 3
PATIENCE = 120.0
CYCLES = """
import datetime
from django.utils import timezone
from accounts.models import Account, Bot, RiskLimits, User
from decisions.models import Cycle
owner, _ = User.objects.get_or_create(email="metrics@example.com")
account, made = Account.objects.get_or_create(owner=owner, name="paper", venue="sim")
if made:
    RiskLimits.objects.create(account=account)
bot, _ = Bot.objects.get_or_create(account=account, name="trend", symbols=["BTCUSDT"], timeframes=["3m"])
now = timezone.now()
for number in range({count}):
    at = now - datetime.timedelta(seconds=number)
    Cycle.objects.create(bot=bot, account=account, scheduled_for=at, status="done", lease_until=now, ended=now)
"""


class Web:
    """`manage.py web` with two processes, on a database and a Redis of its own."""

    def __init__(self, folder: Path, postgres_url: str, redis_url: str) -> None:
        self.folder, self.port = folder, free_port()
        self.database = _gate(postgres_url, 5432)
        self.cache = _gate(redis_url, 6379)
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
        self.redis = f"{redis_url.rpartition('/')[0]}/{REDIS}"
        self.environment = kept | {
            "DATABASE_URL": _through(f"{postgres_url.rpartition('/')[0]}/{DATABASE}", self.database),
            "REDIS_URL": _through(self.redis, self.cache),
            "SECRET_KEY": "the same key for all processes of an installation, long enough", "METRICS_TOKEN": TOKEN,
            "VIBEX_DATA_DIR": str(folder / "data"), "VIBEX_LOG_DIR": str(folder / "logs"), "LOG_LEVEL": "ERROR",
        }  # fmt: skip
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: str) -> None:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        words = ["manage.py", "web", "--port", str(self.port), "--processes", "2"]
        with (self.folder / "web.txt").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, *words],
                cwd=ROOT,
                env=self.environment,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def members(self) -> list[int]:
        assert self.process is not None
        return sorted(child.pid for child in psutil.Process(self.process.pid).children())

    def scrape(self) -> Told | None:
        """Ask over a connection of its own: whichever process takes it answers."""
        request = Request(f"http://127.0.0.1:{self.port}/metrics", headers=BEARER)
        try:
            with urlopen(request, timeout=20) as answer:
                return told(answer.read())
        except OSError:
            return None

    def wait_for(self, happened: Callable[[], Any]) -> Any:
        ends = time.monotonic() + PATIENCE
        while time.monotonic() < ends:
            if found := happened():
                return found
            time.sleep(0.3)
        raise AssertionError((self.folder / "web.txt").read_text(encoding="utf-8")[-2000:])

    def end(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)


def _gate(url: str, port: int) -> Gate:
    parts = urlsplit(url)
    return Gate(parts.hostname or "127.0.0.1", parts.port or port).open()


def _through(url: str, gate: Gate) -> str:
    """Return the address with the gate in front of it."""
    parts = urlsplit(url)
    who, at, _ = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=f"{who}{at}127.0.0.1:{gate.at}"))


@pytest.fixture
def web(tmp_path: Path, postgres_url: str, redis_url: str) -> Iterator[Web]:
    import redis

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    made = Web(tmp_path, postgres_url, redis_url)
    redis.Redis.from_url(made.redis).flushdb()
    made.run("migrate")
    yield made
    made.end()
    made.database.shut()
    made.cache.shut()
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")


def done(found: Told | None) -> float | None:
    return value(found, "vibex_cycles_total", status="done") if found else None


def test_whoever_answers_tells_the_same_and_a_death_resets_nothing(web: Web) -> None:
    web.start()
    assert web.wait_for(lambda: done(web.scrape()) == 0.0)
    web.wait_for(lambda: len(web.members()) == 2)
    web.run("shell", "-c", CYCLES.format(count=7))
    web.wait_for(lambda: done(web.scrape()) == 7.0)
    assert {done(web.scrape()) for _ in range(20)} == {7.0}

    first, second = web.members()
    os.kill(first, signal.SIGKILL)
    web.run("shell", "-c", CYCLES.format(count=5))
    web.wait_for(lambda: done(web.scrape()) == 12.0)
    os.kill(second, signal.SIGKILL)
    web.wait_for(lambda: web.members() and first not in web.members() and second not in web.members())
    found = web.wait_for(web.scrape)
    assert done(found) == 12.0
    assert value(found, "vibex_metrics_part_failed", part="queues") == 0
    assert value(found, "vibex_queue_tasks", queue="guard") == 0


def test_what_is_away_is_told_and_what_is_not_goes_on(web: Web) -> None:
    web.start()
    web.wait_for(lambda: done(web.scrape()) == 0.0)
    web.run("shell", "-c", CYCLES.format(count=3))
    web.wait_for(lambda: done(web.scrape()) == 3.0)

    web.cache.shut()
    found = web.wait_for(lambda: failed(web, "queues"))
    assert value(found, "vibex_check", check="database") == 1
    assert value(found, "vibex_halts") == 0
    web.cache.open()
    web.wait_for(lambda: failed(web, "queues", 0))

    web.database.shut()
    found = web.wait_for(lambda: failed(web, "database"))
    assert value(found, "vibex_ready") == 0
    assert value(found, "vibex_check", check="database") == 0
    assert value(found, "vibex_metrics_part_failed", part="queues") == 0
    web.database.open()
    found = web.wait_for(lambda: (found := web.scrape()) and "vibex_halts" in found and found)
    assert value(found, "vibex_check", check="database") == 1
    assert done(found) == 3.0


def failed(web: Web, part: str, wanted: float = 1.0) -> Told | None:
    """Return the figures once they say that a part cannot be read, or can."""
    found = web.scrape()
    told_of = (found or {}).get("vibex_metrics_part_failed", {})
    return found if told_of.get((("part", part),)) == wanted else None
