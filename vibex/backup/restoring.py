"""Restoring: looked at before anything is touched, loaded beside the database in use, and put in its place at the end.

Until the last step the old database stands as it was: whoever kills this in the middle has lost nothing. What takes its
place is at the program's version already, and bars every account until its books were found to agree with its exchange.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from django.conf import settings
from django.core.management import call_command
from django.db.migrations.loader import MigrationLoader

from accounts.models import Backup
from trading.services.lease import cycles_abandon
from trading.services.restored import restored_bar
from vibex.backup.domain.manifest import Manifest, differences, newer_than
from vibex.backup.domain.names import name_of
from vibex.backup.engine import Engine, Scratch, engine_chosen
from vibex.backup.finding import backup_found, proved, tables_of, unsealed
from vibex.backup.sealing import can_open
from vibex.backup.storage import Storage, storage_chosen
from vibex.backup.streams import work_folder
from vibex.lib.errors import Rejected
from vibex.lib.installation import installation_tag

SHOWN: Final = 5
type Tell = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a restore would do, and what stands in its way."""

    manifest: Manifest
    place: str
    target: str
    where: str
    rows: int | None
    """In the database that would be replaced; None where there is none, or one without tables."""
    refusals: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def replaces(self) -> bool:
        """Whether something would be replaced: then a person has to say so."""
        return bool(self.rows)


@dataclass(frozen=True, slots=True)
class Restored:
    """A restore that was done: how many accounts are barred, and where the database is that was there before."""

    manifest: Manifest
    barred: int
    kept: str


def restore_plan(wanted: str) -> Plan:
    """Look at a backup (its name, or `latest`) and at the database in use; touch neither. Raises Rejected for none."""
    engine, storage = engine_chosen(), storage_chosen()
    return _plan(engine, storage, backup_found(storage, wanted))


def restore(plan: Plan, *, pause_bots: bool = False, tell: Tell = bool) -> Restored:
    """Put the database of a backup in the place of the one in use. Raises Rejected for what stands in the way."""
    engine, storage, found = engine_chosen(), storage_chosen(), plan.manifest
    with engine.only_one(), work_folder(Path(settings.VIBEX_DATA_DIR)) as work:
        _refuse(_plan(engine, storage, found))
        with proved(storage, found, work) as file, engine.scratch() as scratch:
            tell("the checksum is right")
            _load(scratch, found, file, tell)
            with scratch.used_by_django():
                call_command("migrate", interactive=False, verbosity=0)
                tell("migrated to this version")
                cycles_abandon()
                barred = restored_bar(name=found.name, at=found.at, pause_bots=pause_bots)
                _record(found, storage)
            if others := engine.users():
                raise Rejected(
                    f"Meanwhile {', '.join(others)} began to use {engine.target()}: stop it first.", code="in_use"
                )
            kept = scratch.take_place(keep_as=f"before_{datetime.now(UTC):%Y%m%d_%H%M%S}")
    return Restored(found, barred, kept)


def checksum_check(found: Manifest) -> None:
    """Read the file of a backup and compare its checksum. Raises Rejected when it differs."""
    data = Path(settings.VIBEX_DATA_DIR)
    with engine_chosen().only_one(), work_folder(data) as work, proved(storage_chosen(), found, work):
        pass


def backup_verify(wanted: str, *, tell: Tell = bool) -> Manifest:
    """Restore a backup into a scratch database and compare it with its manifest, table by table.

    Raises Rejected with what differs. The database in use is not touched, and may be in use.
    """
    engine, storage = engine_chosen(), storage_chosen()
    found = backup_found(storage, wanted)
    _refuse_vendor(engine, found)
    data = Path(settings.VIBEX_DATA_DIR)
    with (
        engine.only_one(),
        work_folder(data) as work,
        proved(storage, found, work) as file,
        engine.scratch() as scratch,
    ):
        tell("the checksum is right")
        _load(scratch, found, file, tell)
    Backup.objects.filter(name=found.name, well=True).update(verified=datetime.now(UTC))
    return found


def _load(scratch: Scratch, found: Manifest, file: Path, tell: Tell) -> None:
    wanted = tables_of(found)
    with unsealed(file, found) as stream:
        scratch.load(stream, extensions=found.extensions)
    if wrong := list(differences(wanted, scratch.figures())):
        raise Rejected(f"The restored database differs from the manifest: {'; '.join(wrong[:SHOWN])}.", code="differs")
    rows, sums = sum(one.rows for one in wanted.values()), sum(len(one.sums) for one in wanted.values())
    tell(f"{len(wanted)} tables with {rows:,} rows and {sums} sums are as they were backed up")


def _plan(engine: Engine, storage: Storage, found: Manifest) -> Plan:
    refusals, notes = list[str](), list[str]()
    if found.database != engine.vendor:
        refusals.append(f"It is a backup of {found.database}, and this installation runs on {engine.vendor}.")
    if newer := newer_than(found, _known_migrations()):
        refusals.append(
            f"It was made by a newer version ({found.program}): this one does not know {', '.join(newer[:SHOWN])}. "
            "Install that version first."
        )
    elif waiting := len(_known_migrations() - set(found.migrations)):
        notes.append(f"{waiting} migrations will be applied: it was made by version {found.program}.")
    if not can_open(found.recipients):
        refusals.append(
            "BACKUP_KEY does not open it: set it to the secret half of " + ", ".join(found.recipients) + "."
        )
    if others := engine.users():
        refusals.append(f"{engine.target()} is in use by {', '.join(others)}: stop every process of Vibex first.")
    name = name_of(found.name)
    if name is not None and name.tag != installation_tag():
        notes.append(
            "It is of an installation with another SECRET_KEY: orders made after it would be taken for those of "
            "somebody else. Set the SECRET_KEY of that installation first."
        )
    there = engine.target(), engine.where(), engine.rows_there()
    return Plan(found, storage.place, *there, tuple(refusals), tuple(notes))


def _refuse(plan: Plan) -> None:
    if plan.refusals:
        raise Rejected(" ".join(plan.refusals), code="refused")


def _refuse_vendor(engine: Engine, found: Manifest) -> None:
    if found.database != engine.vendor:
        raise Rejected(
            f"It is a backup of {found.database}, and this installation runs on {engine.vendor}: "
            "verify it where DATABASE_URL is that of such a server.",
            code="vendor",
        )


def _known_migrations() -> frozenset[str]:
    loader = MigrationLoader(None)
    return frozenset(f"{app}.{name}" for app, name in loader.disk_migrations)


def _record(found: Manifest, storage: Storage) -> None:
    """Have the backup on record in itself: it was not yet, when it was taken."""
    Backup.objects.get_or_create(
        name=found.name,
        well=True,
        defaults={
            "at": found.at,
            "place": storage.place,
            "bytes": found.size,
            "seconds": found.seconds,
            "encrypted": found.encrypted,
            "verified": datetime.now(UTC),
        },
    )
