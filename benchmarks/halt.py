"""The emergency stop of one live account, and of three at once, from the press to the proof, against the test exchange on loopback."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

ONE, SEVERAL = 2.0, 30.0
"""Seconds that one account may take, and several at once."""


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
    rows = [
        (
            name,
            run["vendor"],
            f"{seconds:.2f} s",
            f"{run['worst'][name]:.2f} s",
            against(seconds, ONE if name == "one account" else SEVERAL),
        )
        for run in found
        for name, seconds in run["median"].items()
    ]
    note = (
        "Each account has a position with stop and target, and an order by hand that could open. Latch, cancel, close, read "
        f"until flat; {found[0]['rounds']} rounds. The exchange's own answers are in it."
    )
    columns = ("what", "database", "median", "slowest", f"one ≤ {ONE:g} s, several ≤ {SEVERAL:g} s")
    return [Table("Emergency stop, from the press to the proof", columns, tuple(rows), (note,))]


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Halt in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    command = house.python("-m", "benchmarks.halt_rounds")
    environment = house.environment(home, **more)
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was halted:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found
