"""Streams on their way: counted and hashed while they are read, and a folder to work in that a kill leaves for the next."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO, Final

WORK: Final = "backup-work-"
PIECE: Final = 1 << 20


class Counted:
    """A reader that knows how much was read through it, and its SHA-256."""

    def __init__(self, reader: BinaryIO) -> None:
        self._reader = reader
        self._hash = hashlib.sha256()
        self.bytes = 0

    def read(self, wanted: int = -1) -> bytes:
        piece = self._reader.read(wanted)
        self._hash.update(piece)
        self.bytes += len(piece)
        return piece

    def read_on(self) -> None:
        """Read to the end, keeping nothing."""
        while self.read(PIECE):
            pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@contextmanager
def work_folder(below: Path) -> Iterator[Path]:
    """Yield a folder for a while. Nobody else is at work, the caller sees to that: what killed ones left is removed."""
    below.mkdir(parents=True, exist_ok=True)
    for left in below.glob(f"{WORK}*"):
        with suppress(OSError):
            shutil.rmtree(left)
    with TemporaryDirectory(prefix=WORK, dir=below, ignore_cleanup_errors=True) as folder:
        yield Path(folder)
