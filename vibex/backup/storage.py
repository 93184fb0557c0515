"""Where backups lie. A file is there whole or not at all; a backup is there when its manifest is, which comes last."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from django.conf import settings

from vibex.backup.domain.names import Name, name_of
from vibex.lib.errors import Rejected

PART: Final = ".part-"
"""How the names of files begin that are being written."""
PIECE: Final = 1 << 20


class Storage(Protocol):
    """A place for files of backups. Raises OSError or Rejected where it cannot be used."""

    place: str
    """Folder or bucket, for a person; without secrets."""

    def files(self) -> dict[str, int]:
        """Return the files of backups that lie there, with their bytes."""
        ...

    def put(self, file: str, reader: BinaryIO) -> None:
        """Store a stream to its end, whole or not at all."""
        ...

    def opened(self, file: str) -> AbstractContextManager[BinaryIO]:
        """Yield what reads the file. Raises Rejected where there is none."""
        ...

    def remove(self, file: str) -> None: ...

    def sweep(self) -> None:
        """Take away what writers left behind that were killed. Only while no other writer can be at work."""
        ...


class Folder:
    """A folder of this machine, or one that is mounted."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.place = str(path)

    def files(self) -> dict[str, int]:
        if not self._path.is_dir():
            return {}
        return {
            file.name: file.stat().st_size for file in self._path.iterdir() if file.is_file() and name_of(file.name)
        }

    def put(self, file: str, reader: BinaryIO) -> None:
        self._path.mkdir(parents=True, exist_ok=True)
        part = self._path / f"{PART}{file}"
        try:
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
                shutil.copyfileobj(reader, out, PIECE)
                out.flush()
                os.fsync(out.fileno())
            part.replace(self._path / file)
            self._remember()
        except BaseException:
            part.unlink(missing_ok=True)
            raise

    @contextmanager
    def opened(self, file: str) -> Iterator[BinaryIO]:
        try:
            with (self._path / file).open("rb") as reader:
                yield reader
        except FileNotFoundError:
            raise Rejected(f"{file} is not in {self.place}.", code="missing") from None

    def local(self, file: str) -> Path:
        """Return where a file lies on this machine."""
        return self._path / file

    def remove(self, file: str) -> None:
        with suppress(FileNotFoundError):
            (self._path / file).unlink()

    def sweep(self) -> None:
        if self._path.is_dir():
            for left in self._path.glob(f"{PART}*"):
                left.unlink(missing_ok=True)

    def _remember(self) -> None:
        """Have the folder itself on the disk: a name that a power cut takes back was never there."""
        handle = os.open(self._path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def storage_chosen() -> Storage:
    """Return the place that the settings name."""
    if settings.BACKUP_S3_URL:
        from vibex.backup.s3 import Bucket

        return Bucket(
            settings.BACKUP_S3_URL,
            access_key=settings.BACKUP_S3_ACCESS_KEY,
            secret_key=settings.BACKUP_S3_SECRET_KEY,
            region=settings.BACKUP_S3_REGION,
        )
    return Folder(Path(settings.BACKUP_DIR))


def names_in(files: dict[str, int]) -> list[Name]:
    """Return the backups whose manifest is there, oldest first."""
    named = {name for file in files if (name := name_of(file)) and file == name.manifest}
    return sorted(named, key=lambda name: (name.at, name.tag))


def leftovers(files: dict[str, int], *, tag: str, before: datetime) -> list[str]:
    """Return files of the installation `tag` from before a moment that no manifest belongs to: what a kill left behind."""
    whole = set(names_in(files))
    named = ((file, name_of(file)) for file in files)
    return sorted(file for file, name in named if name and name.tag == tag and name not in whole and name.at < before)
