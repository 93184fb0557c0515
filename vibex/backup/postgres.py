"""Dumps and restores of PostgreSQL, by its own tools. Passwords go by the environment, never by the command line."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final, cast

from django.db import connection

from vibex.backup.domain.manifest import Figures, Tables, Vendor
from vibex.backup.engine import Dump
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.lib.masking import mask_text

if TYPE_CHECKING:
    import psycopg

log = logging.getLogger(__name__)

KEY_OF_LOCK: Final = 7_620_318
"""Of the advisory lock that a backup or restore holds; any number that nothing else in Vibex uses."""
MAINTENANCE: Final = "postgres"
"""A database that is always there, to make, rename and drop others from."""
LIBPQ: Final = (
    *("host", "hostaddr", "port", "user", "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "channel_binding"),
    *("gssencmode", "krbsrvname", "target_session_attrs", "keepalives_idle", "keepalives_interval", "keepalives_count"),
)
"""Settings that the tools share with Django. Limits of time are not among them: a dump takes as long as it takes."""
LOCK_WAIT: Final = "30s"
"""So long a dump waits for a migration that holds a table; meanwhile nothing is held up by it."""
SCRATCH: Final = "_scratch_"
"""Stands in the name of a scratch database between a mark of the database in use and eight digits."""
DIGITS: Final = re.compile(r"[0-9a-f]{8}")
READABLE: Final = 30
"""Bytes of the database's name in that mark. A name of PostgreSQL has 63 at most; what is longer it cuts off."""
TIMESCALE: Final = "timescaledb"
USERS: Final = """
SELECT coalesce(nullif(application_name, ''), 'a program'), count(*) FROM pg_stat_activity
WHERE datname = %s AND usesysid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'
AND application_name NOT LIKE 'TimescaleDB %%' GROUP BY 1 ORDER BY 1
"""
"""Those who came from outside. The server's own workers, autovacuum and TimescaleDB's scheduler, which never goes, make way
for a rename by themselves. Who may not see what kind of backend another is takes it for one from outside."""
SEARCH_PATH: Final = """
SELECT split_part(setting, '=', 2) FROM pg_db_role_setting JOIN pg_database ON pg_database.oid = setdatabase,
unnest(setconfig) AS setting WHERE datname = %s AND setting LIKE 'search_path=%%'
"""
"""Where the sessions of one database alone look for tables."""
GIVEN_PATH: Final = re.compile(r"search_path\s*=\s*((?:\\.|\S)+)")
DEFAULT_PATHS: Final = ("public", '"$user",public', "$user,public")
START_WORKERS: Final = """
SELECT coalesce(to_regprocedure('_timescaledb_functions.start_background_workers()'),
                to_regprocedure('_timescaledb_internal.start_background_workers()'))::text
"""
"""Which function of TimescaleDB starts its workers in a database. They stop for a rename, and do not come back by themselves."""


