"""How soon processes are ready: the one process of `up`, the web process and a worker, on tables that are there."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psutil  # type: ignore[import-untyped]

from benchmarks import house
from benchmarks.memory import answers_at, free_port
from benchmarks.report import Table, against
from benchmarks.streams import REDIS_URL
from vibex.lib.env import ROOT
from vibex.processes import here, service

LIMIT: Final = 3.0
"""Seconds."""
ROUNDS: Final = 5
PATIENCE: Final = 120.0


@dataclass(frozen=True, slots=True)
class Started:
    """Seconds until a process was ready: on the clock, and of the processor for it and its children."""

    wall: float
    busy: float


def measure() -> list[Table]:
    redis = os.environ.get("CI_REDIS_URL", REDIS_URL)
    with house.folder() as home:
        one, several = house.environment(home), house.environment(home, REDIS_URL=redis, TMPDIR=str(home))
        subprocess.run(house.python("manage.py", "migrate_once"), cwd=ROOT, env=one, check=True, capture_output=True)
        found = {
            "`up`": [_up(one) for _ in range(ROUNDS)],
            "web, one process": [_web(several) for _ in range(ROUNDS)],
            "worker": [_worker(several, home) for _ in range(ROUNDS)],
        }
    rows = tuple(_row(name, runs) for name, runs in found.items())
    note = (
        f"From the start of the process until it answers, or until a thread of the worker's pool was free; median of {ROUNDS}. The "
        "first `up` makes demo and history. Processor time: of the process and its children until then."
    )
    return [Table("Starting", ("process", "ready after", "fastest", "processor time", f"≤ {LIMIT:g} s"), rows, (note,))]


def _row(name: str, runs: list[Started]) -> tuple[str, ...]:
    wall = median(run.wall for run in runs)
    fastest, busy = min(run.wall for run in runs), median(run.busy for run in runs)
    return name, f"{wall:.1f} s", f"{fastest:.1f} s", f"{busy:.1f} s", against(wall, LIMIT)


def _up(environment: dict[str, str]) -> Started:
    port = free_port()
    return _started(house.python("manage.py", "up", "--port", str(port)), environment, lambda: answers_at(port))


def _web(environment: dict[str, str]) -> Started:
    port = free_port()
    command = house.python("manage.py", "web", "--processes", "1", "--port", str(port))
    return _started(command, environment, lambda: answers_at(port))


def _worker(environment: dict[str, str], home: Path) -> Started:
    signs = home / f"vibex-alive-{os.getuid()}"
    shutil.rmtree(signs, ignore_errors=True)
    return _started(here(service("worker-guard").command), environment, (signs / "guard").exists)


def _started(command: list[str], environment: dict[str, str], ready: Callable[[], bool]) -> Started:
    """Run a command until it is ready, and end it. Raises RuntimeError when it ends before, or takes minutes."""
    began = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            while process.poll() is None and time.monotonic() < began + PATIENCE:
                if ready():
                    return Started(time.monotonic() - began, _busy(psutil.Process(process.pid)))
                time.sleep(0.05)
        finally:
            process.terminate()
        told = process.stderr.read().decode()[-2000:] if process.stderr else ""
        raise RuntimeError(f"{' '.join(command)} was not ready:\n{told}")


def _busy(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return float(sum(used.user + used.system + used.children_user + used.children_system for used in times))
