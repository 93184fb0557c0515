"""What the process that listens to live accounts takes: 100, 300 and 1,000 accounts at the test exchange, by TLS."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, Final

from benchmarks import house
from benchmarks.history import growth
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

SIZES: Final = (100, 300, 1_000)
MOST_HANDLES, MOST_THREADS, MOST_GROWTH = 1.1, 40, 1.1
"""Handles for each account (its connection, and a tenth for all the rest) at the largest size, threads, and exponent."""
FIGURES: Final = {
    "handles": ("handles", "{:,.0f}"),
    "threads": ("threads", "{:,.0f}"),
    "megabytes": ("memory", "{:,.0f} MB"),
    "started": ("all heard and looked at once", "{:.0f} s"),
    "starting": ("… of which processor time", "{:.1f} s"),
    "idle": ("processor time a minute, when nothing happens", "{:.2f} s"),
    "event": ("processor time of an event that is only applied", "{:.1f} ms"),
    "look": ("processor time of one that is looked at", "{:.0f} ms"),
    "statements": ("statements a minute, when nothing happens", "{:,.0f}"),
    "stopped": ("stops within", "{:.1f} s"),
}


def measure(sizes: tuple[int, ...] = SIZES) -> list[Table]:
    found = []
    for accounts in sizes:
        with house.folder() as home, house.postgres() as url:
            found.append(_rounds(home, accounts, **({"DATABASE_URL": url} if url else {})))
    return [table(sizes, found)]


def table(sizes: tuple[int, ...], found: list[dict[str, Any]]) -> Table:
    """Return what was found at each size, with the power of the size by which it grows."""
    rows = []
    for name, (what, form) in FIGURES.items():
        values = [float(run[name]) for run in found]
        grows = growth([float(size) for size in sizes], [max(value, 1e-6) for value in values])
        rows.append(
            (what, *(form.format(value) for value in values), f"{grows:+.2f}", _verdict(name, sizes, values, grows))
        )
    listens = (
        f"One process listens, on {found[0]['vendor']}; the exchange is another process on the same machine, and speaks "
        "TLS. Each account has keys, a listen key and a connection of its own. Growth is the power of the number of accounts."
    )
    weights = (
        "The exchange's weight limit is raised: at the real one of 2,400 a minute it is that which says how long the first "
        "looks take. The processor time of the database and of the exchange is not counted."
    )
    columns = ("what", *(f"{size:,} accounts" for size in sizes), "growth", "target")
    return Table("Listening to live accounts", columns, tuple(rows), (listens, weights))


def _verdict(name: str, sizes: tuple[int, ...], values: list[float], grows: float) -> str:
    if name == "handles":
        most = MOST_HANDLES * sizes[-1] + MOST_THREADS
        return f"≤ {most:,.0f}: {against(values[-1], most)}"
    if name == "threads":
        return f"≤ {MOST_THREADS}: {against(values[-1], MOST_THREADS)}"
    if name in ("event", "look", "stopped"):
        return ""
    return f"growth ≤ {MOST_GROWTH}: {against(grows, MOST_GROWTH)}"


def _rounds(home: Path, accounts: int, **more: str) -> dict[str, Any]:
    """Listen in a process of its own. Raises RuntimeError when it did not get to the end."""
    command = house.python("-m", "benchmarks.user_streams_rounds", str(accounts))
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"{accounts} accounts were not listened to:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    return found
