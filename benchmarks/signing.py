"""What a signature costs, and a signed request over a bare one, on SQLite and PostgreSQL."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

LIMIT_MS = 1.5


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
    return [_signatures(found[0]), _requests(found)]


def _signatures(run: dict[str, Any]) -> Table:
    rows = tuple((name, f"{seconds * 1e6:.0f} µs") for name, seconds in run["signing"].items())
    note = "One order written as a form and signed; processor time, the nonce from memory."
    return Table("A signature", ("generation", "time"), rows, (note,))


def _requests(found: list[dict[str, Any]]) -> Table:
    rows = [row for run in found for row in _rows(run)]
    note = (
        "One order posted to a server on loopback that answers at once, on a connection that stays open, beside a bare "
        "`httpx2` call with a body of the same length. In turns, medians of wall time. Budget and nonce are one committed "
        "UPDATE each (V1 has no nonce); without them stands what signing and judging the answer cost."
    )
    columns = ("request", "database", "median", "over bare", f"≤ {LIMIT_MS} ms over")
    return Table("A signed request", columns, tuple(rows), (note,))


def _rows(run: dict[str, Any]) -> list[tuple[str, ...]]:
    times = {name: seconds * 1e3 for name, seconds in run["requests"].items()}
    bare = times.pop("bare")
    first = ("bare", run["vendor"], f"{bare:.2f} ms", "", "")
    more = [
        (name, run["vendor"], f"{ms:.2f} ms", f"{ms - bare:+.2f} ms", against(ms - bare, LIMIT_MS))
        for name, ms in times.items()
    ]
    return [first, *more]


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Send the requests in a process of their own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.signing_rounds")
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"the requests were not sent:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout)
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"they ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found