class PostgresEngine:
    """The database that DATABASE_URL names."""

    vendor: Vendor = "postgresql"
    suffix = ".dump"

    def target(self) -> str:
        return str(connection.settings_dict["NAME"])

    def where(self) -> str:
        told = connection.settings_dict
        return f"on {told['HOST'] or 'this machine'}" + (f", port {told['PORT']}" if told["PORT"] else "")

    @contextmanager
    def only_one(self) -> Iterator[None]:
        with _connect(MAINTENANCE) as session:
            self._schema_check(session)
            # Advisory locks are per database: everybody asks for it in the same one.
            asked = session.execute("SELECT pg_try_advisory_lock(%s, hashtext(%s))", [KEY_OF_LOCK, self.target()])
            if not cast("tuple[bool]", asked.fetchone())[0]:
                raise Rejected("Another backup or restore of this database is at work: wait for it.", code="at_work")
            self._sweep(session)
            yield

    def _schema_check(self, session: psycopg.Connection[Any]) -> None:
        """Refuse tables in a schema that only this database's sessions look at: in a scratch database nobody would."""
        given = GIVEN_PATH.findall(connection.settings_dict.get("OPTIONS", {}).get("options", ""))
        own = [str(row[0]) for row in session.execute(SEARCH_PATH, [self.target()])]
        elsewhere = [path for path in (*own, *given) if re.sub(r"[\s\\]", "", path) not in DEFAULT_PATHS]
        if elsewhere:
            raise NeedsOperator(
                f"The tables of {self.target()} are looked for in {elsewhere[-1]} (a search_path in DATABASE_URL, or set for the "
                "database): backup, verify and restore know the default schema only. Give Vibex a database of its own "
                "without a search_path, or use pg_dump and pg_restore by hand."
            )

    def _sweep(self, session: psycopg.Connection[Any]) -> None:
        """Drop scratch databases whose makers were killed. Nobody else is at work on one now."""
        begins = f"{marked(self.target())}{SCRATCH}"  # of this database alone: another one may be at work on its own
        left = session.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [begins])
        for (name,) in left.fetchall():
            if DIGITS.fullmatch(str(name).removeprefix(begins)):
                session.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    @contextmanager
    def dump(self, work: Path) -> Iterator[Dump]:
        with _connect(self.target()) as session:
            session.execute("SET idle_in_transaction_session_timeout = 0")
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            moment = session.execute("SELECT pg_export_snapshot(), now(), current_setting('server_version')")
            snapshot, at, server = cast("tuple[str, datetime, str]", moment.fetchone())
            tables, migrations = _figures(session), _migrations(session)
            found = session.execute("SELECT extname FROM pg_extension WHERE extname <> 'plpgsql' ORDER BY 1")
            extensions = tuple(str(row[0]) for row in found)
            command = ["pg_dump", "--format=custom", "--compress=3", "--no-owner", "--no-privileges", "--no-password",
                       f"--snapshot={snapshot}", f"--lock-wait-timeout={LOCK_WAIT}"]  # fmt: skip
            with _tool(command, self.target(), output=subprocess.PIPE) as process:
                yield Dump(cast("BinaryIO", process.stdout), at.astimezone(UTC), server, migrations, tables, extensions)

    @contextmanager
    def scratch(self) -> Iterator[PostgresScratch]:
        name = f"{marked(self.target())}{SCRATCH}{secrets.token_hex(4)}"
        made = PostgresScratch(name, self.target())
        _let_go()
        _maintain(f"CREATE DATABASE {_quoted(name)} TEMPLATE template0")
        try:
            yield made
        finally:
            _maintain(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")

    def rows_there(self) -> int | None:
        if not _exists(self.target()):
            return None
        with _connect(self.target()) as session:
            tables = _tables(session)
            if not tables:
                return None
            return sum(_count(session, table) for table in tables if table != "django_migrations")

    def users(self) -> list[str]:
        _let_go()
        with _connect(MAINTENANCE) as session:
            rows = session.execute(USERS, [self.target()])
            return [f"{name} ({count})" for name, count in rows]


def marked(database: str) -> str:
    """Return how the names of its scratch databases begin: with its own, and a digest that tells it from every other."""
    return f"{_cut(database, READABLE)}_{hashlib.sha256(database.encode()).hexdigest()[:8]}"


def _cut(name: str, most: int) -> str:
    """Return the beginning of a name, of so many bytes at most."""
    return name.encode()[:most].decode(errors="ignore")


class PostgresScratch:
    """A database beside the one in use. It takes its place by two renames in one transaction."""

    def __init__(self, name: str, target: str) -> None:
        self.name = name
        self._target = target

    def load(self, reader: BinaryIO, *, extensions: Sequence[str]) -> None:
        timescale = TIMESCALE in extensions
        if timescale:
            self._timescale("pre")
        command = ["pg_restore", "--no-owner", "--no-privileges", "--exit-on-error", "--no-password"]
        with _tool([*command, f"--dbname={_conninfo(self.name)}"], None, given=subprocess.PIPE) as process:
            given = cast("IO[bytes]", process.stdin)
            try:
                shutil.copyfileobj(reader, given, 1 << 20)
                given.close()
            except BrokenPipeError:
                pass  # it has ended before: its own words say why
        if timescale:
            self._timescale("post")

    def figures(self) -> Tables:
        with _connect(self.name) as session:
            session.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return _figures(session)

    @contextmanager
    def used_by_django(self) -> Iterator[None]:
        _let_go()
        told = connection.settings_dict
        before, told["NAME"] = told["NAME"], self.name
        try:
            yield
        finally:
            _let_go()
            told["NAME"] = before

    def take_place(self, *, keep_as: str) -> str:
        _let_go()
        kept = f"{_cut(self._target, 40)}_{keep_as}" if _exists(self._target) else ""
        with _in_nobodys_use(self._target), _connect(MAINTENANCE) as session, session.transaction():
            if kept:
                session.execute(f"ALTER DATABASE {_quoted(self._target)} RENAME TO {_quoted(kept)}")
            session.execute(f"ALTER DATABASE {_quoted(self.name)} RENAME TO {_quoted(self._target)}")
        self._wake_timescale()
        return kept

    def _wake_timescale(self) -> None:
        """Let TimescaleDB go on compressing. Without it nothing is lost: a server that is started anew does it too."""
        import psycopg

        try:
            with _connect(self._target) as session:
                found = session.execute(START_WORKERS).fetchone()
                if found and found[0]:
                    session.execute(f"SELECT {found[0]}")
        except (psycopg.Error, Retryable) as fault:  # the restore is done, and nothing of it is undone by this
            log.warning("TimescaleDB compresses nothing before its server is started anew: %s", type(fault).__name__)

    def _timescale(self, step: str) -> None:
        """Tell TimescaleDB that its own tables are about to be restored, or were: its documents want both."""
        with _connect(self.name) as session:
            session.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            session.execute(f"SELECT timescaledb_{step}_restore()")


@contextmanager
def _in_nobodys_use(target: str) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.errors.ObjectInUse as fault:
        raise Rejected(
            f"{target} is in use ({fault.diag.message_detail or fault}): stop whoever uses it, then restore again. "
            "Nothing was changed.",
            code="in_use",
        ) from None


def _let_go() -> None:
    """Close what Django holds open: a database that is renamed or dropped may have no user."""
    connection.close()
    getattr(connection, "close_pool", lambda: None)()


def _settings() -> tuple[dict[str, Any], dict[str, str]]:
    """Return what libpq is told by name, and what goes by the environment."""
    told = connection.get_connection_params()
    named = {name: told[name] for name in LIBPQ if told.get(name) not in (None, "")}
    environment = {**os.environ, "PGAPPNAME": "vibex backup", "PGCONNECT_TIMEOUT": "10"}
    if told.get("password"):
        environment["PGPASSWORD"] = str(told["password"])
    return named, environment


def _connect(database: str) -> psycopg.Connection[Any]:
    import psycopg

    named, environment = _settings()
    try:
        session = psycopg.connect(
            dbname=database,
            password=environment.get("PGPASSWORD"),
            application_name="vibex backup",
            connect_timeout=10,
            autocommit=True,
            **named,
        )
    except psycopg.OperationalError as fault:
        raise Retryable(
            f"The database {database} cannot be reached: {_told(str(fault).encode())}. Check DATABASE_URL and the server."
        ) from None
    session.execute("SET statement_timeout = 0")
    return session


def _conninfo(database: str) -> str:
    from psycopg.conninfo import make_conninfo

    return make_conninfo(dbname=database, **_settings()[0])


def _maintain(statement: str) -> None:
    import psycopg

    with _connect(MAINTENANCE) as session:
        try:
            session.execute(statement)
        except psycopg.errors.InsufficientPrivilege:
            user = connection.settings_dict["USER"]
            raise NeedsOperator(
                f"{user} may not make databases, and a backup is loaded beside the one in use: "
                f"`ALTER ROLE {user} CREATEDB;` as a superuser, or restore by hand (docs/backup.md)."
            ) from None


def _exists(database: str) -> bool:
    with _connect(MAINTENANCE) as session:
        return session.execute("SELECT 1 FROM pg_database WHERE datname = %s", [database]).fetchone() is not None


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _tool(
    command: list[str], database: str | None, *, given: int | None = subprocess.DEVNULL, output: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run one of PostgreSQL's tools. Leaving the context waits for it, and raises Rejected with its words if it failed."""
    if shutil.which(command[0]) is None:
        raise NeedsOperator(
            f"{command[0]} is not installed: install PostgreSQL's client programs of the server's own version "
            "(for a server of 16 on Debian: apt-get install postgresql-client-16)."
        )
    where = [] if database is None else [f"--dbname={_conninfo(database)}"]
    with TemporaryFile() as words:
        process = subprocess.Popen(  # noqa: S603 - a fixed program
            [*command, *where], stdin=given, stdout=output, stderr=words, env=_settings()[1]
        )
        try:
            yield process
        except BaseException:
            process.kill()
            process.wait()
            raise
        if process.stdout is not None:
            process.stdout.close()
        if process.wait() != 0:
            words.seek(0)
            raise Rejected(f"{command[0]} failed: {_told(words.read())}", code="tool")


def _told(words: bytes) -> str:
    lines = [line for line in words.decode(errors="replace").splitlines() if line.strip()]
    return mask_text("; ".join(lines[:3]))[:600] or "it said nothing"


def _tables(session: psycopg.Connection[Any]) -> list[str]:
    rows = session.execute("SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename")
    return [str(row[0]) for row in rows]


def _count(session: psycopg.Connection[Any], table: str) -> int:
    row = session.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()  # noqa: S608 - a name of the catalogue
    return int(cast("tuple[int]", row)[0])


def _figures(session: psycopg.Connection[Any]) -> Tables:
    """Count every table and add up its columns of money and quantities: one reading of each."""
    rows = session.execute(
        "SELECT table_name, column_name FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND data_type = 'numeric' ORDER BY 1, ordinal_position"
    )
    money: dict[str, list[str]] = {}
    for table, column in rows:
        money.setdefault(str(table), []).append(str(column))
    return {table: _figures_of(session, table, money.get(table, [])) for table in _tables(session)}


def _figures_of(session: psycopg.Connection[Any], table: str, columns: Sequence[str]) -> Figures:
    sums = "".join(f", sum({_quoted(column)})::text" for column in columns)
    row = session.execute(f"SELECT count(*){sums} FROM {_quoted(table)}").fetchone()  # noqa: S608 - a name of the catalogue
    count, *totals = cast("tuple[Any, ...]", row)
    return Figures(rows=count, sums=_named(columns, totals))


def _named(columns: Sequence[str], totals: Sequence[str | None]) -> dict[str, str]:
    return {column: total for column, total in zip(columns, totals, strict=True) if total is not None}


def _migrations(session: psycopg.Connection[Any]) -> tuple[str, ...]:
    if "django_migrations" not in _tables(session):
        raise Rejected(
            "There is nothing to back up: the database has no tables. Run `manage.py migrate`.", code="empty"
        )
    rows = session.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1")
    return tuple(str(row[0]) for row in rows)
