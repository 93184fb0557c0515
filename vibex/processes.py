"""The processes of an installation of several: the one list. Compose files, units and tests follow it.

`python -m vibex.processes` prints it. What each does, and what happens while it is away: docs/processes.md.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from vibex.lib.queues import CYCLES, GUARD, MARKET, SLOW

MIGRATE: Final = "migrate"
QUIET_WORKER: Final = ("--without-gossip", "--without-mingle", "--without-heartbeat")
"""Workers need not know of each other: the database says who does what."""


@dataclass(frozen=True, slots=True)
class Service:
    """One kind of process."""

    name: str
    does: str
    command: tuple[str, ...]
    """Words of the command; the programs `python` and `celery` are those of the environment."""
    health: tuple[str, ...] = ()
    """Ends with 0 while it works. Costs no database and no Redis: a process is not restarted for another's fault."""
    environment: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = (MIGRATE,)
    """Services that have to have ended well before it starts."""
    once: bool = False
    """It does its work and ends."""
    stop_seconds: int = 30
    """Seconds that it may take to end after SIGTERM, before it is killed."""
    most: int | None = 1
    """How many do any good; None: as many as you like. More do no harm."""


def _worker(queues: tuple[str, ...], name: str, threads: int | None = None) -> tuple[str, ...]:
    """Return the command of a worker with so many threads; None: as many as CYCLE_THREADS says."""
    taken = ("-Q", ",".join(queues), "-n", f"{name}@%h")
    said = ("-c", str(threads)) if threads else ()
    return ("celery", "-A", "vibex", "worker", *taken, "--pool", "threads", *said, *QUIET_WORKER)


def _alive(name: str) -> tuple[str, ...]:
    return ("python", "-m", "vibex.lib.alive", name)


SERVICES: Final = (
    Service(
        "migrate",
        "brings the tables to the present version; two at once do no harm",
        ("python", "manage.py", "migrate_once"),
        needs=(),
        once=True,
        stop_seconds=300,
    ),
    Service(
        "web",
        "pages, API and streams, in WEB_PROCESSES processes",
        ("python", "manage.py", "web"),
        _alive("web"),
        environment={"API_HOST": "0.0.0.0", "API_PORT": "3000", "WEB_PROCESSES": "4"},  # noqa: S104 - behind the proxy
        stop_seconds=60,
        most=None,
    ),
    Service(
        "worker-cycles",
        "decisions of bots, CYCLE_THREADS at once",
        _worker((CYCLES,), "cycles"),
        _alive("cycles"),
        stop_seconds=120,
        most=None,
    ),
    Service(
        "worker-guard",
        "looks after accounts, with and without Redis; tells people",
        _worker((GUARD,), "guard", 8),
        _alive("guard"),
        stop_seconds=90,
        most=None,
    ),
    Service(
        "worker-slow",
        "catalogues, retention, figures, hourly comparison with the exchanges",
        # Backup, upkeep and some comparisons may take minutes at once: none of them free would look like all of them stuck.
        _worker((MARKET, SLOW), "slow", 8),
        _alive("slow"),
        stop_seconds=120,
        most=None,
    ),
    Service(
        "beat",
        "sends what is due; schedules stand in the database",
        ("celery", "-A", "vibex", "beat"),
        _alive("beat"),
        stop_seconds=20,
    ),
    Service(
        "stream",
        "prices and candles of the venue",
        ("python", "manage.py", "stream"),
        _alive("stream"),
    ),
    Service(
        "user-streams",
        "listens to what venues tell of live accounts",
        ("python", "manage.py", "user_streams"),
        _alive("user-streams"),
        stop_seconds=60,
    ),
)


def service(name: str) -> Service:
    """Return the service of a name. Raises KeyError."""
    return {one.name: one for one in SERVICES}[name]


def here(command: tuple[str, ...]) -> list[str]:
    """Return the words of a command with the programs of this environment."""
    return [str(Path(sys.executable).with_name(command[0])), *command[1:]]


if __name__ == "__main__":
    for one in SERVICES:
        sys.stdout.write(f"{one.name:<14} {' '.join(one.command)}\n")
