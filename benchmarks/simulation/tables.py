"""The simulated tables: against the number of workers, the model's time, the provider's turns, and the database's cores."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.report import Table
from benchmarks.simulation.world import FOREVER, Fleet, Outcome, due_times, lognormal, simulate
from vibex.lib.env import ROOT

BOTS: Final = 100_000
INTERVAL: Final = 180.0
CLOSES: Final = 3
"""Of which the first fills the queues and is not counted."""
SEED: Final = 7
SPREAD: Final = 60.0
MODELS: Final = {
    "2 s, p95 5 s": lognormal(2, 5),
    "10 s, p95 15 s": lognormal(10, 15),
    "10 s, p95 28 s": lognormal(10, 28),
}
STARTS_WITHIN: Final = 10.0
SHARE_BEFORE: Final = 2 / 3
"""Of a cycle's own time: what stands before the question (snapshot, portfolio, prompt), by the steps of docs/performance.md."""

PAGE: Final = ROOT / "docs" / "performance.md"
ROW: Final = re.compile(
    r"^\| a model holds all six +\| postgresql +\| ([\d.]+) ms +\| [\d.]+ ms +\| ([\d.]+) ms", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Measured:
    """Seconds of one cycle in which a model holds all six symbols, on PostgreSQL, as docs/performance.md has them."""

    python: float
    database: float
    """What is left of its time on the clock: the server, and the way to it."""


def measured(page: str) -> Measured:
    """Return the service times of the page. Raises ValueError when the table of the cycle is not there."""
    row = ROW.search(page)
    if row is None:
        raise ValueError("docs/performance.md has no row of a cycle on PostgreSQL in which a model holds all six")
    whole, own = float(row[1]) / 1000, float(row[2]) / 1000
    return Measured(own, max(whole - own, 0.0))


def tables() -> list[Table]:
    times = measured(PAGE.read_text(encoding="utf-8"))
    usual = Fleet(
        workers=600,
        database_cores=32,
        before=times.python * SHARE_BEFORE,
        after=times.python * (1 - SHARE_BEFORE),
        reading=times.database * SHARE_BEFORE,
        writing=times.database * (1 - SHARE_BEFORE),
        latency=MODELS["10 s, p95 15 s"],
    )
    came_in = (
        f"Simulated, not measured. Measured is what goes in: {times.python * 1000:.1f} ms of Python and {times.database * 1000:.1f} ms "
        "of the database for a cycle that holds (docs/performance.md). "
        f"{BOTS:,} bots, each once in {INTERVAL:g} s, spread over {SPREAD:g} s behind the close; workers of 32 threads, one core "
        f"each; the second and third close of {CLOSES}."
    )
    return [_workers(usual, came_in), _models(usual), _turns(usual), _cores(usual), _threads(usual), _bots(usual)]


def _workers(usual: Fleet, note: str) -> Table:
    fleets = {f"{count:,}": replace(usual, workers=count) for count in (300, 450, 520, 600)}
    return _table("Decisions against workers", "workers", fleets, note)


def _models(usual: Fleet) -> Table:
    fleets = {
        f"{name}; {count} workers": replace(usual, latency=draw, workers=count)
        for name, draw in MODELS.items()
        for count in (150, 600)
    }
    return _table(
        "Decisions against the time of the model", "model", fleets, "Median and 95th percentile of a lognormal latency."
    )


def _turns(usual: Fleet) -> Table:
    rates = (50, 10_000, 60_000, 80_000, 100_000, FOREVER)
    fleets = {f"{rate:,.0f}" if rate < FOREVER else "no limit": replace(usual, turns_per_minute=rate) for rate in rates}
    note = (
        "Turns of one key, a quarter of them at once, the rest evenly (model-cost.md). All bots ask within the minute behind a "
        "close: a limit has to hold that minute, not the mean. Who finds no turn within the deadline holds."
    )
    return _table("Decisions against the provider's turns", "requests a minute", fleets, note)


def _cores(usual: Fleet) -> Table:
    fleets = {str(cores): replace(usual, database_cores=cores) for cores in (8, 16, 24)}
    return _table(
        "Decisions against the database", "cores of the database", fleets, "One database, nothing else on it."
    )


def _threads(usual: Fleet) -> Table:
    shapes = ((600, 32), (150, 128), (75, 256), (40, 480))
    fleets = {f"{count} × {threads}": replace(usual, workers=count, threads=threads) for count, threads in shapes}
    note = (
        "The same 19,200 threads in fewer processes. Python of a process computes for one decision at a time; that "
        "threads cost more the more there are of them is not in it."
    )
    return _table("Decisions against threads in a worker", "workers × threads", fleets, note)


def _bots(usual: Fleet) -> Table:
    """What a small machine carries, one worker for each row of threads."""
    rows = []
    for bots, workers, threads in ((100, 1, 32), (1_000, 1, 32), (1_000, 1, 128), (1_000, 1, 256), (1_500, 1, 256)):
        fleet = replace(usual, workers=workers, threads=threads, database_cores=1)
        rows.append((f"{bots:,} bots, {threads} threads", *_cells(_run(fleet, bots))))
    note = "One worker on one core, the database on the other."
    return Table("A machine with two cores", ("fleet", *COLUMNS), tuple(rows), (note,))


COLUMNS: Final = (
    "waits for a thread, median", "p99", "waits for a turn, p99", "due to recorded, median", "p99", "starts within 10 s",
    "no turn", "too late", "threads taken", "Python", "database",
)  # fmt: skip


def _table(title: str, what: str, fleets: dict[str, Fleet], note: str) -> Table:
    return Table(
        title, (what, *COLUMNS), tuple((name, *_cells(_run(fleet, BOTS))) for name, fleet in fleets.items()), (note,)
    )


def _run(fleet: Fleet, bots: int) -> Outcome:
    random = np.random.default_rng(SEED)
    return simulate(due_times(bots, interval=INTERVAL, closes=CLOSES, random=random), fleet, random)


def _cells(found: Outcome) -> tuple[str, ...]:
    counted = slice(len(found.start) // CLOSES, None)
    start, total = found.start[counted], found.total[counted]
    return (
        _seconds(start, 50), _seconds(start, 99), _seconds(found.turn[counted], 99), _seconds(total, 50),
        _seconds(total, 99), _share(np.mean(start <= STARTS_WITHIN)), _share(found.unasked[counted].mean()),
        _share(found.late[counted].mean()), _share(found.busy_threads), _share(found.busy_python),
        _share(found.busy_database),
    )  # fmt: skip


def _seconds(values: np.ndarray[tuple[int], np.dtype[np.float64]], percent: float) -> str:
    return f"{np.percentile(values, percent):.2f} s"


def _share(value: np.floating | float) -> str:
    return f"{value:.1%}"
