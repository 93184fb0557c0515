"""Where the tables are: SQLite in one file, or PostgreSQL with a pool, limits per kind of process, and keepalives."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Final

from environ import Env

from vibex.lib.logging import program_of
from vibex.lib.variables import Environment


class Kind(StrEnum):
    """What a process is to the database: how long its statements may take."""

    PAGES = "pages"
    WORK = "work"
    COMMAND = "command"


PAGES: Final = frozenset({"web", "runserver", "daphne"})
WORK: Final = frozenset({"up", "feed", "stream", "user_streams", "exchange_server"})
STATEMENT_SECONDS: Final = {Kind.PAGES: 30, Kind.WORK: 60, Kind.COMMAND: 0}
"""Unless DATABASE_STATEMENT_SECONDS says otherwise. Nobody waits for a page that long; 0 is no limit."""
COMMAND_IDLE: Final = 10
"""How many times DATABASE_IDLE_SECONDS a command may leave a transaction open: a person may be asked meanwhile."""
POOL_WAIT: Final = 10
"""Seconds that a thread waits for a connection of its process."""
LINK: Final = {
    "connect_timeout": 5,
    # A server that is gone without a word is found out in a minute, not in the two hours of the system's default:
    # by these while nothing is under way, by the fourth (milliseconds) while something was sent and not acknowledged.
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
UNCOMPILED: Final = "-c jit=off"
"""Compiling a statement takes longer than running any of ours: 180 ms of 195 for the accounts of the first page."""


def database(environment: Environment, argv: Sequence[str]) -> dict[str, Any]:
    """Return Django's database settings for the process that was started by `argv`."""
    if environment.DATABASE_URL:
        return postgres(environment, kind_of(argv))
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": environment.VIBEX_DATA_DIR / "vibex.sqlite3",
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            # FULL: with NORMAL a power cut takes the last commits back, and with them intents that were sent already.
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }


def postgres(environment: Environment, kind: Kind) -> dict[str, Any]:
    """Return the settings of PostgreSQL. What the URL says of the link goes before what is said here."""
    config: dict[str, Any] = Env.db_url_config(environment.DATABASE_URL)
    given = config.get("OPTIONS", {})
    options = {
        "application_name": f"vibex {kind}",
        **LINK,
        **given,
        "options": f"{session_limits(environment, kind)} {UNCOMPILED} {given.get('options', '')}".strip(),
        # A pool replaces persistent connections, which Django rules out under ASGI.
        "pool": {"min_size": 1, "max_size": environment.DATABASE_POOL_SIZE, "timeout": POOL_WAIT},
    }
    # Checked when it is handed out: after a server that started anew, each that was idle would fail who gets it.
    return {**config, "CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": True, "OPTIONS": options}


def session_limits(environment: Environment, kind: Kind) -> str:
    """Return the limits of a session as start parameters: they hold from its first statement, and cost none."""
    statement = environment.DATABASE_STATEMENT_SECONDS
    if statement is None or kind is Kind.COMMAND:
        statement = STATEMENT_SECONDS[kind]
    idle = environment.DATABASE_IDLE_SECONDS * (COMMAND_IDLE if kind is Kind.COMMAND else 1)
    seconds = {
        "statement_timeout": statement,
        "lock_timeout": environment.DATABASE_LOCK_SECONDS,
        "idle_in_transaction_session_timeout": idle,
    }
    return " ".join(f"-c {name}={value}s" for name, value in seconds.items())


def kind_of(argv: Sequence[str]) -> Kind:
    """Return what kind of process was started."""
    program, command = program_of(argv), "".join(argv[1:2])
    if program == "daphne" or command in PAGES:
        return Kind.PAGES
    return Kind.WORK if program == "celery" or command in WORK else Kind.COMMAND
