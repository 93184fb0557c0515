"""Finding backups again: the list, one by its name, its figures, and its file proved to be the one that was stored."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from vibex.backup.domain.manifest import Figures, Manifest, Tables, manifest_read
from vibex.backup.domain.names import name_of
from vibex.backup.sealing import opened, opened_text
from vibex.backup.storage import Folder, Storage, names_in
from vibex.backup.streams import Counted
from vibex.lib.errors import Rejected
from vibex.lib.installation import installation_tag

LATEST: Final = "latest"


def backups_in(storage: Storage) -> list[Manifest]:
    """Return all backups that can be read, oldest first. A manifest that is none is passed over."""
    found = list[Manifest]()
    for name in names_in(storage.files()):
        try:
            found.append(_manifest(storage, name.manifest))
        except Rejected:
            continue
    return sorted(found, key=lambda one: one.at)


def backup_found(storage: Storage, wanted: str) -> Manifest:
    """Return one backup, by its name or as `latest`. Raises Rejected where there is none, or a part of it is missing.

    The latest is that of this installation, where others keep theirs in the same place; of others only where it has none.
    """
    names = names_in(storage.files())
    if not names:
        raise Rejected(f"There is no backup in {storage.place}.", code="missing")
    ours = [name for name in names if name.tag == installation_tag()]
    name = (ours or names)[-1] if wanted == LATEST else name_of(wanted)
    if name not in names:
        raise Rejected(f"{wanted} is not in {storage.place}; `manage.py backup --list` shows what is.", code="missing")
    found = _manifest(storage, name.manifest)
    size = storage.files().get(found.file)
    if size != found.size:
        told = "missing" if size is None else f"{size:,} bytes long instead of {found.size:,}"
        raise Rejected(f"{found.file} is {told}: take another backup.", code="damaged")
    return found


@contextmanager
def proved(storage: Storage, found: Manifest, work: Path) -> Iterator[Path]:
    """Yield the file of a backup on this machine after its checksum has been compared. Raises Rejected when it differs."""
    local = storage.local(found.file) if isinstance(storage, Folder) else None
    with storage.opened(found.file) as reader:
        counted = Counted(reader)
        if local is None:
            local = work / found.file
            with local.open("wb") as copy:
                shutil.copyfileobj(cast("BinaryIO", counted), copy, 1 << 20)
        else:
            counted.read_on()
    if counted.sha256 != found.sha256:
        raise Rejected(
            f"{found.file} was changed since it was made (its SHA-256 differs): take another backup.", code="damaged"
        )
    yield local


@contextmanager
def unsealed(file: Path, found: Manifest) -> Iterator[BinaryIO]:
    """Yield what reads a dump as the database's tools wrote it. Errors as `sealing.opened`."""
    with file.open("rb") as raw, opened(raw, found.recipients) as stream:
        yield stream


def tables_of(found: Manifest) -> Tables:
    """Return the figures that a backup was made with. Errors as `sealing.opened`."""
    if found.tables is not None:
        return found.tables
    content = json.loads(opened_text(found.sealed_tables, found.recipients))
    return {name: Figures(**figures) for name, figures in content.items()}


def _manifest(storage: Storage, file: str) -> Manifest:
    with storage.opened(file) as reader:
        return manifest_read(reader.read(), file)
