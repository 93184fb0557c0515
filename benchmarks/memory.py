"""`manage.py up` as a person starts it for the first time: how soon the first decision is stored, and what it takes."""

from __future__ import annotations

import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil  # type: ignore[import-untyped]

from benchmarks import house
from benchmarks.report import Table, against
from vibex.lib.env import ROOT

FIRST_DECISION_LIMIT = 60.0
MEMORY_LIMIT = 250.0
WATCH_SECONDS = 30.0
REQUESTS = 200
DECIDED = "SELECT count(*) FROM decisions_cycle WHERE status = 'done'"


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of a process: seconds and megabytes."""

    answers: float
    decides: float
    idle: float
    peak: float
    """Of the process itself until then."""
    together: float
    """The most that it and its children took at once, pages that they share counted once."""
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
        ("peak until then", f"{seen.peak:.0f} MB", _limit(seen.peak, MEMORY_LIMIT, "MB")),
        ("the same with its children", f"{seen.together:.0f} MB", ""),
        (f"memory after {REQUESTS} sign-in pages", f"{seen.served:.0f} MB", _limit(seen.served, MEMORY_LIMIT, "MB")),
        ("threads", str(seen.threads), ""),
        ("processor time while idle", f"{seen.cpu:.1f} % of a core", ""),
        ("stops on SIGTERM within", f"{seen.stops:.1f} s", ""),
    )
    note = (
        "`manage.py up` in an empty folder: tables, demo, history of the simulated market, three symbols, "
        "`rules/trend`. Memory is the resident set. Children make the tables and the operator of the first start, and are gone then."
    )
    return [Table("The one process", ("what", "measured", "target"), rows, (note,))]


def _limit(value: float, limit: float, unit: str) -> str:
    return f"≤ {limit:.0f} {unit}: {against(value, limit)}"


def _watch(home: Path) -> Seen:
    port, began = free_port(), time.monotonic()
    with _running(home, port) as process:
        watched, together = psutil.Process(process.pid), [0.0]

        def answers_now() -> bool:
            together.append(_together(watched))
            return answers_at(port)

        answers = _until(answers_now, process, home) - began
        decides = _until(lambda: _decided(home / "data" / "vibex.sqlite3"), process, home) - began
        watched.cpu_percent()
        time.sleep(WATCH_SECONDS)
        cpu, idle, peak = watched.cpu_percent(), watched.memory_info().rss / 1e6, _peak(process.pid)
        for _ in range(REQUESTS):
            answers_at(port, "/")
        served, threads = watched.memory_info().rss / 1e6, watched.num_threads()
        stopping = time.monotonic()
        process.terminate()
        process.wait(timeout=60)
        stops = time.monotonic() - stopping
        return Seen(answers, decides, idle, peak, max(together), served, threads, cpu, stops)


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


def _peak(pid: int) -> float:
    """Return the most megabytes that were resident at once."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))


def _together(process: psutil.Process) -> float:
    """Return the megabytes of a process and its children; pages that they share count once."""
    total = 0.0
    for one in (process, *process.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += one.memory_full_info().pss / 1e6
    return total


def answers_at(port: int, path: str = "/api/v1/health/live/") -> bool:
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
