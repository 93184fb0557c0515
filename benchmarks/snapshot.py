"""What a snapshot of six symbols and four timeframes costs once the candles are in memory, on SQLite and PostgreSQL."""

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

LIMIT_MS, LIMIT_QUERIES = 10.0, 3
SECONDS = {"plain": "any second", "worst": "a candle of every timeframe has just closed"}


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = {"sqlite": _rounds(home / "sqlite")}
        if url:
            found["postgresql"] = _rounds(home / "postgresql", DATABASE_URL=url)
    rows = tuple(_row(name, vendor, run[name]) for name in SECONDS for vendor, run in found.items())
    first = ", ".join(f"{run['cold'][0]['ms']:,.0f} ms on {vendor}" for vendor, run in found.items())
    per_round = {vendor: run["computed"] / len(run["worst"]) for vendor, run in found.items()}
    note = (
        "`DatabaseMarket.snapshot` of six symbols × 1m, 15m, 1h and 4h over stored one-minute candles, the newest quotes "
        "and the feed's state among them. Own processor time leaves out the database server and other programs. "
        f"The first snapshot of a process reads 63 days of candles: {first}. In the worst second indicators were computed "
        f"{max(per_round.values()):.0f} times, once for each symbol and timeframe, whatever the number of bots."
    )
    columns = ("snapshot", "database", "median", "p99", "own processor time", "≤ 10 ms", "queries", "≤ 3")
    return [Table("A snapshot, candles in memory", columns, rows, (note,))]


def _row(name: str, vendor: str, rounds: list[dict[str, float]]) -> tuple[str, ...]:
    times, busy = [entry["ms"] for entry in rounds], median(entry["busy"] for entry in rounds)
    queries = max(entry["queries"] for entry in rounds)
    return (
        SECONDS[name],
        vendor,
        f"{median(times):.1f} ms",
        f"{percentile(times, 0.99):.1f} ms",
        f"{busy:.1f} ms",
        against(median(times), LIMIT_MS),
        f"{queries:.0f}",
        against(queries, LIMIT_QUERIES),
    )


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Take the snapshots in a process of their own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.snapshot_rounds")
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the snapshots were not taken:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(
            f"the snapshots were taken on {found['vendor']}: take DATABASE_URL out of .env.local for this"
        )
    return found
