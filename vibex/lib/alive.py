"""Does a process of this machine still work? Asked by health checks, every half minute: without Django, in a few milliseconds.
And a process that does not any more ends itself, so that whoever started it starts it anew.

    python -m vibex.lib.alive web        # asks the server
    python -m vibex.lib.alive cycles     # looks when the worker's pool last had a free thread

Processes that serve no address touch a file while they work. It lies in the folder for temporary files (TMPDIR), which
each container and each unit of systemd has for itself.
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

EVERY: Final = 10.0
"""Seconds between two signs of life."""
LONGEST: Final = 90.0
"""Seconds without one after which a process counts as stuck: a cycle may keep a thread for most of that."""
STUCK: Final = 300.0
"""Seconds without one after which a process ends itself: nothing that it waits for may take that long."""
LONGER: Final = {"slow": 1800.0, "web": 600.0}
"""Of those that need more: tasks of the first may take long, the second may be closing what a person had it close."""
STDERR: Final = 2
"""Where threads are told of, by number: Celery may have put something else in the place of `sys.stderr`."""
PATIENCE: Final = 4.0
LIVE: Final = "/api/v1/health/live/"


def folder() -> Path:
    """Return where signs of life of this user's processes lie."""
    return Path(tempfile.gettempdir()) / f"vibex-alive-{os.getuid()}"


class _Limit:
    """After how many seconds without a sign of life this process ends itself; None: never."""

    seconds: float | None = None


_work_goes_on = threading.Event()


def end_when_stuck(name: str, seconds: float | None = None) -> None:
    """From now on end this process, with code 1, when it gives no sign of life for `seconds` (by its name where None).

    Where its threads stand goes to standard error first. A thread below Python does it, which needs nothing of what may
    hang. Only for processes that somebody starts anew.
    """
    _Limit.seconds = LONGER.get(name.partition("-")[0], STUCK) if seconds is None else seconds  # slow-2 is a slow one
    seen()


@contextlib.contextmanager
def ended_when_stuck(name: str) -> Iterator[None]:
    """End this process like that from now on until what is inside is over."""
    end_when_stuck(name)
    try:
        yield
    finally:
        never_end()


def never_end() -> None:
    """Wait from now on as long as it takes: who has been told to end is ended by whoever told it."""
    _Limit.seconds = None
    faulthandler.cancel_dump_traceback_later()


def seen() -> None:
    """Begin to wait anew for a sign of life."""
    if _Limit.seconds is not None:
        with contextlib.suppress(RuntimeError):  # no thread is to be had now: the next sign tries again
            faulthandler.dump_traceback_later(_Limit.seconds, exit=True, file=STDERR)


def gets_on() -> None:
    """Say that work of this process gets on. Said from inside of what may take long, at least twice a minute."""
    _work_goes_on.set()


def got_on() -> bool:
    """Return whether that was said since this was asked last."""
    said = _work_goes_on.is_set()
    _work_goes_on.clear()
    return said


def alive(name: str) -> None:
    """Leave a sign of life. A disk that refuses it ends nothing: then the health check says that it is stuck."""
    seen()
    with contextlib.suppress(OSError):
        folder().mkdir(mode=0o700, exist_ok=True)
        (folder() / name).touch()


def silent_for(name: str) -> float | None:
    """Return the seconds since the last sign of life; None when there never was one."""
    try:
        return time.time() - (folder() / name).stat().st_mtime
    except OSError:
        return None


def moving(count: Callable[[], int]) -> Callable[[], bool]:
    """Return what says whether a count has changed since it was asked last: of a loop, how often it went round."""
    last = -1

    def moved() -> bool:
        nonlocal last
        before, last = last, count()
        return last != before

    return moved


class Pulse:
    """A thread that leaves signs of life of a process for as long as `working` says that it works."""

    def __init__(self, name: str, working: Callable[[], bool] = lambda: True) -> None:
        self._name, self._working, self._ended = name, working, threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"pulse-{name}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            if self._working():
                alive(self._name)
            self._ended.wait(EVERY)


def server_answers() -> str:
    """Return what is wrong with the web server of this machine; empty when it answers."""
    host = os.environ.get("ALLOWED_HOSTS", "").split(",")[0].strip() or "localhost"
    address = f"http://127.0.0.1:{os.environ.get('API_PORT') or 3000}{LIVE}"
    request = urllib.request.Request(address, headers={"Host": host})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:  # noqa: S310 - as above
            return "" if answer.status == 200 else f"{address} says {answer.status}"
    except OSError as fault:
        return f"{address}: {fault}"


def wrong_with(name: str) -> str:
    """Return in words what is wrong with a process; empty when nothing is."""
    if name == "web":
        return server_answers()
    silence = silent_for(name)
    if silence is None:
        return f"{name} has not begun to work"
    return f"{name} gave its last sign of life {silence:.0f} s ago" if silence > LONGEST else ""


def main(words: Sequence[str]) -> int:
    if len(words) != 1:
        sys.stderr.write("usage: python -m vibex.lib.alive web|cycles|guard|slow|beat|stream|user-streams\n")
        return 2
    wrong = wrong_with(words[0])
    sys.stderr.write(f"{wrong}\n" if wrong else "")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
