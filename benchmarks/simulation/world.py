"""What is simulated: a fleet of workers, a database and a provider, and the way of a decision through them. Pure.

A decision takes a thread of a worker and keeps it to its end. Within one worker Python computes for one decision at a
time; the database serves as many as it has cores; the model takes its own time and is paced by the turns of its key.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float64]
type Draw = Callable[[np.random.Generator, int], Floats]
"""Draws so many service times, in seconds."""

ARRIVED, COMPUTED, READ, ANSWERED, DECIDED, WRITTEN = range(6)
FOREVER: Final = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet:
    """What decisions share. Times in seconds."""

    workers: int
    threads: int = 32
    database_cores: int = 8
    before: float = 0.0
    """Of Python before the model is asked, per decision."""
    after: float = 0.0
    reading: float = 0.0
    """Of the database before the model is asked."""
    writing: float = 0.0
    latency: Draw
    """What the model takes."""
    turns_per_minute: float = FOREVER
    """Requests that the provider lets a key make (`LLM_REQUESTS_PER_MINUTE`)."""
    deadline: float = 30.0
    """For turn and answer together."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of each decision, in the order in which they were due. Seconds."""

    start: Floats
    """Waiting for a thread."""
    turn: Floats
    """Waiting for a turn of the model; those that got none have 0."""
    total: Floats
    """From due to recorded."""
    unasked: NDArray[np.bool_]
    """No turn came within the deadline."""
    late: NDArray[np.bool_]
    """The answer did not come within the deadline."""
    busy_threads: float
    """Share of the time in which threads were taken, over the span in which decisions were due."""
    busy_python: float
    busy_database: float


class Turns:
    """Turns of one key, as `decisions/domain/turns.py` gives them: a quarter at once, the rest evenly.

    Kept as the theoretical time of arrival (GCRA): the moment at which the bucket would be full again.
    """

    def __init__(self, per_minute: float) -> None:
        self.every = 0.0 if math.isinf(per_minute) else 60.0 / (0.75 * per_minute)
        self._ahead = self.every * max(0.25 * per_minute - 1, 0) if self.every else 0.0
        self._full_at = -FOREVER

    def take(self, now: float, patience: float) -> float | None:
        """Return how long to wait for the next turn, and take it; None when it comes after `patience`."""
        if not self.every:
            return 0.0
        full_at = max(self._full_at, now)
        wait = max(0.0, full_at - self._ahead - now)
        if wait > patience:
            return None
        self._full_at = full_at + self.every
        return wait


def simulate(due: Floats, fleet: Fleet, random: np.random.Generator) -> Outcome:
    """Let decisions that are due at these moments, in rising order, pass through the fleet."""
    return _Run(due, fleet, random).outcome()


