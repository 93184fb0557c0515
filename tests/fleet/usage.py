"""What a fleet takes of its machine: memory that is its own, processor time, and what it asks of the database."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil
import redis

from tests.fleet.fleet import Fleet

SERVERS: Final = ("postgres", "redis-server")
"""Programs beside the fleet, which others on the machine may use as well."""
TRANSACTIONS: Final = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"
LOOKED: Final = "SELECT COALESCE(extract(epoch FROM max(now() - at)), 0) FROM trading_guardstate"
KILOBYTES: Final = 1024


@dataclass
class Usage:
    """Reads a fleet now and then, from when it is made."""

    house: Fleet
    most: float = 0.0
    """Megabytes of all its processes together when they had most; each page of memory that several share counts once."""
    megabytes: dict[str, float] = field(default_factory=dict)
    """By service, and by server beside them: the most that each had."""
    guard: float = 0.0
    """Seconds that an account has waited for the guard at most."""
    connections: tuple[int, int] = (0, 0)
    """To PostgreSQL and to Redis at most."""
    _at: float = 0.0

    def __post_init__(self) -> None:
        self._began = time.monotonic()
        self._processor, self._transactions = self._seconds(), self._counted()

    def read_every(self, seconds: float) -> bool:
        """Read if that is so long ago; return True, so that it can stand in a condition."""
        if time.monotonic() - self._at >= seconds:
            self._at = time.monotonic()
            self._read()
        return True

    def told(self, cycles: int) -> str:
        """Return the figures as lines of a table, per cycle where that says more."""
        passed = time.monotonic() - self._began
        processor = {name: after - self._processor.get(name, 0.0) for name, after in self._seconds().items()}
        transactions, each = self._counted() - self._transactions, max(cycles, 1)
        lines = [
            f"{name:<26} {self.megabytes.get(name, 0.0):6.0f} MB {seconds:8.1f} s of a processor, "
            f"{seconds / passed:4.0%}, {seconds / each * 1000:6.1f} ms a cycle"
            for name, seconds in processor.items()
        ]
        return "\n".join(
            [
                *lines,
                f"{'all but the servers':<26} {self.most:6.0f} MB at most",
                f"{'transactions':<26} {transactions:,}, {transactions / each:.1f} a cycle",
                f"{'connections at most':<26} {self.connections[0]} to PostgreSQL, {self.connections[1]} to Redis",
                f"{'waited for the guard':<26} {self.guard:.0f} s at most",
            ]
        )

    def _read(self) -> None:
        now = {name: sum(map(_megabytes, family)) for name, family in self._families().items()}
        self.most = max(self.most, sum(size for name, size in now.items() if name not in SERVERS))
        for name, size in now.items():
            self.megabytes[name] = max(self.megabytes.get(name, 0.0), size)
        self.guard = max(self.guard, float(self.house.asks(LOOKED)[0][0]))
        client = redis.Redis.from_url(self.house.redis)
        connected = self.house.asks("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        self.connections = (
            max(self.connections[0], connected[0][0]),
            max(self.connections[1], len(client.client_list())),
        )

    def _families(self) -> dict[str, list[psutil.Process]]:
        ours = {name: _family(one.pid) for name, one in self.house.running.items()}
        return ours | {name: [one for one in psutil.process_iter() if _name(one) == name] for name in SERVERS}

    def _seconds(self) -> dict[str, float]:
        return {name: sum(map(_processor, family)) for name, family in self._families().items()}

    def _counted(self) -> int:
        return int(self.house.asks(TRANSACTIONS)[0][0])


def _family(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _name(process: psutil.Process) -> str:
    try:
        return str(process.name())
    except psutil.NoSuchProcess:
        return ""


def _megabytes(process: psutil.Process) -> float:
    """Return its share of memory (PSS): what it shares with others is divided among them. 0 when it is gone."""
    try:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / KILOBYTES


def _processor(process: psutil.Process) -> float:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return 0.0
    return float(times.user + times.system)
