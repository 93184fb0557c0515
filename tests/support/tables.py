"""A database with all its tables, made once and copied: to make them anew takes longer than what most tests are about.

What is copied follows from the migrations: when one changes, it is made anew. Copies lie in the folder for temporary files, and
on PostgreSQL in a database of their own.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
FILE = "vibex.sqlite3"
PREFIX = "vibex_tables_"


def tables(folder: Path) -> None:
    """Put a SQLite file with all tables into a data folder that has none."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(_file(), folder / FILE)


def tables_made() -> None:
    """Make the tables of the database that Django is set up for, unless it has them."""
    from django.conf import settings
    from django.db import connection

    there = bool(connection.introspection.table_names())
    connection.close()
    if there:
        return
    if connection.vendor == "sqlite":
        tables(Path(settings.DATABASES["default"]["NAME"]).parent)
    else:
        connection.close_pool()  # type: ignore[attr-defined]
        _copied_on_server(settings.DATABASES["default"])


def tables_on_server(url: str) -> None:
    """Make the database of a URL of PostgreSQL anew, with all tables."""
    from environ import Env

    _copied_on_server(dict(Env.db_url_config(url)))


def _file() -> Path:
    made = Path(tempfile.gettempdir()) / f"{PREFIX}{os.getuid()}_{_of_migrations()}.sqlite3"
    with _alone(made.name):
        if not made.exists():
            with tempfile.TemporaryDirectory() as folder:
                _migrated(VIBEX_DATA_DIR=folder, VIBEX_LOG_DIR=folder)
                shutil.move(Path(folder) / FILE, made.with_suffix(".new"))
            made.with_suffix(".new").replace(made)
    return made


def _copied_on_server(database: dict[str, Any]) -> None:
    import psycopg

    place = {
        name: database[name.upper()] for name in ("host", "port", "user", "password") if database.get(name.upper())
    }
    template, name = f"{PREFIX}{_of_migrations()}", database["NAME"]
    with psycopg.connect(dbname="postgres", autocommit=True, **place) as server, _alone(template):
        if not server.execute("SELECT 1 FROM pg_database WHERE datname = %s", [template]).fetchone():
            _made_on_server(server, template, place)
        server.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'.encode())
        server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'.encode())


def _made_on_server(server: Any, template: str, place: dict[str, Any]) -> None:
    """Make the database that is copied, and take away those of other migrations."""
    for (old,) in server.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", [f"{PREFIX}%"]).fetchall():
        server.execute(f'DROP DATABASE "{old}" WITH (FORCE)'.encode())
    server.execute(f'CREATE DATABASE "{template}_new"'.encode())
    who = f"{place.get('user', 'postgres')}" + (f":{place['password']}" if place.get("password") else "")
    where = f"{place.get('host', '127.0.0.1')}:{place.get('port', 5432)}"
    with tempfile.TemporaryDirectory() as folder:
        url = f"postgres://{who}@{where}/{template}_new"
        _migrated(VIBEX_DATA_DIR=folder, VIBEX_LOG_DIR=folder, DATABASE_URL=url)
    server.execute(f'ALTER DATABASE "{template}_new" RENAME TO "{template}"'.encode())


def _migrated(**environment: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    own = {"VIBEX_ENV": "dev", "LOG_LEVEL": "ERROR", "LOG_FILES": "no", "DJANGO_SETTINGS_MODULE": "vibex.settings"}
    command = [sys.executable, "manage.py", "migrate", "-v", "0"]
    subprocess.run(command, cwd=ROOT, env={**kept, **own, **environment}, check=True, timeout=300)


@contextmanager
def _alone(name: str) -> Iterator[None]:
    """Let one process at a time make what all of them copy."""
    with (Path(tempfile.gettempdir()) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@cache
def _of_migrations() -> str:
    """Return what tells one state of the migrations from another."""
    import django

    digest = sha256(f"{django.__version__} {sys.version_info}".encode())
    for file in sorted(ROOT.glob("*/migrations/*.py")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:16]
