"""The streams on one process, over Redis and without: every event to all clients, a storm, and events that nobody watches."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Final

from benchmarks import house
from benchmarks.history import growth
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

SIZES: Final = (100, 300, 1_000)
"""Clients. What the most of them find is held against the limits."""
P99, STORM = 0.25, 5.0
"""Seconds: from the event to the last client, and until everybody is back."""
GROWTH_LIMIT: Final = 1.18
"""What n log n comes to as a power of n, between 100 and 1,000 clients."""
UNWATCHED_GROWTH_LIMIT: Final = 0.1
"""Between 10 and 1,000 bots the cost of an event may differ by less than two thirds: it is measured, and not exact."""
REDIS_URL = "redis://127.0.0.1:6379/12"


def measure() -> list[Table]:
    redis = os.environ.get("CI_REDIS_URL", REDIS_URL)
    found = []
    for more in ({}, {"REDIS_URL": redis}):
        for clients in SIZES:
            with house.folder() as home:
                found.append(rounds(house.environment(home, **more), clients))
    return tables(found)


def rounds(environment: dict[str, str], clients: int) -> dict[str, Any]:
    """Run it in processes of its own. Raises RuntimeError when it broke off."""
    command = house.python("-m", "benchmarks.streams_rounds", str(clients))
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was streamed:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found


def tables(found: list[dict[str, Any]]) -> list[Table]:
    """Return the tables of runs over both logs, smallest number of clients first."""
    by_log = {log: [run for run in found if _log(run) == log] for log in dict.fromkeys(map(_log, found))}
    most = [runs[-1] for runs in by_log.values()]
    watched = tuple(row for run in most for row in _rows(run))
    sizes = tuple(row for runs in by_log.values() for row in _by_size(runs))
    unwatched = tuple(_unwatched(run) for run in most)
    return [
        Table("Streams", ("log", "what", "median", "p99", "bar"), watched, (_note(most[0]["clients"]),)),
        Table("Streams against clients", ("log", "what", *_heads(found), "growth", "bar"), sizes, (SIZES_NOTE,)),
        Table(
            "Events of bots that nobody watches",
            ("log", "of the server", *(f"{one['bots']:,} bots" for one in found[0]["unwatched"]), "growth", "bar"),
            unwatched,
            (UNWATCHED_NOTE,),
        ),
    ]


SIZES_NOTE: Final = (
    "20 events a second, each to all clients. Growth is the exponent of a power that was fitted: 1 grows as the clients do, "
    f"n log n as {GROWTH_LIMIT}."
)
UNWATCHED_NOTE: Final = (
    "Processor time of the web process for one event, reading the log included, while 100 clients watch others. The same number of "
    "events, of more and more bots. Who publishes does one and the same call whoever watches."
)


def _note(clients: int) -> str:
    return (
        f"{clients:,} connections of 50 people to one daphne process, clients in a process of their own on the same machine. "
        "Latency is from publishing to the last of all clients, each event for itself. The storm: all connections break at "
        "once, ten events happen meanwhile; it ends when everybody has them."
    )


def _log(run: dict[str, Any]) -> str:
    return "Redis" if run["redis"] else "embedded"


def _heads(found: list[dict[str, Any]]) -> list[str]:
    return [f"{clients:,} clients" for clients in dict.fromkeys(run["clients"] for run in found)]


def _rows(run: dict[str, Any]) -> list[tuple[str, ...]]:
    log, single, burst = _log(run), run["single"], run["burst"]
    return [
        (log, "one event at a time", *_ms(single), f"p99 ≤ 250 ms: {against(single['p99'], P99)}"),
        (log, "20 events a second for 10 s", *_ms(burst), f"p99 ≤ 250 ms: {against(burst['p99'], P99)}"),
        (log, "lost, twice", str(run["lost"]), str(run["twice"]), f"none: {against(run['lost'] + run['twice'], 0)}"),
        (log, "reconnect storm", f"{run['storm']:.2f} s", "", f"≤ {STORM:g} s: {against(run['storm'], STORM)}"),
        (log, "all connected with a snapshot", f"{run['connected']:.2f} s", "", ""),
        (log, "memory per client", f"{run['memory'] / 1024:.0f} kB", f"all {run['rss'] / 2**20:.0f} MB", ""),
    ]


def _by_size(runs: list[dict[str, Any]]) -> list[tuple[str, ...]]:
    clients = [run["clients"] for run in runs]
    told = {
        "median to the last client": ([run["burst"]["p50"] for run in runs], "{:.0f} ms", 1000),
        "processor time an event": ([run["cpu"]["burst"] / run["burst"]["events"] for run in runs], "{:.1f} ms", 1000),
        "processor time of the storm": ([run["cpu"]["storm"] for run in runs], "{:.2f} s", 1),
    }
    rows = []
    for what, (values, form, times) in told.items():
        fitted = growth(clients, [max(value, 1e-3) for value in values])
        cells = (form.format(value * times) for value in values)
        rows.append((_log(runs[0]), what, *cells, f"{fitted:+.2f}", against(fitted, GROWTH_LIMIT)))
    return rows


def _unwatched(run: dict[str, Any]) -> tuple[str, ...]:
    costs = [one["server"] for one in run["unwatched"]]
    fitted = growth([one["bots"] for one in run["unwatched"]], costs)
    return (
        _log(run),
        "each event",
        *(f"{cost * 1e6:.0f} µs" for cost in costs),
        f"{fitted:+.2f}",
        against(fitted, UNWATCHED_GROWTH_LIMIT),
    )


def _ms(figures: dict[str, float]) -> tuple[str, str]:
    return f"{figures['p50'] * 1000:.0f} ms", f"{figures['p99'] * 1000:.0f} ms"
