"""A job whose process is killed is found lost, and what it was at work on is as safe as before.

Each is a SIGKILL of a real process against a test exchange that goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.ci, pytest.mark.timeout(120)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What was found of each job, by its kind."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    folder = tmp_path_factory.mktemp("killed-jobs")
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "CRITICAL", "VIBEX_DATA_DIR": str(folder), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_job_process"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return {line["kind"]: line for line in map(json.loads, ran.stdout.splitlines()) if "kind" in line}


@pytest.mark.parametrize(("kind", "stops"), [("close", ["98000"]), ("stop", ["98000"])])
def test_a_job_whose_process_was_killed_is_lost_and_its_position_stays_protected(killed, kind, stops):
    told = killed[kind]
    assert (told["killed"], told["before"], told["in_time"]) == (True, "running", True), told["failed"]
    assert told["protected"], "in the moment of the kill"
    assert (told["after"], told["why"]) == ("lost", "The process that did this has ended. Look at the account.")
    assert (told["stops"], told["held"], told["working"]) == (stops, "0.02", 2)
