"""What a manifest says of its backup, and how the figures of two databases are compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vibex.backup.domain.names import name_of
from vibex.lib.errors import Rejected

FORMAT: Final = 1
type Vendor = Literal["postgresql", "sqlite"]


class Figures(BaseModel):
    """How many rows a table has, and the sum of each column of money or quantity, as the database wrote it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rows: int
    sums: dict[str, str] = {}


type Tables = Mapping[str, Figures]


class Manifest(BaseModel):
    """All that is known of a backup without opening it. With encryption the figures are sealed with it."""

    model_config = ConfigDict(frozen=True)

    format: Literal[1] = FORMAT
    name: str
    at: datetime
    """The moment whose state it holds."""
    seconds: float
    database: Vendor
    server: str
    """Version of the database server."""
    program: str
    """Version of Vibex."""
    migrations: tuple[str, ...]
    """Applied ones, as app.name."""
    extensions: tuple[str, ...] = ()
    file: str
    size: int
    """In bytes, as it lies there."""
    sha256: str
    recipients: tuple[str, ...] = ()
    """Public keys of those who can open it; none: it is not encrypted."""
    tables: dict[str, Figures] | None = None
    sealed_tables: str = ""
    """The same as JSON, encrypted as the file is."""

    @property
    def encrypted(self) -> bool:
        return bool(self.recipients)

    def written(self) -> bytes:
        """Return it as it is stored."""
        return self.model_dump_json(indent=1).encode()


def manifest_read(raw: bytes, file: str) -> Manifest:
    """Return a manifest. Raises Rejected for what is none, or belongs to another file."""
    try:
        found = Manifest.model_validate_json(raw)
    except ValidationError as fault:
        where = ".".join(str(part) for part in fault.errors()[0]["loc"])
        raise Rejected(
            f"{file} is no manifest of a backup that this version reads ({where}).", code="manifest"
        ) from None
    name = name_of(found.name)
    if name is None or name.manifest != file or name_of(found.file) != name:
        raise Rejected(f"{file} speaks of another backup: {found.name}.", code="manifest")
    return found


def newer_than(found: Manifest, known: frozenset[str]) -> list[str]:
    """Return the migrations of a backup that this version of the program does not know."""
    return [name for name in found.migrations if name not in known]


def differences(wanted: Tables, found: Tables) -> Iterator[str]:
    """Yield in words where the figures of a restored database differ from those of its manifest."""
    for table in sorted({*wanted, *found}):
        ours, theirs = wanted.get(table), found.get(table)
        if ours is None or theirs is None:
            yield f"{table}: {'not in the manifest' if ours is None else 'missing'}"
            continue
        if ours.rows != theirs.rows:
            yield f"{table}: {theirs.rows} rows, {ours.rows} were backed up"
        for column in sorted({*ours.sums, *theirs.sums}):
            before, now = ours.sums.get(column), theirs.sums.get(column)
            if before != now:
                yield f"{table}.{column}: the sum is {now}, {before} was backed up"
