"""Making a backup: dump, encrypt, store, write the manifest last, let old ones go, and have on record how it went."""

from __future__ import annotations

import errno
import json
import logging
import sqlite3
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final, cast

from django.conf import settings

from accounts.models import Backup, Incident
from accounts.services import incident_open, incidents_mended
from trading.selectors.installation import installation
from vibex.backup import last_success
from vibex.backup.domain.manifest import Manifest, Tables
from vibex.backup.domain.names import MANIFEST, Name
from vibex.backup.domain.retention import expired
from vibex.backup.engine import engine_chosen
from vibex.backup.sealing import SUFFIX, recipients, sealed, sealed_text
from vibex.backup.storage import Storage, leftovers, names_in, storage_chosen
from vibex.backup.streams import Counted, work_folder
from vibex.lib.errors import Rejected, VibexError
from vibex.lib.installation import installation_tag
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)

FAILED: Final = "backup-failed"
"""The incident about a backup that could not be made. The next one that is made ends it."""
HOURLY: Final = timedelta(minutes=50)
"""One that is younger will do: tasks come twice when a worker dies."""
UNTHINNED: Final = "backups-not-removed"
"""The incident about old backups that stay where they are. The next time that they go ends it."""
LEFT_BEHIND: Final = timedelta(days=1)
"""So old is what a killed upload left before it goes."""


@dataclass(frozen=True, slots=True)
class Made:
    """A backup that was made, and the files of older ones that went."""

    manifest: Manifest
    place: str
    removed: tuple[str, ...]
    unthinned: str
    """Why not all went that should have; empty when they did."""


def backup_make() -> Made:
    """Make a backup and let old ones go. How it went is on record; of a failure people are told. Old ones that do not go
    are told of too, and are no failure.

    Raises Rejected or NeedsOperator that say what to do, Retryable for a storage that cannot be reached.
    """
    began, clock = datetime.now(UTC), time.monotonic()
    try:
        return _make(clock)
    except (VibexError, OSError, sqlite3.Error) as fault:
        problem = _told(fault)
        if getattr(problem, "code", "") != "at_work":  # that one is on its way
            _failed(str(problem), began, time.monotonic() - clock)
        raise problem from fault
    except Exception as bug:  # whatever it was, there is no backup: people have to know
        _failed(f"{type(bug).__name__}: {mask_text(str(bug))[:300]}", began, time.monotonic() - clock)
        raise


def _make(clock: float) -> Made:
    engine, storage, to = engine_chosen(), storage_chosen(), recipients()
    with engine.only_one(), work_folder(Path(settings.VIBEX_DATA_DIR)) as work:
        storage.sweep()
        name, file = None, ""
        try:
            with engine.dump(work) as dump:
                name = Name(installation_tag(), dump.at.replace(microsecond=0))
                file = f"{name}{engine.suffix}{SUFFIX if to else ''}"
                with sealed(dump.reader, to) as stream:
                    counted = Counted(stream)
                    storage.put(file, cast("BinaryIO", counted))
            # Only now is it known that the dump came to its end.
            manifest = Manifest(
                name=str(name),
                at=dump.at,
                seconds=round(time.monotonic() - clock, 3),
                database=engine.vendor,
                server=dump.server,
                program=installation().versions["vibex"],
                migrations=dump.migrations,
                extensions=dump.extensions,
                file=file,
                size=counted.bytes,
                sha256=counted.sha256,
                recipients=to,
                tables=None if to else dict(dump.tables),
                sealed_tables=sealed_text(tables_written(dump.tables), to) if to else "",
            )
            storage.put(name.manifest, BytesIO(manifest.written()))
        except BaseException:
            if file:
                with suppress(VibexError, OSError):
                    storage.remove(file)
            raise
        _recorded(manifest, storage.place, time.monotonic() - clock)  # before anything of old ones can go wrong
        removed, unthinned = _old_ones_gone(storage, name)
        return Made(manifest, storage.place, removed, unthinned)


def backup_is_due() -> bool:
    """Tell whether the newest backup is about an hour old."""
    newest = last_success()
    return newest is None or datetime.now(UTC) - newest >= HOURLY


def tables_written(tables: Tables) -> bytes:
    """Return the figures of a database as JSON."""
    return json.dumps({name: figures.model_dump() for name, figures in tables.items()}).encode()


def _recorded(manifest: Manifest, place: str, seconds: float) -> None:
    Backup.objects.create(
        name=manifest.name,
        at=manifest.at,
        well=True,
        place=place,
        bytes=manifest.size,
        seconds=round(seconds, 3),
        encrypted=manifest.encrypted,
    )
    incidents_mended(account=None, kind=FAILED)


def _old_ones_gone(storage: Storage, newest: Name) -> tuple[tuple[str, ...], str]:
    """Let old ones go; return the names of the files, and why others stayed. The new one is there whatever comes of it."""
    removed = list[str]()
    try:
        removed.extend(_thinned(storage, newest))
    except (VibexError, OSError) as fault:
        problem = str(_told(fault))
    except Exception as bug:
        log.exception("old backups were not removed")
        problem = f"{type(bug).__name__}, which the log has in full."
    else:
        incidents_mended(account=None, kind=UNTHINNED)
        return tuple(removed), ""
    text = f"A backup was made, but old ones could not be removed: {problem}"
    incident_open(account=None, kind=UNTHINNED, text=text, severity=Incident.Severity.WARNING, subject="backup")
    return tuple(removed), problem


def _thinned(storage: Storage, newest: Name) -> Iterator[str]:
    """Remove what is no longer kept, manifests first: a file without one is no backup. Yields the names."""
    files = storage.files()
    gone = {str(name) for name in expired(names_in(files), tag=newest.tag)}
    theirs = [file for file in files if file.partition(".")[0] in gone]
    manifests_first = sorted(theirs, key=lambda file: (not file.endswith(MANIFEST), file))
    for file in [*manifests_first, *leftovers(files, tag=newest.tag, before=newest.at - LEFT_BEHIND)]:
        storage.remove(file)
        yield file


def _failed(problem: str, began: datetime, seconds: float) -> None:
    place = settings.BACKUP_S3_URL or str(settings.BACKUP_DIR)
    Backup.objects.create(name="", at=began, well=False, place=place[:300], seconds=round(seconds, 3), problem=problem)
    incident_open(account=None, kind=FAILED, text=f"No backup could be made: {problem}", subject="backup")


def _told(fault: VibexError | OSError | sqlite3.Error) -> VibexError:
    if isinstance(fault, VibexError):
        return fault
    if isinstance(fault, sqlite3.Error):
        return Rejected(
            f"SQLite could not be copied: {fault}. Look for room and rights in {settings.VIBEX_DATA_DIR}.",
            code="sqlite",
        )
    where = fault.filename or settings.BACKUP_DIR
    if fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return Rejected(f"{where}: the disk is full. Free room, or set BACKUP_DIR to a larger one.", code="full")
    return Rejected(
        f"{where} cannot be used: {fault.strerror or fault}. Check BACKUP_DIR and its rights.", code="folder"
    )
