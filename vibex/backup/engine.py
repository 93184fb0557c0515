"""The two databases as backups see them: a dump of one moment, and a scratch database that a dump is loaded into."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Protocol

from django.db import connection

from vibex.backup.domain.manifest import Tables, Vendor


@dataclass(frozen=True, slots=True)
class Dump:
    """A dump that is being read. All of it, figures included, is of the one moment `at`."""

    reader: BinaryIO
    at: datetime
    server: str
    migrations: tuple[str, ...]
    tables: Tables = field(repr=False)
    extensions: tuple[str, ...] = ()


class Scratch(Protocol):
    """A database beside the one in use, empty at first. It is removed at the end unless it took the other's place."""

    name: str

    def load(self, reader: BinaryIO, *, extensions: Sequence[str]) -> None:
        """Load a dump, whole or not at all. Raises Rejected with the tool's own words."""
        ...

    def figures(self) -> Tables: ...

    def used_by_django(self) -> AbstractContextManager[None]:
        """Let Django's default connection lead here for a while, in this process only."""
        ...

    def take_place(self, *, keep_as: str) -> str:
        """Become the database in use, in one step; the other one stays as `keep_as`. Returns where it is now, or ""."""
        ...


class Engine(Protocol):
    """What a backup needs of a database."""

    vendor: Vendor
    suffix: str
    """How the name of a dump's file ends."""

    def only_one(self) -> AbstractContextManager[None]:
        """Hold what one backup or restore holds at a time, and take away what killed ones left behind.

        Raises Rejected when another one is at work.
        """
        ...

    def dump(self, work: Path) -> AbstractContextManager[Dump]:
        """Yield a dump; leaving the context raises Rejected when it did not come to its end. `work` has room for a copy."""
        ...

    def scratch(self) -> AbstractContextManager[Scratch]: ...

    def target(self) -> str:
        """Name of the database in use, as a person types it to have it replaced."""
        ...

    def where(self) -> str:
        """Server or folder of it, for a person: databases of several installations may have one name."""
        ...

    def rows_there(self) -> int | None:
        """How many rows lie in the database in use, as far as it matters: 0 for empty tables, None for no tables at all."""
        ...

    def users(self) -> list[str]:
        """Who else is connected to the database in use, in words."""
        ...


def engine_chosen() -> Engine:
    """Return the engine of the database that the settings name."""
    if connection.vendor == "postgresql":
        from vibex.backup.postgres import PostgresEngine

        return PostgresEngine()
    from vibex.backup.sqlite import SqliteEngine

    return SqliteEngine()
