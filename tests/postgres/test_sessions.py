"""Sessions on a real PostgreSQL: limits by kind of process, a pool that is bounded, connections that survive a fork."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from urllib.parse import quote

import pytest

from tests.oracles.environments import environment
from vibex.lib.env import ROOT

pytestmark = [pytest.mark.ci]


def told(url: str, *argv: str, **more: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.postgres.sessions_process", json.dumps(argv)],
        capture_output=True, text=True, cwd=ROOT, timeout=100, check=False,
        env=environment(DATABASE_URL=url, VIBEX_ENV="dev", **more),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_a_worker_is_stopped_where_it_would_hold_others_up_and_goes_on_afterwards(postgres_url, tmp_path):
    name = f"sessions {os.getpid()}"  # so that those of others on the server are not counted
    found = told(
        f"{postgres_url}?application_name={quote(name)}", "manage.py", "up", VIBEX_DATA_DIR=str(tmp_path),
        DATABASE_STATEMENT_SECONDS="1", DATABASE_LOCK_SECONDS="3", DATABASE_IDLE_SECONDS="2", DATABASE_POOL_SIZE="4",
    )  # fmt: skip
    assert found["limits"] == ["1s", "3s", "2s"]
    assert found["name"] == name
    assert found["long statement"] == "QueryCanceled"
    assert found["after it"] == 1
    assert found["unhurried"] == ["0", "3s"]
    assert found["after the block"] == "1s"
    assert found["idle"] == "IdleInTransactionSessionTimeout, then 1"
    assert 1 <= found["most at once"] <= 4
    assert found["fork"] == {"own connection": True, "parent's is alive": True}


def test_a_command_takes_the_time_that_it_takes(postgres_url, tmp_path):
    found = told(postgres_url, "manage.py", "prune", VIBEX_DATA_DIR=str(tmp_path), DATABASE_STATEMENT_SECONDS="1")
    assert found["limits"] == ["0", "10s", "10min"]
    assert str(found["long statement"]).startswith("slept")
    assert found["idle"] == "still open"
