"""An installation of its own for a benchmark: a temporary folder, a temporary database, nothing of the real one."""

from __future__ import annotations

import os
import secrets
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vibex.lib.env import ROOT
from vibex.lib.variables import VARIABLES

POSTGRES_URL = "postgres://postgres@127.0.0.1:5432/postgres"


def environment(folder: Path, **more: str) -> dict[str, str]:
    """Return the process environment of an installation in `folder`: SQLite, one process, no key, quiet."""
    ours = {*VARIABLES, *(f"{name}_FILE" for name in VARIABLES), "PYTEST_CURRENT_TEST"}
    kept = {name: value for name, value in os.environ.items() if name not in ours}
    own = {
        "DJANGO_SETTINGS_MODULE": "vibex.settings",
        "VIBEX_ENV": "dev",
        "LOG_LEVEL": "ERROR",
        "MARKET": "simulated",
        "VIBEX_DATA_DIR": str(folder / "data"),
        "VIBEX_LOG_DIR": str(folder / "logs"),
        "VIBEX_SHARED_DATA": str(shared_data()),
    }
    return {**kept, **own, **more}


def shared_data() -> Path:
    """Return the folder of recorded candles (VIBEX_SHARED_DATA, beside the repository when unset)."""
    return Path(os.environ.get("VIBEX_SHARED_DATA", ROOT.parent / "shared" / "data"))


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder that is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="vibex-bench-", ignore_cleanup_errors=True) as name:
        yield Path(name)


@contextmanager
def postgres() -> Iterator[str | None]:
    """Make a database on the server at CI_POSTGRES_URL and yield its URL; None when there is no server."""
    import psycopg
    from psycopg.sql import SQL, Identifier

    server, name = os.environ.get("CI_POSTGRES_URL", POSTGRES_URL), f"vibex_bench_{secrets.token_hex(4)}"
    try:
        connection = psycopg.connect(server, autocommit=True, connect_timeout=3)
    except psycopg.OperationalError:
        yield None
        return
    with connection:
        connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        try:
            yield server.rpartition("/")[0] + f"/{name}"
        finally:
            connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(Identifier(name)))


def enter(home: Path) -> None:
    """Make this process one of the installation in `home` and load Django. Once per process."""
    import django

    os.environ.clear()
    os.environ.update(environment(home))
    django.setup()


def python(*arguments: str) -> list[str]:
    """Return the command line of this interpreter."""
    return [sys.executable, *arguments]
