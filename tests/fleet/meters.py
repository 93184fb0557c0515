"""What a long run costs over time: memory, connections and open files of each process, and how late the guard is."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

import psutil
import redis

from tests.fleet.fleet import Fleet

LOOKED: Final = "SELECT COALESCE(extract(epoch FROM max(now() - at)), 0) FROM trading_guardstate"
CONNECTED: Final = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
MEGABYTE: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read at once. Megabytes and files are those of a service with all its children."""

    at: float
    megabytes: dict[str, float]
    files: dict[str, int]
    postgres: int
    redis: int
    guard: float
    """Seconds since the guard has looked at the account that it has looked at longest ago."""


@dataclass
class Meters:
    """Readings of a fleet, in the order of time."""

    house: Fleet
    readings: list[Reading] = field(default_factory=list)
    _began: float = field(default_factory=time.monotonic)

    def read(self) -> Reading:
        processes = {name: _family(one.pid) for name, one in self.house.running.items()}
        self.readings.append(
            Reading(
                at=time.monotonic() - self._began,
                megabytes={name: sum(map(_megabytes, family)) for name, family in processes.items()},
                files={name: sum(map(_files, family)) for name, family in processes.items()},
                postgres=self._asked(CONNECTED),
                redis=len(redis.Redis.from_url(self.house.redis).client_list()),
                guard=float(self._asked(LOOKED)),
            )
        )
        return self.readings[-1]

    def grown(self, what: str, *, warm: float) -> dict[str, float]:
        """Return by service how much more it has of `what` in the last quarter than in the first one after `warm` seconds,
        as a share of the latter; the medians of both."""
        after = [reading for reading in self.readings if reading.at >= warm]
        part = max(1, len(after) // 4)
        first, last = after[:part], after[-part:]
        return {name: _of(last, what, name) / _of(first, what, name) - 1.0 for name in self.house.running}

    def course(self, name: str) -> str:
        """Return the megabytes of a service over time, a dozen of them with their minutes: for one that has grown."""
        every = max(1, len(self.readings) // 12)
        return ", ".join(f"{one.at / 60:.0f}': {one.megabytes[name]:.0f}" for one in self.readings[::every])

    def _asked(self, query: str) -> Any:
        return self.house.asks(query)[0][0]


def _of(readings: list[Reading], what: str, name: str) -> float:
    return median(getattr(reading, what)[name] for reading in readings)


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _megabytes(process: psutil.Process) -> float:
    return float(process.memory_info().rss) / MEGABYTE


def _files(process: psutil.Process) -> int:
    return int(process.num_fds())
