"""Two processes bring the same tables to the present version at once: one does it, the other waits."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from vibex.lib.env import ROOT
from vibex.management.commands.migrate_once import LOCK
from vibex.tests.running import KEPT

pytestmark = [pytest.mark.ci, pytest.mark.timeout(600)]
NAME = "vibex_migrate_once"


@pytest.fixture
def database(postgres_url: str) -> Iterator[str]:
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")
        server.execute(f"CREATE DATABASE {NAME}")
        yield f"{postgres_url.rpartition('/')[0]}/{NAME}"
        server.execute(f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)")


def begun(folder: Path, database: str, *options: str) -> subprocess.Popen[str]:
    kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
    environment = kept | {"DATABASE_URL": database, "VIBEX_DATA_DIR": str(folder), "LOG_LEVEL": "ERROR"}
    words = [sys.executable, "manage.py", "migrate_once", *options]
    return subprocess.Popen(
        words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def test_two_at_once_do_no_harm(tmp_path: Path, database: str) -> None:
    both = [begun(tmp_path, database) for _ in range(2)]
    said = [process.communicate(timeout=500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT (app, name)) FROM django_migrations").fetchone()
        assert found
        assert found[0] == found[1] > 50
        assert connection.execute("SELECT 1 FROM django_celery_beat_periodictask").fetchone()


def test_one_that_waits_in_vain_says_so_and_does_nothing(tmp_path: Path, database: str) -> None:
    with psycopg.connect(database, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        process = begun(tmp_path, database, "--turn", "1")
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 1
        assert "Another process migrates this database" in said
        assert other.execute("SELECT to_regclass('django_migrations')").fetchone() == (None,)


def test_a_database_that_never_answers_ends_it(tmp_path: Path) -> None:
    process = begun(tmp_path, "postgres://nobody@127.0.0.1:1/nothing", "--wait", "1")
    said, _ = process.communicate(timeout=300)
    assert process.returncode == 1
    assert "The database cannot be used" in said
