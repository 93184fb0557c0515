"""What became of decisions that were due: how late each began, how long it took, and how it ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from statistics import median
from typing import Any, Final

from benchmarks.timing import percentile
from tests.fleet.fleet import Fleet

CYCLES: Final = """
    SELECT cycle.bot_id, cycle.scheduled_for, cycle.began, cycle.ended, cycle.status, cycle.timings, cycle.error,
           COALESCE(call.outcome, 'nobody asked'), COALESCE(call.reason, '')
    FROM decisions_cycle cycle LEFT JOIN decisions_interaction call ON call.cycle_id = cycle.id AND call.used
    WHERE cycle.status <> 'skipped' OR cycle.error <> ''
    ORDER BY cycle.began
"""
COLUMNS: Final = ["bot", "slot", "began", "ended", "status", "timings", "error", "outcome", "reason"]


@dataclass(frozen=True, slots=True)
class Due:
    """A decision that is due `at` a moment, on the candle that closed at `slot`; None: on whichever is the newest."""

    bot: int
    at: datetime
    slot: datetime | None = None


@dataclass(frozen=True, slots=True)
class Cycle:
    """One that began, and when it should have."""

    due: datetime
    bot: int
    slot: datetime
    began: datetime
    ended: datetime | None
    status: str
    timings: dict[str, float]
    error: str
    outcome: str
    reason: str

    @property
    def lag(self) -> float:
        return (self.began - self.due).total_seconds()

    @property
    def seconds(self) -> float:
        return (self.ended - self.began).total_seconds() if self.ended else float("inf")

    @property
    def ours(self) -> float:
        """Milliseconds that it took besides waiting for the model."""
        return self.seconds * 1000 - self.timings.get("ask", 0.0)

    @property
    def outcome_told(self) -> str:
        """In a few words how it ended: its state, and what came of the question; the reason where that is no answer."""
        told = f"{self.status}, {self.outcome}"
        return told if told == "done, answered" else f"{told}: {(self.error or self.reason)[:80]}"


@dataclass(frozen=True)
class Decided:
    """All that were due, and those that began."""

    wanted: Sequence[Due]
    cycles: Sequence[Cycle]

    @cached_property
    def outcomes(self) -> Counter[str]:
        return Counter(one.outcome_told for one in self.cycles)

    @property
    def latest(self) -> timedelta:
        return timedelta(seconds=max((one.lag for one in self.cycles), default=0.0))

    @property
    def longest(self) -> timedelta:
        """Seconds of the cycle that took longest; of one that has not ended, more than there are."""
        return max((timedelta(seconds=min(one.seconds, 1e6)) for one in self.cycles), default=timedelta())

    def told(self) -> str:
        """Return the figures as lines of a table."""
        lags, took, ours = ([getattr(one, name) for one in self.cycles] for name in ("lag", "seconds", "ours"))
        rows = [
            ("cycles due, begun", f"{len(self.wanted):,}, {len(self.cycles):,}"),
            ("began after their moment", _spread(lags, "s")),
            ("took", _spread(took, "s")),
            ("took without the model", _spread(ours, "ms")),
            *((f"ended: {name}", f"{count:,}") for name, count in self.outcomes.most_common()),
        ]
        return "\n".join(f"{name:<26} {figure}" for name, figure in [*rows, *self._steps()])

    def _steps(self) -> list[tuple[str, str]]:
        names = dict.fromkeys(name for one in self.cycles for name in one.timings)
        by_step = {name: [one.timings[name] for one in self.cycles if name in one.timings] for name in names}
        return [(f"step {name}", _spread(values, "ms")) for name, values in by_step.items()]


def _spread(values: list[float], unit: str) -> str:
    if not values:
        return "-"
    of = (median(values), percentile(values, 0.99), max(values))
    return "median {:,.2f} {unit}, p99 {:,.2f} {unit}, max {:,.2f} {unit}".format(*of, unit=unit)


def decided(house: Fleet, wanted: Sequence[Due]) -> Decided:
    """Return what became of what was wanted. Where no candle is named, a bot has one cycle at most."""
    moments = {(one.bot, one.slot): one.at for one in wanted}
    cycles = []
    for row in house.asks(CYCLES):
        found: dict[str, Any] = dict(zip(COLUMNS, row, strict=True))
        at = moments.get((found["bot"], found["slot"])) or moments.get((found["bot"], None))
        if at is not None:
            cycles.append(Cycle(due=at, **found))
    return Decided(wanted, cycles)
