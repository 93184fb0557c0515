"""However many schedulers send the same ticks, a bot decides once per candle and never twice at a time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(120)]
KEPT = ("PATH", "HOME", "LANG")
SCHEDULERS = 4
SECONDS = 4

TABLES = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'vibex.settings'; import django; django.setup(); from tests.support.tables import tables_made; tables_made()"
CYCLES = """
from decisions.models import Cycle
for cycle in Cycle.objects.order_by("began"):
    print(cycle.scheduled_for.timestamp(), cycle.began.timestamp(), cycle.ended.timestamp(), cycle.status)
"""


class House:
    """A database of its own, reached through processes of their own."""

    def __init__(self, folder: Path, database_url: str | None = None) -> None:
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
        self.environment = {
            **kept,
            "VIBEX_DATA_DIR": str(folder),
            "VIBEX_LOG_DIR": str(folder / "logs"),
            "LOG_LEVEL": "ERROR",
            **({"DATABASE_URL": database_url} if database_url else {}),
        }

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        pipe = subprocess.PIPE
        return subprocess.Popen(
            [sys.executable, *arguments], env=self.environment, cwd=ROOT, text=True, stdout=pipe, stderr=pipe
        )

    def ask(self, *arguments: str) -> str:
        process = self.begin(*arguments)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        return out


@pytest.fixture
def on_sqlite(tmp_path: Path) -> House:
    return House(tmp_path)


@pytest.fixture
def on_postgres(tmp_path: Path, postgres_url: str) -> Iterator[House]:
    import psycopg

    name = f"vibex_twice_{os.getpid()}"
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f'CREATE DATABASE "{name}"')
        try:
            yield House(tmp_path, f"{postgres_url.rpartition('/')[0]}/{name}")
        finally:
            server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.mark.parametrize("database", ["on_sqlite", "on_postgres"])
def test_several_schedulers_at_once_give_one_cycle_per_candle(database: str, request: pytest.FixtureRequest) -> None:
    house: House = request.getfixturevalue(database)
    house.ask("-c", TABLES)
    bot_id = house.ask("-m", "trading.tests.schedule_race", "seed")
    race = [house.begin("-m", "trading.tests.schedule_race", "tick", bot_id, str(SECONDS)) for _ in range(SCHEDULERS)]
    errors = [process.communicate(timeout=60)[1] for process in race]
    assert [process.returncode for process in race] == [0] * SCHEDULERS, errors

    rows = [line.split() for line in house.ask("manage.py", "shell", "-v", "0", "-c", CYCLES).splitlines()]
    slots = [slot for slot, *_ in rows]
    assert len(slots) == len(set(slots)) >= SECONDS - 1
    ran = [(float(began), float(ended)) for _, began, ended, status in rows if status != "skipped"]
    assert all(ended <= began for (_, ended), (began, _) in pairwise(ran))
