"""What we take around a model call, and how many calls one process has under way: on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks import house
from benchmarks.asking_rounds import AT_ONCE, CYCLES, STEPS
from benchmarks.asking_server import SECONDS, serving
from benchmarks.report import Table, against
from benchmarks.timing import percentile
from vibex.lib.env import ROOT

LIMIT_MS = 15.0


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url, serving() as address:
        found = {"sqlite": _rounds(home / "sqlite", address)}
        if url:
            found["postgresql"] = _rounds(home / "postgresql", address, DATABASE_URL=url)
    with house.folder() as home, house.postgres() as url, serving() as address:
        if url and (redis := _redis()):
            found["postgresql, Redis"] = _rounds(home, address, DATABASE_URL=url, REDIS_URL=redis)
    return [_around(found), _many(found)]


def _redis() -> str:
    """Return the address of a Redis that answers, "" where none does."""
    from redis import Redis, RedisError

    url = os.environ.get("CI_REDIS_URL", "redis://127.0.0.1:6379/0")
    try:
        Redis.from_url(url, socket_connect_timeout=1).ping()
    except RedisError:
        return ""
    return url


def _rounds(home: Path, address: str, **more: str) -> dict[str, Any]:
    """Ask in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.asking_rounds", address)
    environment = house.environment(home, NO_PROXY="127.0.0.1", **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the cycles did not run:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"the cycles ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found


def _around(found: dict[str, dict[str, Any]]) -> Table:
    rows = tuple(_around_row(vendor, run["rounds"]) for vendor, run in found.items())
    note = (
        f"A bot of six symbols and four timeframes, Arena layout, {CYCLES} cycles at a server on loopback that answers at "
        "once: the text of the prompt (prompt); ladder, turn, client and gate (ask); gate and storing of the request (read). "
        "Bare: the same bytes on an open connection without a client, in turns with the cycles; it is taken off. Own processor "
        "time: of ask and gate, which other programs on the machine disturb less. Turns are counted in Redis where it is named, else in the database."
    )
    columns = (
        "database",
        *STEPS,
        "together",
        "bare",
        "ours, median",
        "ours, p99",
        "own processor time",
        f"≤ {LIMIT_MS:.0f} ms",
    )
    return Table("Around a model call", columns, rows, (note,))


def _around_row(vendor: str, rounds: list[dict[str, float]]) -> tuple[str, ...]:
    steps = [f"{median(entry[step] for entry in rounds):.1f} ms" for step in STEPS]
    ours = [entry["around"] - entry["bare"] for entry in rounds]
    whole, bare = median(entry["around"] for entry in rounds), median(entry["bare"] for entry in rounds)
    mine = median(ours)
    return (
        vendor, *steps, f"{whole:.1f} ms", f"{bare:.1f} ms", f"{mine:.1f} ms", f"{percentile(ours, 0.99):.1f} ms",
        f"{median(entry['busy'] for entry in rounds):.1f} ms", against(mine, LIMIT_MS),
    )  # fmt: skip


def _many(found: dict[str, dict[str, Any]]) -> Table:
    rows = tuple(
        (
            vendor, f"{run['many']['answered']:.0f}", f"{run['many']['wall']:.2f} s", f"{run['many']['slowest']:.2f} s",
            f"{run['many']['busy'] / AT_ONCE * 1000:.1f} ms",
        )
        for vendor, run in found.items()
    )  # fmt: skip
    note = (
        f"{AT_ONCE} threads of one process ask at the same moment a model that takes {SECONDS:.0f} s, each with its turn "
        "and through the gate. One after the other they would take more than a minute."
    )
    columns = ("database", f"answered of {AT_ONCE}", "all together", "the slowest", "own processor time each")
    return Table("Many asks at once", columns, rows, (note,))
