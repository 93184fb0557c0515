"""Run a command again and again while its code changes: for `make dev`."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from django.apps import apps
from django.template import engines

from vibex.lib.env import ROOT

LOOK_SECONDS: Final = 1.0
CHILD: Final = "--reloaded"
BROKEN: Final = 1
"""Exit code of a child whose code does not even load: wait for the next change."""


def run_again_on_change(tell: Callable[[str], None]) -> int:
    """Run this command in a child process, anew after each change; return the code of the one that ended by itself."""
    argv = [sys.executable, *(word for word in sys.argv if not word.startswith("--rel")), CHILD]
    while True:
        seen = _ages()
        child = subprocess.Popen(argv)  # noqa: S603 - our own command line
        signal.signal(signal.SIGTERM, lambda *_, child=child: child.terminate())
        try:
            code = _wait(child, seen)
        except KeyboardInterrupt:
            return child.wait()  # the terminal has sent Ctrl-C to the child too
        if code is not None and code != BROKEN:
            return code
        tell("Code has changed: starting anew.")


def templates_uncached() -> None:
    """Read templates at each use, so that an edit shows at the next click."""
    engine: Any = engines["django"]
    names = ("filesystem", "app_directories")
    engine.engine.loaders = [f"django.template.loaders.{name}.Loader" for name in names]
    engine.engine.__dict__.pop("template_loaders", None)


def _wait(child: subprocess.Popen[bytes], seen: dict[Path, float]) -> int | None:
    """Return the child's code when it ended by itself; None after a change, with the child stopped."""
    while _ages() == seen:
        if child.poll() not in (None, BROKEN):
            return child.returncode
        time.sleep(LOOK_SECONDS)
    if child.poll() is None:
        child.terminate()
        child.wait()
    return None


def _ages() -> dict[Path, float]:
    return {file: file.stat().st_mtime for file in _files()}


def _files() -> Iterator[Path]:
    """Yield the code of this repository and its environment files."""
    for app in apps.get_app_configs():
        folder = Path(app.path)
        if folder.parent == ROOT:
            yield from folder.rglob("*.py")
    yield from ROOT.glob(".env*")
