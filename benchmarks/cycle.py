"""What a cycle costs without the wait for a model: time and queries, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from benchmarks.timing import percentile
from vibex.lib.env import ROOT

CYCLE_LIMIT_MS = 30.0
HOLD_LIMIT, OPEN_LIMIT = 15, 10
"""Queries of six holds, and of each position opened on top."""

SCENARIOS = {
    "rules hold": "rules hold, no prompt",
    "model holds": "a model holds all six",
    "opens": "a model opens one, with stop and target",
    "closes": "a model closes one",
}

type Rounds = dict[str, list[dict[str, float]]]


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = {"sqlite": _rounds(home / "sqlite")}
        if url:
            found["postgresql"] = _rounds(home / "postgresql", DATABASE_URL=url)
    return [_times(found), _queries(found), _steps(found)]


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Run the cycles in a process of their own. Raises RuntimeError when it ran on another database than asked."""
    environment = house.environment(home, OPENROUTER_API_KEY="of-a-benchmark", **more)
    command = house.python("-m", "benchmarks.cycle_rounds")
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the cycles did not run:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"the cycles ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found


def _times(found: dict[str, dict[str, Any]]) -> Table:
    rows = tuple(
        _time_row(what, vendor, run["rounds"][name])
        for name, what in SCENARIOS.items()
        for vendor, run in found.items()
    )
    note = (
        "`cycle_run` of one bot, six symbols × 3m, 15m, 1h and 4h over stored one-minute candles, three new ones per "
        "cycle; the model answers at once. Orders go through the paper exchange, which commits by itself. Our own "
        "processor time leaves out the database server and other programs."
    )
    columns = ("cycle", "database", "median", "p99", "own processor time", "target")
    return Table("A cycle without the model's time", columns, rows, (note,))


def _time_row(what: str, vendor: str, rounds: list[dict[str, float]]) -> tuple[str, ...]:
    times, busy = [entry["ms"] for entry in rounds], median(entry["busy"] for entry in rounds)
    limit = f"≤ {CYCLE_LIMIT_MS:.0f} ms: {against(median(times), CYCLE_LIMIT_MS)}"
    return (what, vendor, f"{median(times):.1f} ms", f"{percentile(times, 0.99):.1f} ms", f"{busy:.1f} ms", limit)


def _queries(found: dict[str, dict[str, Any]]) -> Table:
    rows = []
    for vendor, run in found.items():
        hold = _most(run["rounds"], "model holds", "ours")
        for name, what in SCENARIOS.items():
            ours, venue, control = (_most(run["rounds"], name, kind) for kind in ("ours", "venue", "control"))
            rows.append((what, vendor, f"{ours:.0f}", f"{venue:.0f}", f"{control:.0f}", _judged(name, ours, hold)))
    note = (
        "Most of any cycle. The paper venue's own tables stand where a network would be. Statements that only begin or "
        "end a transaction are counted by themselves; on PostgreSQL most of them do not pass the counter."
    )
    columns = ("cycle", "database", "ours", "paper venue", "begin, commit", "target")
    return Table("Queries of a cycle", columns, tuple(rows), (note,))


def _judged(name: str, queries: float, hold: float) -> str:
    if name == "model holds":
        return f"≤ {HOLD_LIMIT}: {against(queries, HOLD_LIMIT)}"
    if name == "opens":
        return f"≤ {OPEN_LIMIT} more than holding: {queries - hold:+.0f}, {against(queries - hold, OPEN_LIMIT)}"
    return ""


def _steps(found: dict[str, dict[str, Any]]) -> Table:
    steps = next(iter(found.values()))["steps"]
    rows = tuple((step, *(f"{run['steps'][step]:.2f} ms" for run in found.values())) for step in steps)
    note = "Medians of the cycles in which a model holds all six. What is missing to the whole is the lease, the reading of bot and limits, and the end of the cycle."
    return Table("Where the time goes", ("step", *found), rows, (note,))


def _most(rounds: Rounds, name: str, of: str) -> float:
    return max(entry[of] for entry in rounds[name])
