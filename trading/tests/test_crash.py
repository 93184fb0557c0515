"""Killed at any point of a cycle and started again: one cycle, one entry, a protected position, books that agree.

Each point is a SIGKILL of a real process; a second process then reconciles, tries the same candle and takes the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trading.tests.crash_process import MOMENTS, STAGES

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
AFTER_THE_ENTRY = {"accepted", "observed", "stop accepted", "target accepted", "record", "publish"}


def crash_everywhere(folder: Path, **environment: str) -> dict[str, dict[str, Any]]:
    """Return what stood after the restart, by the point at which the process was killed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "ERROR", "VIBEX_DATA_DIR": str(folder), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "trading.tests.crash_process"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings", **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"point"')]
    return {line["point"]: line for line in lines}


@pytest.fixture(scope="module")
def sqlite_runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    return crash_everywhere(tmp_path_factory.mktemp("crash"))


@pytest.fixture(scope="module")
def postgres_runs(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> dict[str, dict[str, Any]]:
    import psycopg

    base, _, _ = postgres_url.rpartition("/")
    name = f"vibex_crash_{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {name}")
    return crash_everywhere(tmp_path_factory.mktemp("crash"), DATABASE_URL=f"{base}/{name}")


def everything_is_right(run: dict[str, Any]) -> None:
    assert run["killed"], "the process was not killed where it should have been"
    assert run["again"] == "skipped", "the candle was decided on twice"
    assert run["next"] == "done"
    assert run["cycles"] == ["12:00 abandoned", "12:03 done"]
    assert run["entries sent"] == 1, "an entry was lost or sent twice"
    assert run["venue"] == run["books"] == ["0.02"]
    assert run["working"] == ["STOP_MARKET", "TAKE_PROFIT_MARKET"], "the position is not protected exactly once"
    assert run["unresolved"] == []
    assert run["fills"] == run["trades"] == 1
    assert float(run["wallet"]) == 0, "the paper wallet is not the sum of its income"


@pytest.mark.parametrize("point", [*STAGES, *MOMENTS])
def test_a_kill_at_any_point_loses_and_doubles_nothing(sqlite_runs, point):
    everything_is_right(sqlite_runs[point])


@pytest.mark.parametrize("point", [*STAGES, *MOMENTS])
def test_a_kill_at_any_point_loses_and_doubles_nothing_on_postgresql(postgres_runs, point):
    everything_is_right(postgres_runs[point])
