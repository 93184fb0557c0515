"""Killed between an approval and its order: it stays used, at most one entry went out, and what is open is protected."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trading.tests.approval_crash_process import POINTS

pytestmark = [pytest.mark.ci, pytest.mark.timeout(200)]
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    folder = str(tmp_path_factory.mktemp("approval-crash"))
    env = kept | {"VIBEX_ENV": "dev", "LOG_LEVEL": "ERROR", "VIBEX_DATA_DIR": folder, "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "trading.tests.approval_crash_process"],
        cwd=ROOT, env=env | {"DJANGO_SETTINGS_MODULE": "vibex.settings"}, capture_output=True, text=True, timeout=180, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-3000:]
    return {line["point"]: line for line in map(json.loads, ran.stdout.splitlines())}


@pytest.mark.parametrize("point", POINTS)
def test_a_kill_between_approval_and_order_uses_it_up_and_doubles_nothing(runs, point):
    run = runs[point]
    sent = point == "accepted"
    assert run["killed"], "the process was not killed where it should have been"
    assert (run["again"], run["approval"]) == ("approved", "approved")
    assert run["ruled again"] == (point != "used up")
    assert run["cycles"] == ["12:00 abandoned"]
    assert run["entries sent"] == sent
    assert run["venue"] == run["books"] == (["0.02"] if sent else [])
    assert run["working"] == (["STOP_MARKET", "TAKE_PROFIT_MARKET"] if sent else [])
    assert run["unresolved"] == []
