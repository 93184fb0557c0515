"""Backups and restores of SQLite: by its own online copy, which is of one moment while others write on."""

from __future__ import annotations

import fcntl
import gzip
import os
import secrets
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final, cast

from django.conf import settings
from django.db import connection

from vibex.backup.domain.manifest import Figures, Tables, Vendor
from vibex.backup.engine import Dump
from vibex.lib.errors import Rejected

BESIDE: Final = ("-wal", "-shm", "-journal")
"""Files that belong to a database file by their names."""


class SqliteEngine:
    """The file in the data folder."""

    vendor: Vendor = "sqlite"
    suffix = ".sqlite3.gz"

    def target(self) -> str:
        return self._file.name

    def where(self) -> str:
        return f"in {self._file.absolute().parent}"

    @property
    def _file(self) -> Path:
        return Path(str(connection.settings_dict["NAME"]))

    @property
    def _scratch(self) -> str:
        return f".{self._file.name}.scratch-"

    @contextmanager
    def only_one(self) -> Iterator[None]:
        folder = Path(settings.VIBEX_DATA_DIR)
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "backup.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise Rejected(
                    "Another backup or restore of this database is at work: wait for it.", code="at_work"
                ) from None
            for left in self._file.parent.glob(f"{self._scratch}*"):
                left.unlink(missing_ok=True)
            yield

    @contextmanager
    def dump(self, work: Path) -> Iterator[Dump]:
        if not self._file.exists():
            raise Rejected(f"There is nothing to back up: {self._file} does not exist.", code="empty")
        copy = work / "copy.sqlite3"
        at = datetime.now(UTC)
        with closing(_opened(self._file)) as ours, closing(sqlite3.connect(copy)) as theirs:
            ours.backup(theirs)
        with closing(_opened(copy)) as session:
            tables, migrations = _figures(session), _migrations(session)
        packed = work / "copy.gz"
        with copy.open("rb") as raw, gzip.open(packed, "wb", compresslevel=3) as into:
            shutil.copyfileobj(raw, into, 1 << 20)
        copy.unlink()
        with packed.open("rb") as reader:
            yield Dump(reader, at, sqlite3.sqlite_version, migrations, tables)

    @contextmanager
    def scratch(self) -> Iterator[SqliteScratch]:
        self._file.parent.mkdir(parents=True, exist_ok=True)
        beside = self._file.with_name(f"{self._scratch}{secrets.token_hex(4)}")
        try:
            yield SqliteScratch(beside, self._file)
        finally:
            _removed(beside)

    def rows_there(self) -> int | None:
        if not self._file.exists() or not self._file.stat().st_size:
            return None
        try:
            with closing(_opened(self._file)) as session:
                tables = _tables(session)
                if not tables:
                    return None
                return sum(
                    int(session.execute(f"SELECT count(*) FROM {_quoted(table)}").fetchone()[0])  # noqa: S608 - a name of the catalogue
                    for table in tables
                    if table != "django_migrations"
                )
        except sqlite3.DatabaseError:
            return 1  # it cannot be read, and yet somebody may want it

    def users(self) -> list[str]:
        connection.close()
        return [*_up(Path(settings.VIBEX_DATA_DIR)), *_lockers(self._file)]


