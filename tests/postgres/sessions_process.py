"""A process of its own, as `argv` says, that tells how its sessions on PostgreSQL behave. Prints one JSON object."""

from __future__ import annotations

import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor


def told(argv: list[str]) -> dict[str, object]:
    sys.argv = argv
    os.environ["DJANGO_SETTINGS_MODULE"] = "vibex.settings"
    import django

    django.setup()
    return {
        "limits": limits(),
        "name": shown("application_name"),
        "long statement": long_statement(),
        "after it": one("SELECT 1"),
        "unhurried": unhurried_limits(),
        "after the block": shown("statement_timeout"),
        "idle": idle_in_transaction(),
        "most at once": most_at_once(),
        "fork": fork(),
    }


def one(statement: str):
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0]


def shown(name: str) -> str:
    return str(one(f"SHOW {name}"))


def limits() -> list[str]:
    return [shown(name) for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")]


def long_statement() -> str:
    from django.db import OperationalError

    try:
        return f"slept: {one('SELECT pg_sleep(1.5)::text')}"
    except OperationalError as fault:
        return type(fault.__cause__).__name__


def unhurried_limits() -> list[str]:
    from django.db import connection

    from vibex.lib.connections import unhurried

    with unhurried(connection):
        return [shown("statement_timeout"), shown("lock_timeout")]


def idle_in_transaction() -> str:
    """A transaction that does nothing is ended by the server, and the next use begins anew."""
    from django.db import DatabaseError, close_old_connections, transaction

    try:
        with transaction.atomic():
            one("SELECT 1")
            time.sleep(2.5)
            one("SELECT 1")
    except DatabaseError as fault:
        cause = type(fault.__cause__).__name__
        close_old_connections()
        return f"{cause}, then {one('SELECT 1')}"
    return "still open"


def most_at_once() -> int:
    """More threads than connections: each waits for its turn, none fails."""
    from django.db import connection

    def work(_: int) -> int:
        one("SELECT pg_sleep(0.05)::text")
        count = one(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = current_setting('application_name')"
        )
        connection.close()
        return int(count)

    with ThreadPoolExecutor(12) as threads:
        return max(threads.map(work, range(36)))


def fork() -> dict[str, object]:
    """The child has connections of its own, and those of the parent live on."""
    from django.db import connection

    mine = one("SELECT pg_backend_pid()")
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        its = one("SELECT pg_backend_pid()")
        connection.close()
        connection.close_pool()
        os.write(into, str(its).encode())
        os._exit(0)
    os.waitpid(child, 0)
    its = int(os.read(out, 20))
    return {"own connection": its != mine, "parent's is alive": one("SELECT pg_backend_pid()") == mine}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(told(json.loads(sys.argv[1]))))
