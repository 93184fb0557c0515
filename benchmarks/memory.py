"""`manage.py up` as a person starts it: how soon the first decision is stored, and what the process takes."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

FIRST_DECISION_LIMIT = 60.0
MEMORY_LIMIT = 512.0
WATCH_SECONDS = 30.0
REQUESTS = 200
DECIDED = "SELECT count(*) FROM decisions_cycle WHERE status = 'done'"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process: seconds and megabytes."""

    answers: float
    decides: float
    idle: float
    served: float
    threads: int
    cpu: float
    stops: float


def measure() -> list[Table]:
    with house.folder() as home:
        seen = _watch(home)
    rows = (
        ("first page answers", f"{seen.answers:.1f} s", ""),
        ("first decision is stored", f"{seen.decides:.1f} s", _limit(seen.decides, FIRST_DECISION_LIMIT, "s")),
        (f"memory {WATCH_SECONDS:.0f} s later", f"{seen.idle:.0f} MB", _limit(seen.idle, MEMORY_LIMIT, "MB")),
        (f"memory after {REQUESTS} sign-in pages", f"{seen.served:.0f} MB", _limit(seen.served, MEMORY_LIMIT, "MB")),
        ("threads", str(seen.threads), ""),
        ("processor time while idle", f"{seen.cpu:.1f} % of a core", ""),
        ("stops on SIGTERM within", f"{seen.stops:.1f} s", ""),
    )
    note = (
        "`manage.py up` in an empty folder: tables, demo, history of the simulated market, three symbols, "
        "`rules/trend`. Memory is the resident set."
    )
    return [Table("The one process", ("what", "measured", "target"), rows, (note,))]


def _limit(value: float, limit: float, unit: str) -> str:
    return f"≤ {limit:.0f} {unit}: {against(value, limit)}"


def _watch(home: Path) -> Seen:
    port, began = _free_port(), time.monotonic()
    with _running(home, port) as process:
        answers = _until(lambda: _answers(port), process, home) - began
        decides = _until(lambda: _decided(home / "data" / "vibex.sqlite3"), process, home) - began
        watched = psutil.Process(process.pid)
        watched.cpu_percent()
        time.sleep(WATCH_SECONDS)
        cpu, idle = watched.cpu_percent(), watched.memory_info().rss / 1e6
        for _ in range(REQUESTS):
            _answers(port, "/")
        served, threads = watched.memory_info().rss / 1e6, watched.num_threads()
        stopping = time.monotonic()
        process.terminate()
        process.wait(timeout=60)
        return Seen(answers, decides, idle, served, threads, cpu, time.monotonic() - stopping)


@contextmanager
def _running(home: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (home / "output").open("wb") as output:
        process = subprocess.Popen(
            house.python("manage.py", "up", "--port", str(port)),
            cwd=ROOT,
            env=house.environment(home, ASSETS="BTC,ETH,SOL", INTERVAL="3m"),
            stdout=output,
            stderr=output,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def _until(holds: Callable[[], bool], process: subprocess.Popen[bytes], home: Path) -> float:
    """Wait until it holds and return the monotonic time. Raises RuntimeError with the output when it never does."""
    ends = time.monotonic() + 180
    while time.monotonic() < ends and process.poll() is None:
        if holds():
            return time.monotonic()
        time.sleep(0.1)
    raise RuntimeError(f"`up` did not get there:\n{(home / 'output').read_text()[-2000:]}")


def _answers(port: int, path: str = "/api/v1/health/live/") -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _decided(database: Path) -> bool:
    if not database.exists():
        return False
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)) as connection:
            return bool(connection.execute(DECIDED).fetchone()[0])
    except sqlite3.OperationalError:
        return False  # the tables are not there yet


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