class SqliteScratch:
    """A file beside the one in use, which it replaces by a rename."""

    def __init__(self, file: Path, target: Path) -> None:
        self.name = str(file)
        self._file = file
        self._target = target

    def load(self, reader: BinaryIO, *, extensions: Sequence[str]) -> None:
        try:
            with gzip.open(reader) as raw, self._file.open("wb") as into:
                shutil.copyfileobj(raw, into, 1 << 20)
            with closing(sqlite3.connect(self._file)) as session:
                (said,) = session.execute("PRAGMA quick_check(1)").fetchone()
        except (gzip.BadGzipFile, EOFError, sqlite3.DatabaseError) as fault:
            raise Rejected(f"The backup holds no usable database: {fault}.", code="tool") from None
        if said != "ok":
            raise Rejected(f"SQLite finds the restored file damaged: {said}.", code="tool")

    def figures(self) -> Tables:
        with closing(_opened(self._file)) as session:
            return _figures(session)

    @contextmanager
    def used_by_django(self) -> Iterator[None]:
        connection.close()
        told = connection.settings_dict
        before, told["NAME"] = told["NAME"], self._file
        try:
            yield
        finally:
            connection.close()
            told["NAME"] = before

    def take_place(self, *, keep_as: str) -> str:
        from vibex.serve import only_process

        # Whoever starts now would trade on with the file that is put aside.
        with only_process(Path(settings.VIBEX_DATA_DIR)):
            return self._take_place(keep_as)

    def _take_place(self, keep_as: str) -> str:
        connection.close()
        _whole(self._file)
        kept = ""
        if self._target.exists():
            with suppress(sqlite3.DatabaseError):  # a damaged one is kept as it is, with what lies beside it
                _whole(self._target)
            before = self._target.with_name(f"{self._target.name}.{keep_as}")
            os.link(self._target, before)
            for end in BESIDE:
                with suppress(FileNotFoundError):
                    Path(f"{self._target}{end}").rename(f"{before}{end}")
            kept = str(before)
        self._file.replace(self._target)
        _synced(self._target.parent)
        return kept


def _opened(file: Path) -> sqlite3.Connection:
    """Open a file to read; it is not made where it is missing."""
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=rw", uri=True, timeout=20)


def _whole(file: Path) -> None:
    """Bring everything into the one file, on the disk: nothing of it stays in files beside it."""
    with closing(_opened(file)) as session:
        session.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        session.execute("PRAGMA journal_mode=DELETE")
    with file.open("rb") as written:
        os.fsync(written.fileno())


def _synced(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _removed(file: Path) -> None:
    for end in ("", *BESIDE):
        Path(f"{file}{end}").unlink(missing_ok=True)


def _up(folder: Path) -> Iterator[str]:
    """Yield who holds the lock of the data folder."""
    lock = folder / "up.lock"
    if not lock.exists():
        return
    with lock.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            yield f"`manage.py up` (process {file.read().strip() or 'unknown'})"


def _lockers(file: Path) -> Iterator[str]:
    """Yield whether another process is reading or writing right now. One that only has it open is not seen."""
    if not file.exists():
        return
    try:
        with closing(sqlite3.connect(file, timeout=1)) as session:
            session.execute("PRAGMA locking_mode=EXCLUSIVE")
            session.execute("BEGIN EXCLUSIVE")
            session.rollback()
    except sqlite3.OperationalError as fault:
        if "locked" in str(fault) or "busy" in str(fault):
            yield "another program"
    except sqlite3.DatabaseError:
        return


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _tables(session: sqlite3.Connection) -> list[str]:
    rows = session.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
    )
    return [str(row[0]) for row in rows]


def _figures(session: sqlite3.Connection) -> Tables:
    return {table: _figures_of(session, table) for table in _tables(session)}


def _figures_of(session: sqlite3.Connection, table: str) -> Figures:
    """Count a table and add up its columns of money. SQLite adds in binary fractions: the same rows give the same text."""
    kinds = session.execute(f"PRAGMA table_info({_quoted(table)})").fetchall()
    columns = [str(row[1]) for row in kinds if str(row[2]).lower().startswith("decimal")]
    sums = "".join(f", sum({_quoted(column)})" for column in columns)
    count, *totals = session.execute(f"SELECT count(*){sums} FROM {_quoted(table)} NOT INDEXED").fetchone()  # noqa: S608 - as above
    told = zip(columns, cast("list[object]", totals), strict=True)
    return Figures(rows=count, sums={column: str(total) for column, total in told if total is not None})


def _migrations(session: sqlite3.Connection) -> tuple[str, ...]:
    if "django_migrations" not in _tables(session):
        raise Rejected(
            "There is nothing to back up: the database has no tables. Run `manage.py migrate`.", code="empty"
        )
    return tuple(str(row[0]) for row in session.execute("SELECT app || '.' || name FROM django_migrations ORDER BY 1"))
