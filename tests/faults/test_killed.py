"""Killed at any request of a position's life and started again: nothing twice, protected or flat at once, books that agree.

Each point is a SIGKILL of a real process against a test exchange that goes on. Points between the steps of a cycle, on the
paper venue: trading/tests/test_crash.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.killed_process import POINTS

pytestmark = [pytest.mark.ci, pytest.mark.timeout(600)]
ROOT = Path(__file__).resolve().parents[2]
TEN_SECONDS = 10.0
NEVER_LEFT = {f"{name}: before it is sent" for name in ("margin mode", "leverage", "entry")} | {"entry: planned"}
NEVER_LEFT |= {f"{name}: after it was carried out" for name in ("margin mode", "leverage")}
FLAT = {f"{name}: {when}" for name in ("cancel of a child", "cancel of the sibling") for when in ("before it is sent", "after it was carried out")}  # fmt: skip
FLAT |= NEVER_LEFT | {"close: after it was carried out"}
"""Where nothing is open once it was started again; elsewhere the position stands, with its stop."""


def killed_everywhere(folder: Path, **environment: str) -> dict[str, dict[str, Any]]:
    """Return what became of each life, by the point at which its process was killed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "CRITICAL", "VIBEX_DATA_DIR": str(folder), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_process"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings", **environment},
        capture_output=True,
        text=True,
        timeout=560,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"point"')]
    return {line["point"]: line for line in lines}


@pytest.fixture(scope="module")
def on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return killed_everywhere(tmp_path_factory.mktemp("killed"))


@pytest.fixture(scope="module")
def on_postgresql(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> dict[str, dict[str, Any]]:
    import psycopg

    base, _, _ = postgres_url.rpartition("/")
    name = f"vibex_killed_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return killed_everywhere(tmp_path_factory.mktemp("killed"), DATABASE_URL=f"{base}/{name}")


def went_on(run: dict[str, Any], point: str) -> None:
    assert "wrong" not in run, run["wrong"]
    assert run["killed"], "the process was not killed where it should have been"
    assert run["seconds"] <= TEN_SECONDS
    assert (float(run["held"]) == 0) == (point in FLAT)


@pytest.mark.parametrize("point", POINTS)
def test_a_life_goes_on_after_a_kill(on_sqlite, point):
    went_on(on_sqlite[point], point)


@pytest.mark.parametrize("point", POINTS)
def test_a_life_goes_on_after_a_kill_on_postgresql(on_postgresql, point):
    went_on(on_postgresql[point], point)
