"""Lists, balance and performance over the API with 100,000 rows behind each, and the start of the web process."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final

import psutil  # type: ignore[import-untyped]

from benchmarks import house
from benchmarks.api_rounds import SINGLE
from benchmarks.memory import answers_at, free_port
from benchmarks.report import Table, against
from benchmarks.timing import Speed, percentile
from vibex.lib.env import ROOT

QUERIES, MEDIAN_MS, P95_MS, LARGEST_KB = 3, 10.0, 50.0, 30.0
STARTS_WITHIN, MEMORY_MB = 3.0, 200.0
RATES: Final = {f"API_RATE_{whose}": "1000000/min" for whose in ("ADDRESS", "USER", "KEY")}
"""Nobody is told to wait here."""
THROUGH_SERVER: Final = ("positions/", "trades/", "diary/", "balance/", "performance/")
ROUNDS: Final = 40
STARTS: Final = 5


def measure() -> list[Table]:
    with house.folder() as home, house.postgres() as url:
        found = [_rounds(home / "sqlite")]
        served = _served(home / "sqlite", found[0]["key"])
        if url:
            found.append(_rounds(home / "postgresql", DATABASE_URL=url))
    return [_lists(found), _singles(found), _web(served)]


def _lists(found: list[dict[str, Any]]) -> Table:
    rows = [_row(path, run) for run in found for path in run["paths"] if path not in SINGLE]
    title = f"Lists with {found[0]['rows']:,} rows behind them"
    columns = (
        "list",
        "database",
        "queries",
        "median",
        "p95",
        "on the clock, and of our processor time",
        "size",
        "target",
    )
    how = (
        "The first page of fifty rows through Django's test client with a key: routes, middleware, authentication, JSON. "
        "Queries are those besides authentication. Of four accounts three are seen. Median and p95 are at the machine's full speed: "
        "each call's time on the clock, divided by how much slower than at its best a fixed piece of work was right before and "
        "after it. Beside it what the clock said, and our own processor time. A list that shows fewer than fifty rows has no more here."
    )
    notes = (
        how,
        f"Target: ≤ {QUERIES} queries, median ≤ {MEDIAN_MS:g} ms, p95 ≤ {P95_MS:g} ms, ≤ {LARGEST_KB:g} kB.",
    )
    return Table(title, columns, tuple(rows), notes)


def _row(path: str, run: dict[str, Any]) -> tuple[str, ...]:
    one = run["paths"][path]
    if one["status"] != 200:
        return path, run["vendor"], "", "", "", "", "", f"answers {one['status']}"
    median, p95, size = one["median"] * 1000, one["p95"] * 1000, one["bytes"] / 1000
    limits = {"queries": (one["queries"], QUERIES), "median": (median, MEDIAN_MS), "p95": (p95, P95_MS)}
    limits["size"] = (size, LARGEST_KB)
    missed = [name for name, (value, limit) in limits.items() if value > limit]
    verdict = f"**missed**: {', '.join(missed)}" if missed else "kept"
    busy = f"{one['wall'] * 1000:.1f} and {one['busy'] * 1000:.1f} ms"
    shown = f"{size:.1f} kB" + ("" if one["shown"] in (None, 50) else f", {one['shown']} rows")
    return path, run["vendor"], str(one["queries"]), f"{median:.1f} ms", f"{p95:.1f} ms", busy, shown, verdict


def _singles(found: list[dict[str, Any]]) -> Table:
    rows = []
    for run in found:
        for path in SINGLE:
            *cells, _ = _row(path, run)
            rows.append((*cells, against(run["paths"][path].get("median", 9.9) * 1000, MEDIAN_MS)))
    columns = (
        "address",
        "database",
        "queries",
        "median",
        "p95",
        "on the clock, and of our processor time",
        "size",
        f"≤ {MEDIAN_MS:g} ms",
    )
    note = "From stored figures: a year of days of each account, with a bot and a model."
    return Table("Balance and performance", columns, tuple(rows), (note,))


def _web(served: dict[str, Any]) -> Table:
    rows = [
        (
            "first answer",
            f"{served['first']:.1f} s ({served['clock']:.1f} s on the clock)",
            f"≤ {STARTS_WITHIN:g} s: {against(served['first'], STARTS_WITHIN)}",
        ),
        ("memory then", f"{served['before']:.0f} MB", ""),
        (
            "memory afterwards",
            f"{served['after']:.0f} MB",
            f"≤ {MEMORY_MB:g} MB: {against(served['after'], MEMORY_MB)}",
        ),
    ]
    rows += [
        (
            f"{path}, median and p95",
            f"{middle * 1000:.1f} and {p95 * 1000:.1f} ms",
            f"p95 ≤ {P95_MS:g} ms: {against(p95 * 1000, P95_MS)}",
        )
        for path, (middle, p95) in served["paths"].items()
    ]
    note = (
        "`daphne vibex.asgi:application` on the rows above (SQLite), a new connection for each request. The first answer is "
        "`health/live/`, from the start of the process on. Memory is the resident set, before and after all the requests."
    )
    return Table("The web process", ("what", "measured", "target"), tuple(rows), (note,))


def _rounds(home: Path, **more: str) -> dict[str, Any]:
    """Fill and measure in a process of its own. Raises RuntimeError when it ran on another database than asked."""
    environment = house.environment(home, **RATES, **more)
    command = house.python("-m", "benchmarks.api_rounds")
    ran = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode:
        raise RuntimeError(f"nothing was listed:\n{ran.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(ran.stdout.strip().splitlines()[-1])
    if found["vendor"] != ("postgresql" if more else "sqlite"):
        raise RuntimeError(f"it ran on {found['vendor']}: take DATABASE_URL out of .env.local for this")
    return found


def _served(home: Path, key: str) -> dict[str, Any]:
    """Ask the same through a web server of its own, which is started several times."""
    port, environment = free_port(), house.environment(home, **RATES)
    started = Speed().rounds(lambda: _web_process(port, environment, lambda _: None), STARTS)

    def look(pid: int) -> dict[str, Any]:
        watched = psutil.Process(pid)
        before = watched.memory_info().rss / 1e6
        paths = {path: _asked(port, path, key) for path in THROUGH_SERVER}
        return {"before": before, "after": watched.memory_info().rss / 1e6, "paths": paths}

    firsts = {"first": median(one.at_full_speed for one in started), "clock": median(one.wall for one in started)}
    return firsts | _web_process(port, environment, look)


def _web_process[T](port: int, environment: dict[str, str], look: Callable[[int], T]) -> T:
    """Start a web process, wait for its first answer, and return what `look` sees of it. Raises RuntimeError when there is none."""
    command = house.python("-m", "daphne", "-b", "127.0.0.1", "-p", str(port), "vibex.asgi:application")
    began = time.monotonic()
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=quiet, stderr=quiet) as process:
        try:
            while not answers_at(port):
                if process.poll() is not None or time.monotonic() - began > 60:
                    raise RuntimeError("the web process does not answer")
                time.sleep(0.02)
            return look(process.pid)
        finally:
            process.kill()


def _asked(port: int, path: str, key: str) -> tuple[float, float]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/v1/{path}", headers={"Authorization": f"Api-Key {key}"}
    )

    def ask() -> None:
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()

    times = [took.at_full_speed for took in Speed().rounds(ask, ROUNDS)]
    return percentile(times, 0.5), percentile(times, 0.95)
