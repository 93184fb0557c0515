"""What code of others may do while it sends a message: reach the network, and nothing else of this machine.

The interpreter tells every connection, file and process that is about to be opened, whoever opens it and by whatever
library, after names were resolved and for redirections too. What is told in a confined thread is refused unless allowed.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from accounts.domain.alerts import is_private

FOLDERS: Final = (sys.prefix, sys.base_prefix, "/usr/share", "/usr/lib", "/etc/ssl", "/etc/pki")
FILES: Final = ("/etc/mime.types/", "/dev/null/", "/dev/urandom/")
READABLE: Final = (*(f"{Path(folder).resolve()}/" for folder in FOLDERS), *FILES)
"""Code, time zones and certificates."""
CONNECTS: Final = frozenset({"socket.connect", "socket.sendto", "socket.sendmsg"})
READS: Final = frozenset({"open", "os.listdir", "os.scandir"})
FORBIDDEN: Final = {
    "subprocess.Popen": "start a program",
    "os.system": "start a program",
    "os.exec": "start a program",
    "os.posix_spawn": "start a program",
    "os.spawn": "start a program",
    "os.fork": "start a program",
    "os.forkpty": "start a program",
    "socket.bind": "wait for connections",
    "ctypes.dlopen": "load a library of the system",
    "os.remove": "delete a file",
    "os.rename": "rename a file",
    "os.mkdir": "make a folder",
    "os.chmod": "change a file",
    "os.symlink": "make a link",
    "os.link": "make a link",
    "_thread.start_new_thread": "start a thread",
    "_thread.start_joinable_thread": "start a thread",
}
WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Confined(PermissionError):
    """What was about to be done is not allowed. The message says what and why."""


class _Here(threading.local):
    private: bool | None = None
    """Whether this thread may reach private addresses; None where it is not confined."""
    refused: str = ""


_here = _Here()
_hooked = threading.Lock()
_watching: list[bool] = []


@contextmanager
def confined(*, private: bool) -> Iterator[_Here]:
    """Confine this thread. What was refused first stands in `refused` of what is yielded, whoever swallowed the error."""
    _watch()
    before, _here.private, _here.refused = _here.private, private, ""
    try:
        yield _here
    finally:
        _here.private = before


def _watch() -> None:
    """Let the interpreter tell us, from the first time on: it has no way to stop."""
    with _hooked:
        if not _watching:
            sys.addaudithook(_told)
            _watching.append(True)


def _told(event: str, arguments: tuple[Any, ...], here: _Here = _here) -> None:
    """Refuse what is confined. `here` is at hand even when the interpreter ends and has taken our names away."""
    if here.private is None:
        return
    why = ""
    if event in CONNECTS:
        why = _why_not_connect(arguments[-1])
    elif event in READS:
        why = _why_not_open(*arguments)
    elif event in FORBIDDEN:
        why = f"A message may not {FORBIDDEN[event]} on this machine."
    if why:
        here.refused = here.refused or why
        raise Confined(why)


def _why_not_connect(address: Any) -> str:
    if not isinstance(address, tuple):
        return "A message may not go to a socket of this machine."
    if not _here.private and is_private(str(address[0])):
        return f"{address[0]} is an address of this machine or of a private network: only staff may send there."
    return ""


def _why_not_open(path: Any = None, _mode: Any = None, flags: int = 0) -> str:
    if isinstance(path, int):
        return ""  # a connection that was made already, as a file
    name = os.path.abspath(os.fsdecode(path or "."))  # noqa: PTH100 - resolving it would open it
    if f"{name}/".startswith(READABLE) and ("/__pycache__/" in name or not flags & WRITES):
        return ""  # what is imported for the first time is compiled
    return "A message may not read or write files of this machine."
