"""Killed at a random moment of an entry, a stop move, a halt or a guard pass, over and over, on one account.

Each time a fresh process does what `up` does first, and the exchange's own record is asked: how long was a position
without a stop after the start, was anything sent twice, was anything opened after a halt, do books and exchange agree.
What each phase holds and how the moments are chosen: random_kills.py and random_kills_process.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_killed import ROOT

PHASES = ("entry", "stop move", "halt", "guard")
LONGEST_NAKED = 40.0
"""Seconds on the exchange's clock, from the start of the process that comes after."""


def killed(folder: Path, *, seed: int, kills: int, seconds: int) -> list[dict[str, Any]]:
    """Return what became of each kill."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "CRITICAL", "VIBEX_DATA_DIR": str(folder), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.random_kills_process", str(seed), str(kills)],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings"},
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    return [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"kill"')]


def never_naked_never_twice(lives: list[dict[str, Any]], *, kills: int, each: int) -> None:
    wrong = [f"kill {life['kill']} in {life.get('in')}: {life['wrong']}" for life in lives if "wrong" in life]
    assert not wrong, "\n".join(wrong)
    assert len(lives) == kills
    assert max(life["naked"] for life in lives) <= LONGEST_NAKED
    struck = Counter(life["in"] for life in lives)
    assert all(struck[phase] >= each for phase in PHASES), f"the kills did not meet every phase: {struck}"


@pytest.mark.ci
@pytest.mark.timeout(300)
def test_twenty_kills_leave_nothing_naked_nothing_twice_and_no_entry_after_a_halt(tmp_path):
    never_naked_never_twice(killed(tmp_path, seed=20, kills=20, seconds=280), kills=20, each=2)


@pytest.mark.soak
@pytest.mark.timeout(3_000)
def test_two_hundred_kills_leave_nothing_naked_nothing_twice_and_no_entry_after_a_halt(tmp_path, capsys):
    lives = killed(tmp_path, seed=200, kills=200, seconds=2_900)
    never_naked_never_twice(lives, kills=200, each=25)
    bare = [life for life in lives if life["bare"]]
    assert bare, "no kill left anything to do: the moments are too tame"
    struck, worst = Counter(life["in"] for life in lives), max(life["naked"] for life in lives)
    slowest = max(life["took"] for life in lives)
    figures = (
        f"kills {dict(struck)}, {len(bare)} left something open or naked, worst {worst:.2f} s, start {slowest:.2f} s"
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{figures}\n")
