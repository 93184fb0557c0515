"""A halt that is killed at any point is gone on with: the guard of a fresh process finds it latched, and makes it flat.

Each point is a SIGKILL of a real process against a test exchange that goes on.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.halted_process import POINTS

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def halts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What became of each halt, by the point at which its process was killed."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    folder = tmp_path_factory.mktemp("halted")
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "CRITICAL", "VIBEX_DATA_DIR": str(folder), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.halted_process"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    lines = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"point"')]
    return {line["point"]: line for line in lines}


@pytest.mark.parametrize("point", POINTS)
def test_promise_6_halt_goes_on_after_a_kill_and_is_proved(halts, point):
    told = halts[point]
    assert "wrong" not in told, told["wrong"]
    assert told["killed"], "the process was not killed where it should have been"
    if point == "not latched yet":
        assert (told["state"], told["held"], told["proved"]) == ("active", "0.02", False)
    else:
        assert (told["state"], told["held"], told["orders"], told["proved"]) == ("halted", "0", 0, True)
