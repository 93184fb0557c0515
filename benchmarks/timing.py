"""Timing that compares: the candidates take turns, so that a noisy machine is noisy for all of them."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping
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


def _seconds(call: Callable[[], object], times: int, clock: Clock) -> float:
    began = clock()
    for _ in range(times):
        call()
    return (clock() - began) / times
