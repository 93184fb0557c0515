"""A year of equity at one minute drawn in 1,000 points, on SQLite and PostgreSQL, beside reading all of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

LIMIT_MS = 50.0


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
    rows = [_row(run, name, seconds) for run in found for name, seconds in run["times"].items()]
    note = (
        f"`equity_series` of an account with {found[0]['points']:,} points, median of the rounds, at the machine's full speed (as for the lists). What is longer than "
        "12,000 points is drawn from the lowest and highest of each stored hour, with first and last hour point by point; MinMaxLTTB "
        "chooses among them. Reading all: every stored point is read and thinned by the same method, once."
    )
    columns = ("drawn in 1,000 points", "database", "time", f"≤ {LIMIT_MS:g} ms")
    return [Table("Equity drawn small", columns, tuple(rows), (note,))]


def _row(run: dict[str, Any], name: str, seconds: float) -> tuple[str, ...]:
    wanted = "" if name.startswith("reading all") else against(seconds * 1000, LIMIT_MS)
    return name, run["vendor"], f"{seconds * 1000:.1f} ms", wanted


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Draw in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.equity_rounds")
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was drawn:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found
