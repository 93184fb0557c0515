"""One million candles into the database, against the shortest way there is: bare COPY, and bare executemany."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import house
from benchmarks.report import Table
from vibex.lib.env import ROOT

ROWS, ROUNDS = 1_000_000, 3
LEAST = 0.5
BARE = {"postgresql": "binary COPY", "sqlite": "executemany"}


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.insert(0, _rounds(home / "postgresql", DATABASE_URL=url))
    note = (
        f"`candles_upsert` of {ROWS:,} one-minute candles of four symbols into an empty table, committed every 20,000 rows, "
        "with the checks for impossible, corrected and late candles; beside it the same rows in one transaction by "
        f"{' and '.join(f'{how} ({vendor})' for vendor, how in BARE.items())} without looking. In turns, medians of "
        f"{ROUNDS} rounds. Once more: the same candles again, when all are there and none differs."
    )
    columns = ("database", "ours", "bare", "ours ÷ bare", "target", "once more")
    return [Table("A backfill of a million candles", columns, tuple(_row(run) for run in found), (note,))]


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Write the candles in a process of their own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.backfill_rounds", str(ROWS), str(ROUNDS))
    ran = subprocess.run(
        command, cwd=ROOT, env=house.environment(home, **more), capture_output=True, text=True, check=False
    )
    if ran.returncode:
        raise RuntimeError(f"the candles were not written:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"they were written to {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found


def _row(run: dict[str, Any]) -> tuple[str, ...]:
    rates = {name: run["rows"] / median(values) for name, values in run["seconds"].items()}
    ratio = rates["ours"] / rates["bare"]
    target = f"≥ {LEAST}: {'kept' if ratio >= LEAST else '**missed**'}" if run["vendor"] == "postgresql" else ""
    return (
        run["vendor"],
        f"{rates['ours']:,.0f} rows/s",
        f"{rates['bare']:,.0f} rows/s",
        f"{ratio:.2f}",
        target,
        f"{rates['again']:,.0f} rows/s",
    )
