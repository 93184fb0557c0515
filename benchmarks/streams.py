"""The streams: a thousand clients on one process, over Redis and without; every event to all, and a storm of reconnects."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

CLIENTS = 1_000
P99, STORM = 0.25, 5.0
"""Seconds: from the event to the last client, and until everybody is back."""
REDIS_URL = "redis://127.0.0.1:6379/12"


def measure() -> list[Table]:
    with house.folder() as home:
        redis = os.environ.get("CI_REDIS_URL", REDIS_URL)
        found = [_rounds(home / "embedded"), _rounds(home / "redis", REDIS_URL=redis)]
    rows = tuple(row for run in found for row in _rows(run))
    note = (
        f"{CLIENTS:,} connections of 50 people to one daphne process, clients in a process of their own on the same machine. Latency is "
        "from publishing to the last of all clients, each event for itself. The storm: all connections break at once, ten events "
        "happen meanwhile; it ends when everybody has them."
    )
    columns = ("log", "what", "median", "p99", "bar")
    return [Table("Streams", columns, rows, (note,))]


def _rows(run: dict[str, Any]) -> list[tuple[str, ...]]:
    log, single, burst = "Redis" if run["redis"] else "embedded", run["single"], run["burst"]
    return [
        (log, "one event at a time", *_ms(single), f"p99 ≤ 250 ms: {against(single['p99'], P99)}"),
        (log, "20 events a second for 10 s", *_ms(burst), "more than one core can do"),
        (log, "lost, twice", str(run["lost"]), str(run["twice"]), f"none: {against(run['lost'] + run['twice'], 0)}"),
        (log, "reconnect storm", f"{run['storm']:.2f} s", "", f"≤ {STORM:g} s: {against(run['storm'], STORM)}"),
        (log, "all connected with a snapshot", f"{run['connected']:.2f} s", "", ""),
        (log, "memory per client", f"{run['memory'] / 1024:.0f} kB", f"all {run['rss'] / 2**20:.0f} MB", ""),
    ]


def _ms(figures: dict[str, float]) -> tuple[str, str]:
    return f"{figures['p50'] * 1000:.0f} ms", f"{figures['p99'] * 1000:.0f} ms"


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Run it in processes of its own. Raises RuntimeError when it broke off."""
    command = house.python("-m", "benchmarks.streams_rounds", str(CLIENTS))
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was streamed:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found