class _Run:
    def __init__(self, due: Floats, fleet: Fleet, random: np.random.Generator) -> None:
        self._due, self._fleet, self._count = due, fleet, len(due)
        self._latency = fleet.latency(random, len(due)).tolist()
        self._free = deque(worker for _ in range(fleet.threads) for worker in range(fleet.workers))
        self._waiting: deque[int] = deque()
        self._python = [0.0] * fleet.workers
        """When each worker has computed all that it was given."""
        self._cores = [0.0] * fleet.database_cores
        self._turns = Turns(fleet.turns_per_minute)
        self._worker = [0] * len(due)
        self._start, self._turn, self._end = ([0.0] * len(due) for _ in range(3))
        self._unasked, self._late = ([False] * len(due) for _ in range(2))
        # Events of one moment keep their order by a number of their own.
        self._events = [(at, number, ARRIVED, number) for number, at in enumerate(due.tolist())]
        self._number = len(due)

    def outcome(self) -> Outcome:
        steps = (self._arrived, self._computed, self._read, self._answered, self._decided, self._written)
        while self._events:
            now, _, kind, decision = heapq.heappop(self._events)
            steps[kind](now, decision)
        start, turn, end = (np.array(values) for values in (self._start, self._turn, self._end))
        return Outcome(
            start - self._due,
            turn,
            end - self._due,
            np.array(self._unasked),
            np.array(self._late),
            *self._busy(start, end),
        )

    def _then(self, at: float, kind: int, decision: int) -> None:
        self._number += 1
        heapq.heappush(self._events, (at, self._number, kind, decision))

    def _arrived(self, now: float, decision: int) -> None:
        if self._free:
            self._begin(now, decision, self._free.popleft())
        else:
            self._waiting.append(decision)

    def _begin(self, now: float, decision: int, worker: int) -> None:
        self._start[decision], self._worker[decision] = now, worker
        self._compute(now, decision, self._fleet.before, COMPUTED)

    def _compute(self, now: float, decision: int, seconds: float, then: int) -> None:
        """Queue for the worker's Python. First come, first served: the interpreter's turns of 5 ms are not drawn."""
        if not seconds:
            self._then(now, then, decision)
            return
        worker = self._worker[decision]
        self._python[worker] = max(self._python[worker], now) + seconds
        self._then(self._python[worker], then, decision)

    def _query(self, now: float, decision: int, seconds: float, then: int) -> None:
        if not seconds:
            self._then(now, then, decision)
            return
        at = max(self._cores[0], now) + seconds
        heapq.heapreplace(self._cores, at)
        self._then(at, then, decision)

    def _computed(self, now: float, decision: int) -> None:
        self._query(now, decision, self._fleet.reading, READ)

    def _read(self, now: float, decision: int) -> None:
        deadline = self._fleet.deadline
        wait = self._turns.take(now, deadline)
        if wait is None:
            self._unasked[decision] = True
            self._then(now, ANSWERED, decision)
            return
        self._turn[decision] = wait
        self._late[decision] = wait + self._latency[decision] > deadline
        self._then(now + min(wait + self._latency[decision], deadline), ANSWERED, decision)

    def _answered(self, now: float, decision: int) -> None:
        self._compute(now, decision, self._fleet.after, DECIDED)

    def _decided(self, now: float, decision: int) -> None:
        self._query(now, decision, self._fleet.writing, WRITTEN)

    def _written(self, now: float, decision: int) -> None:
        self._end[decision] = now
        if self._waiting:
            self._begin(now, self._waiting.popleft(), self._worker[decision])
        else:
            self._free.append(self._worker[decision])

    def _busy(self, start: Floats, end: Floats) -> tuple[float, float, float]:
        fleet, span = self._fleet, max(float(end.max() - self._due[0]), 1e-9)
        threads = float((end - start).sum()) / (span * fleet.workers * fleet.threads)
        python = self._count * (fleet.before + fleet.after) / (span * fleet.workers)
        database = self._count * (fleet.reading + fleet.writing) / (span * fleet.database_cores)
        return threads, python, database


def fixed(seconds: float) -> Draw:
    """Return what always takes the same."""
    return lambda _, count: np.full(count, seconds)


def exponential(mean: float) -> Draw:
    return lambda random, count: random.exponential(mean, count)


def lognormal(median: float, p95: float) -> Draw:
    """Return what half of the time takes less than `median`, and one time of twenty more than `p95`."""
    sigma = math.log(p95 / median) / 1.6448536269514722  # the 95th percentile of the normal distribution
    return lambda random, count: random.lognormal(math.log(median), sigma, count)


def due_times(bots: int, *, interval: float, closes: int, random: np.random.Generator) -> Floats:
    """Return when bots are due, rising: at each close, each with its own offset within min(60 s, interval ÷ 3)."""
    offsets = np.sort(random.uniform(0, min(60.0, interval / 3), bots))
    return np.concatenate([close * interval + offsets for close in range(closes)])


def poisson(rate: float, count: int, random: np.random.Generator) -> Floats:
    return np.cumsum(random.exponential(1 / rate, count))
