"""`manage.py up` as a process of its own, on a data folder and a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from vibex.lib.env import ROOT

PATIENCE = 120.0
KEPT = ("PATH", "HOME", "LANG", "CI")
"""What a child takes over of the environment, besides what measures coverage."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Up:
    """One installation: started, looked at from outside, stopped, started again."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder, self.port = folder, free_port()
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("COV")}
        mine = {
            "VIBEX_DATA_DIR": str(folder),
            "VIBEX_LOG_DIR": str(folder / "logs"),
            "LOG_LEVEL": "ERROR",
            "MARKET": "simulated",
        }
        self.environment = {**kept, **mine, "LOG_FILES": "no", **environment}
        self.process: subprocess.Popen[bytes] | None = None
        self.said = folder.with_name(f"said-{self.port}.txt")

    def start(self, *options: str) -> None:
        """Start and return when the server answers that it is ready."""
        self.process = self.begin(*options)
        self.wait_for(self.ready)

    def begin(self, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "manage.py", "up", "--port", str(self.port), *options]
        with self.said.open("wb") as said:
            return subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=said, stderr=said, start_new_session=True
            )

    def refused(self, *options: str) -> tuple[int, str]:
        """Start where that cannot work; return exit code and what was said."""
        process = self.begin(*options)
        return process.wait(PATIENCE), self.said.read_text(encoding="utf-8").strip()

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End the process by a signal; return its exit code and all it has said."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(PATIENCE), self.said.read_text(encoding="utf-8")

    def kill(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def ready(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise AssertionError(self.said.read_text(encoding="utf-8"))
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/health/ready/") as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def rows(self, query: str) -> list[Any]:
        """Ask the database file; an installation that is not far enough yet has no rows."""
        file = self.folder / "vibex.sqlite3"
        if not file.exists():
            return []
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
            try:
                return database.execute(query).fetchall()
            except sqlite3.OperationalError:
                return []

    @staticmethod
    def wait_for(happened: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Return what `happened` returns as soon as that is true. Fails after `seconds`."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            if found := happened():
                return found
            time.sleep(0.2)
        raise AssertionError(f"did not happen within {seconds:g} s")
