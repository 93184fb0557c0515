"""Timing that compares: the candidates take turns, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

type Clock = Callable[[], float]


def in_turns(
    calls: Mapping[str, Callable[[], object]], *, rounds: int, repeat: int = 1, clock: Clock = time.process_time
) -> dict[str, float]:
    """Return the median seconds of one call of each candidate over `rounds` turns of `repeat` calls each.

    The order changes from round to round: going first is a disadvantage of its own. The clock counts processor time,
    which other programs on the machine disturb less than wall time.
    """
    found: dict[str, list[float]] = {name: [] for name in calls}
    names = list(calls)
    for _ in range(rounds):
        for name in names:
            found[name].append(_seconds(calls[name], repeat, clock))
        names.reverse()
    return {name: median(values) for name, values in found.items()}


def of_children() -> float:
    """Return the seconds of processor time that ended child processes have taken so far: a clock for `in_turns`."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def percentile(values: list[float], share: float) -> float:
    """Return the value below which `share` of the sorted values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


@dataclass(frozen=True, slots=True)
class Took:
    """What one call took, in seconds: on the clock, of the processor, and what the clock would say at full speed."""

    wall: float
    busy: float
    at_full_speed: float


class Speed:
    """How fast the machine is now, next to its best: by a fixed piece of work that is done before and after each call.

    On rented machines the same work takes once and again two or three times as long, with nothing of ours running. What
    a bar in milliseconds is held against is the time of a call divided by how much slower that work was around it.
    """

    def __init__(self, seconds: float = 1.0) -> None:
        self.best = float("inf")
        """Seconds of the work at its best."""
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            self._now()

    def rounds(self, call: Callable[[], object], times: int) -> list[Took]:
        """Call, so many times, and return what each took."""
        found = []
        for _ in range(times):
            before = self._now()
            began, worked = time.perf_counter(), time.process_time()
            call()
            wall, busy = time.perf_counter() - began, time.process_time() - worked
            found.append(Took(wall, busy, wall * 2 * self.best / (before + self._now())))
        return found

    def _now(self) -> float:
        took = _seconds(_work, 1, time.perf_counter)
        self.best = min(self.best, took)
        return took


def _work() -> None:
    total = 0
    for number in range(40_000):
        total += number


def _seconds(call: Callable[[], object], times: int, clock: Clock) -> float:
    began = clock()
    for _ in range(times):
        call()
    return (clock() - began) / times
