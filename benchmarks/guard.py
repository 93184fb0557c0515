"""A pass of the guard over many paper accounts, and one look at an exchange, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

SIZES: Final = {(100, 3): 1.0, (1_000, 1): 5.0}
"""Accounts and positions of each, and the seconds that a pass may take."""


def measure() -> list[Table]:
    rows = []
    with house.folder() as home:
        for (accounts, positions), limit in SIZES.items():
            found = [_rounds(home / f"sqlite{accounts}", accounts, positions)]
            with house.postgres() as url:
                if url:
                    found.append(_rounds(home / f"postgresql{accounts}", accounts, positions, DATABASE_URL=url))
            rows += [_row(run, accounts, positions, limit) for run in found]
    passes = (
        "Paper accounts whose positions stand with stop and target; half a minute of prices passes between two passes. A "
        "pass screens all of them, and writes equity, losses and the guard's word. Nobody's turn to be looked at comes "
        "meanwhile. Our own processor time leaves out the database server and other programs."
    )
    look = "A look asks the paper venue about one account: it settles, books and checks everything."
    columns = ("accounts × positions", "database", "pass", "own processor time", "statements", "one look", "target")
    return [Table("A pass of the guard", columns, tuple(rows), (passes, look))]


def _row(run: dict[str, Any], accounts: int, positions: int, limit: float) -> tuple[str, ...]:
    return (
        f"{accounts:,} × {positions}",
        run["vendor"],
        f"{run['pass']:.2f} s",
        f"{run['busy']:.2f} s",
        str(run["statements"]),
        f"{run['look'] * 1000:.0f} ms",
        f"≤ {limit:g} s: {against(run['pass'], limit)}",
    )


def _rounds(home: Path, accounts: int, positions: int, **more: str) -> dict[str, Any]:
    """Pass in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.guard_rounds", str(accounts), str(positions))
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the guard did not pass:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found
