"""A backup or a restore that is killed (SIGKILL) at a named point. Run by test_killed_backup.py as a process."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

import django

POINTS: Final = (
    "backup: dump begun",
    "backup: half written",
    "backup: written, no manifest",
    "backup: manifest written",
    "restore: half loaded",
    "restore: loaded",
    "restore: migrated, not barred",
    "restore: about to take the place",
)


def _die(*_: Any, **__: Any) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _before(owner: Any, name: str, when: Callable[..., bool] = lambda *_, **__: True) -> None:
    original = getattr(owner, name)

    def called(*given: Any, **named: Any) -> Any:
        if when(*given, **named):
            _die()
        return original(*given, **named)

    setattr(owner, name, called)


def armed(point: str) -> None:
    """Have this process killed when it comes to the point."""
    from vibex.backup import making, restoring, storage
    from vibex.backup.engine import engine_chosen
    from vibex.backup.streams import Counted

    engine = type(engine_chosen())
    with engine_chosen().scratch() as scratch:
        kind = type(scratch)
    match point:
        case "backup: dump begun":
            _before(storage.Folder, "put")
        case "backup: half written":
            _before(Counted, "read", lambda self, *_: self.bytes > 0)
        case "backup: written, no manifest":
            _before(making, "Manifest")
        case "backup: manifest written":
            _before(making, "_thinned")
        case "restore: half loaded":
            _half(kind)
        case "restore: loaded":
            _before(restoring, "differences")
        case "restore: migrated, not barred":
            _before(restoring, "restored_bar")
        case "restore: about to take the place":
            _before(kind, "take_place")
        case _:
            raise ValueError(point)
    assert engine


def _half(kind: Any) -> None:
    load = kind.load

    class Half:
        def __init__(self, reader: Any) -> None:
            self.reader, self.told = reader, 0

        def read(self, wanted: int = -1) -> bytes:
            if self.told > 0:
                _die()
            piece: bytes = self.reader.read(min(wanted, 4096) if wanted > 0 else 4096)
            self.told += len(piece)
            return piece

    kind.load = lambda self, reader, **named: load(self, Half(reader), **named)


if __name__ == "__main__":
    django.setup()
    from django.core.management import call_command

    point, *command = sys.argv[1:]
    armed(point)
    call_command(*command)
