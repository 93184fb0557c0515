"""Several processes, killed and stopped at random, want the same account: their cycles never overlap."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
SETUP = """
import django; django.setup()
from tests.support.tables import tables_made
tables_made()
from trading.tests.builders import make_bot
print(make_bot("contended").pk)
"""
VERDICT = """
import django, json; django.setup()
from decisions.models import Cycle
print(json.dumps({
    "running": Cycle.objects.filter(status="running").count(),
    "done": Cycle.objects.filter(status="done").count(),
    "abandoned": Cycle.objects.filter(status="abandoned").count(),
}))
"""


def contend(folder: Path, **extra: str) -> tuple[list[tuple[int, int]], dict[str, int]]:
    """Return what was written (time, cycle) in the order of time, and the counts of cycles at the end."""
    import json

    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_FILES": "no", "LOG_LEVEL": "ERROR", "VIBEX_DATA_DIR": str(folder)}
    env |= {"DJANGO_SETTINGS_MODULE": "vibex.settings", **extra}

    def python(*arguments: str) -> str:
        return subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=env, capture_output=True, text=True, check=True
        ).stdout

    bot_id, diary = python("-c", SETUP).split()[-1], folder / "diary"
    command = [sys.executable, "-m", "trading.tests.lease_contender", bot_id, "5", str(diary)]
    contenders = [subprocess.Popen(command, cwd=ROOT, env=env) for _ in range(4)]
    _disturb(contenders, seconds=6)
    contenders[0].wait(timeout=120)
    for contender in contenders:
        contender.kill()
        contender.wait(timeout=10)
    notes = sorted(tuple(map(int, line.split()[:2])) for line in diary.read_text().splitlines())
    return [(at, cycle) for at, cycle in notes], json.loads(python("-c", VERDICT).splitlines()[-1])


def _disturb(contenders: list[subprocess.Popen[bytes]], *, seconds: float) -> None:
    """Stop processes for longer than a lease lasts, and kill two of them for good. The first one is left alone."""
    ends, dice = time.monotonic() + seconds, random.Random(7)
    while time.monotonic() < ends:
        victim = dice.choice(contenders[1:])
        if victim.poll() is None:
            victim.send_signal(signal.SIGSTOP)
            time.sleep(dice.uniform(0.1, 0.7))
            victim.send_signal(signal.SIGCONT)
        time.sleep(dice.uniform(0.05, 0.3))
        if ends - time.monotonic() < seconds / 2:
            contenders[-1].kill()


def nothing_overlaps(notes: list[tuple[int, int]]) -> None:
    """A cycle writes in one stretch: once another has written, it never writes again."""
    order = [cycle for _, cycle in notes]
    ended: set[int] = set()
    for before, after in pairwise(order):
        if after != before:
            ended.add(before)
        assert after not in ended, f"cycle {after} wrote after another one had taken over"


def test_cycles_of_an_account_never_overlap(tmp_path):
    notes, cycles = contend(tmp_path)
    assert cycles["done"] > 10
    nothing_overlaps(notes)


def test_cycles_of_an_account_never_overlap_on_postgresql(tmp_path, postgres_url):
    import psycopg

    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS vibex_contended WITH (FORCE)")
        connection.execute("CREATE DATABASE vibex_contended")
    base, _, _ = postgres_url.rpartition("/")
    notes, cycles = contend(tmp_path, DATABASE_URL=f"{base}/vibex_contended")
    assert cycles["done"] > 10
    nothing_overlaps(notes)
