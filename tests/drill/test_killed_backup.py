"""Killed in the middle of a backup or a restore, on both databases: nothing half is taken for whole, nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.drill.house import databases, drop, environment, manage, ran
from tests.drill.killed import POINTS
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(900)]
DATABASE = "vibex_killed_backup"
FILL = """
import django; django.setup()
from tests.support.tables import tables_made; tables_made()
from tests.support.demo import demo; demo()
"""
PEOPLE = "import django; django.setup()\nfrom accounts.models import User; print(','.join(sorted(User.objects.values_list('email', flat=True))))"
MORE = "import django; django.setup()\nfrom tests.support.demo import person; person('late@example.com')"
BARRED = "import django; django.setup()\nfrom trading.services.restored import accounts_restored; print(len(accounts_restored()))"


@dataclass
class House:
    folder: Path
    env: dict[str, str]

    @property
    def database(self) -> str:
        return self.env.get("DATABASE_URL", "vibex.sqlite3").rpartition("/")[2]

    def people(self) -> str:
        return ran(self.env, "-c", PEOPLE).strip()

    def names(self) -> list[str]:
        return [one["name"] for one in json.loads(manage(self.env, "backup", "--list", "--json"))]

    def killed(self, point: str, *command: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.drill.killed", point, *command], cwd=ROOT, env=self.env, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == -9, (point, done.returncode, done.stdout, done.stderr[-2000:])

    def litter(self) -> list[str]:
        """Return what lies around that is neither the database nor a backup."""
        data = self.folder / "data"
        left = [
            str(each) for each in (*data.glob("backup-work-*"), *data.glob(".*scratch*"), *data.glob("backups/.part*"))
        ]
        url = self.env.get("DATABASE_URL")
        return left + ([each for each in databases(url) if "scratch" in each] if url else [])


@pytest.fixture(params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    env = environment(tmp_path)
    if request.param == "postgresql":
        import psycopg

        base, _, _ = request.getfixturevalue("postgres_url").rpartition("/")
        env["DATABASE_URL"] = f"{base}/{DATABASE}_{os.environ.get('PYTEST_XDIST_WORKER', 'one')}"
        drop(env["DATABASE_URL"])
        with psycopg.connect(f"{base}/postgres", autocommit=True) as session:
            session.execute(f'CREATE DATABASE "{env["DATABASE_URL"].rpartition("/")[2]}"')
    ran(env, "-c", FILL)
    yield House(tmp_path, env)
    if url := env.get("DATABASE_URL"):
        drop(url)


def test_a_kill_leaves_no_half_backup_and_no_half_database(house):
    manage(house.env, "backup")
    (first,) = house.names()
    for point in POINTS[:4]:
        whole = house.names()
        house.killed(point, "backup")
        made = set(house.names()) - set(whole)
        assert len(made) == (point == "backup: manifest written"), point
    manage(house.env, "backup", "--verify", "latest")
    ran(house.env, "-c", MORE)
    now = house.people()
    for point in POINTS[4:]:
        house.killed(point, "restore", first, "--overwrite", "--confirm", house.database, "--no-reconcile")
        assert house.people() == now, point
        assert ran(house.env, "-c", BARRED).strip() == "0", point
    manage(house.env, "restore", first, "--overwrite", "--confirm", house.database, "--no-reconcile")
    assert house.people() == now.replace("late@example.com,", "")
    assert int(ran(house.env, "-c", BARRED)) >= 1
    assert house.litter() == []
