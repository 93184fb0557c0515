"""Pages and lists over made histories of three sizes, on PostgreSQL: time, queries, and how both grow."""

from __future__ import annotations

import json
import math
import subprocess
from typing import Any, Final

from benchmarks import house
from benchmarks.report import Table
from vibex.lib.env import ROOT

SCALES: Final = (0.001, 0.01, 0.1)
"""Of `manage.py make_history`. Scale 1 takes the larger part of an hour and 15 GB."""
QUERIES, PAGE_MS, LIST_MS = 12, 200.0, 50.0
"""Limits: queries and median of a page, 95th percentile of a list."""


def measure() -> list[Table]:
    found = []
    for scale in SCALES:
        with house.folder() as home, house.postgres() as url:
            if url is not None:
                found.append(rounds(scale, house.environment(home, DATABASE_URL=url)))
    return tables(found)


def rounds(scale: float, environment: dict[str, str]) -> dict[str, Any]:
    """Make the history where it is missing, and measure: in a process of its own."""
    command = house.python("-m", "benchmarks.history_rounds", str(scale))
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was measured at scale {scale:g}:\n{ran.stderr[-3000:]}")
    told: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return told


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """Return one table of what was measured, smallest history first."""
    sizes = [run["rows"] for run in found]
    columns = ("address", *(f"{size / 1e6:.3g} M rows: p50, p95" for size in sizes), "queries", "growth", "target")
    names = dict.fromkeys(path for run in found for path in run["paths"])
    rows = tuple(_row(path, [run["paths"].get(path) for run in found], sizes) for path in names)
    made = "; ".join(f"scale {run['scale']:g}: {run['accounts']} accounts, {run['gigabytes']:.2g} GB" for run in found)
    how = (
        f"{made}. Every account belongs to the person who asks. Django's test client, at the machine's full speed. Growth is "
        "the exponent of a power that was fitted to the medians: 0 does not grow, 1 grows as the rows do."
    )
    target = f"Target: pages ≤ {QUERIES} queries and median ≤ {PAGE_MS:g} ms, lists 95 of 100 within {LIST_MS:g} ms, at the largest size."
    notes = (how, target)
    return [Table("Pages and lists over a long history", columns, rows, notes)]


def growth(sizes: list[float], values: list[float]) -> float:
    """Return the exponent p of the power size^p that fits the values best (least squares of the logarithms)."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    middle_x, middle_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((each - middle_x) ** 2 for each in x)
    return sum((a - middle_x) * (b - middle_y) for a, b in zip(x, y, strict=True)) / spread if spread else 0.0


def _row(path: str, asked: list[dict[str, Any] | None], sizes: list[float]) -> tuple[str, ...]:
    cells = tuple(f"{one['median'] * 1000:.1f}, {one['p95'] * 1000:.1f} ms" if one else "" for one in asked)
    there = [(size, one) for size, one in zip(sizes, asked, strict=True) if one]
    last = there[-1][1]
    queries = "–".join(dict.fromkeys(str(one["queries"]) for _, one in there))
    fitted = growth([size for size, _ in there], [one["median"] for _, one in there])
    return path, *cells, queries, f"{fitted:+.2f}", _verdict(path, last)


def _verdict(path: str, one: dict[str, Any]) -> str:
    if one["status"] != 200:
        return f"answers {one['status']}"
    listed = path.startswith("/api/")
    missed = [
        name
        for name, value, limit in (
            ("queries", one["queries"], math.inf if listed else QUERIES),
            ("p95" if listed else "median", one["p95" if listed else "median"] * 1000, LIST_MS if listed else PAGE_MS),
        )
        if value > limit
    ]
    return f"**missed**: {', '.join(missed)}" if missed else "kept"
