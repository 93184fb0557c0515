"""A pass of the guard over many accounts, on paper and live, and one look at an exchange, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from typing import Any, Final

from benchmarks import house
from benchmarks.history import growth
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

SIZES: Final = (100, 300, 1_000)
"""Accounts, each with one position. A pass over the most of them is held against the limit."""
LIMIT: Final = 5.0
"""Seconds."""
GROWTH_LIMIT: Final = 1.18
"""What n log n comes to as a power of n, between 100 and 1,000."""


def measure() -> list[Table]:
    with house.folder() as home:
        found = [rounds(house.environment(home / "sqlite"), SIZES)]
        with house.postgres() as url:
            if url:
                found.append(rounds(house.environment(home / "postgresql", DATABASE_URL=url), SIZES))
    return tables(found)


def rounds(environment: dict[str, str], sizes: tuple[int, ...]) -> dict[str, Any]:
    """Pass in a process of its own. Raises RuntimeError when it broke off, or ran on another database than asked."""
    command = house.python("-m", "benchmarks.guard_rounds", *map(str, sizes))
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the guard did not pass:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if "DATABASE_URL" in environment else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """Return the tables of what each database gave."""
    passes = (
        "One position with stop and target in each account. Half a minute of prices passes between two passes; a pass "
        "screens all accounts, and writes equity, losses and the guard's word. Live accounts are heard, so that nobody is asked. "
        "Nobody's turn to be looked at comes meanwhile. Medians; fastest pass; our own processor time, which leaves out "
        "the database server and other programs. Growth is the exponent of a power that was fitted to the "
        f"processor time: 1 grows as the accounts do, n log n as {GROWTH_LIMIT}."
    )
    look = "A look asks the paper venue about one account: it settles, books and checks everything."
    columns = ("accounts", "on", "database", "pass", "fastest", "processor", "statements", "growth", "target")
    rows = tuple(row for run in found for kind in ("paper", "live") for row in _rows(run, kind))
    looks = tuple((run["vendor"], f"{run['look'] * 1000:.0f} ms") for run in found)
    return [
        Table("A pass of the guard", columns, rows, (passes,)),
        Table("A look", ("database", "one look"), looks, (look,)),
    ]


def _rows(run: dict[str, Any], kind: str) -> list[tuple[str, ...]]:
    passes = [one for one in run["passes"] if one["kind"] == kind]
    fitted = growth([one["accounts"] for one in passes], [one["busy"] for one in passes])
    rows: list[tuple[str, ...]] = [
        (
            f"{one['accounts']:,}",
            kind,
            run["vendor"],
            f"{one['pass']:.2f} s",
            f"{one['fastest']:.2f} s",
            f"{one['busy']:.2f} s",
            str(one["statements"]),
            "",
            "",
        )
        for one in passes
    ]
    kept = f"≤ {LIMIT:g} s: {against(passes[-1]['pass'], LIMIT)}; growth: {against(fitted, GROWTH_LIMIT)}"
    rows[-1] = (*rows[-1][:-2], f"{fitted:+.2f}", kept)
    return rows
