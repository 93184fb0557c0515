"""A reconcile of an account with ten thousand fills, on SQLite and PostgreSQL, against the test exchange on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

LIMIT_SECONDS = 2.0


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
    rows = [row for run in found for row in _rows(run)]
    account = (
        f"An account with {found[0]['fills']:,} fills and {found[0]['lines']:,} ledger lines in the books, a position with "
        "stop and target open, at the test exchange. Wall time, median of the rounds; the exchange's own answers are in it."
    )
    notes = (account, "The first reading books every fill and line of an account that is new to the books.")
    columns = ("what", "database", "time", "requests", f"≤ {LIMIT_SECONDS:g} s")
    return [Table("Reconcile of an account with 10,000 fills", columns, tuple(rows), notes)]


def _rows(run: dict[str, Any]) -> list[tuple[str, ...]]:
    wanted = {"reconcile": against(run["reconcile"], LIMIT_SECONDS), "dry run": against(run["dry"], LIMIT_SECONDS)}
    times = {"reconcile": run["reconcile"], "dry run": run["dry"], "first reading": run["first"]}
    return [
        (name, run["vendor"], f"{seconds:.2f} s", str(run["requests"].get(name, "")), wanted.get(name, ""))
        for name, seconds in times.items()
    ]


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Reconcile in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.reconcile_rounds")
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was reconciled:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found
