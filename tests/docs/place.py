"""A fresh copy of the project in which the commands of a page are run, as a person would who has just fetched it.

What stands for the machine of that person: `uv` runs in the environment at hand and never changes it, ports are free
ones, the market is simulated, and the venue's address leads nowhere.
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from tests.docs.commands import Command
from vibex.lib.env import ROOT
from vibex.tests.running import KEPT, free_port

PATIENCE: Final = 300.0
PORT: Final = re.compile(r"(?<=127\.0\.0\.1:)\d{4,5}|(?<=--port )\d{4,5}|(?<=-p )\d{4,5}")
REDIS_DATABASE: Final = 11
"""Pages that need Redis are run by one process of the suite, one after the other; no other test uses this one."""
UV: Final = """#!/bin/sh
# Stands for uv: runs what it would run in the environment at hand, and changes no environment.
case "$1" in
run)
    shift
    while [ "${1#-}" != "$1" ]; do shift; done
    case "$1" in *.py) exec python "$@" ;; *) exec "$@" ;; esac ;;
sync) ;;
*) echo "uv $1 is not run here" >&2; exit 1 ;;
esac
"""


class Failed(AssertionError):
    """A command of a page did not do what the page says."""


@dataclass(slots=True)
class Place:
    """One copy with a data folder of its own. `close` ends what still runs."""

    folder: Path
    shared: Path
    """The recorded data, which pages name as ../shared/data."""
    data: Path | None = None
    """A data folder to begin with."""
    running: list[tuple[Command, subprocess.Popen[bytes]]] = field(default_factory=list)
    ports: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        copy_project(self.project)
        (self.folder / "shared").mkdir()
        (self.folder / "shared" / "data").symlink_to(self.shared)
        if self.data is not None:
            shutil.copytree(self.data, self.project / "data")
        for shim in (self.folder / "bin" / "uv", self.project / ".uv" / "bin" / "uv"):
            shim.parent.mkdir(parents=True, exist_ok=True)
            shim.write_text(UV)
            shim.chmod(0o755)
        (self.project / ".venv").symlink_to(sys.prefix)

    @property
    def project(self) -> Path:
        return self.folder / "vibex"

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in KEPT}
        path = f"{self.folder / 'bin'}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
        mine = {"API_PORT": self.port("3000"), "MARKET": "simulated", "VIBEX_SHARED_DATA": str(self.shared)}
        return kept | mine | {"PATH": path, "ASTERDEX_REST_URL": "http://127.0.0.1:9", "COLUMNS": "120"} | self.extra

    def port(self, named: str) -> str:
        """Return the free port that stands for one that a page names."""
        return self.ports.setdefault(named, str(free_port()))

    def run(self, command: Command) -> str:
        """Run a command as its page says; return what it said. Raises Failed."""
        for text, seen in command.beside:
            self._goes_on(replace(command, run_as=text, until=seen, stays=True))
        for text in command.before:
            self._ended(command, text, 0)
        if command.until:
            return self._goes_on(command)
        return self._ended(command, command.run_as, command.code)

    def close(self) -> None:
        """End what still runs, the last one first. Raises what went wrong with the first of them, when all are ended."""
        with ExitStack() as ending:
            for command, process in self.running:
                ending.callback(self._kill, process)
                ending.callback(self._end, command, process)
            self.running = []

    def _ended(self, command: Command, text: str, code: int) -> str:
        process = self._begun(text)
        try:
            ended = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill(process)
            raise Failed(f"{command.place}: {text}\nwent on after {PATIENCE:g} s\n{self._said(process)}") from None
        said = self._said(process)
        if ended != code or "Traceback" in said:
            raise Failed(f"{command.place}: {text}\nended with {ended}, not {code}\n{said[-3000:]}")
        return said

    def _goes_on(self, command: Command) -> str:
        process = self._begun(command.run_as)
        ends = time.monotonic() + PATIENCE
        while not self._seen(command.until, process):
            if process.poll() is not None or time.monotonic() > ends:
                self._kill(process)
                raise Failed(
                    f"{command.place}: {command.text}\nnever saw {command.until}\n{self._said(process)[-3000:]}"
                )
            time.sleep(0.2)
        if command.stays:
            self.running.append((command, process))
            return self._said(process)
        return self._end(command, process)

    def _end(self, command: Command, process: subprocess.Popen[bytes]) -> str:
        """Ctrl-C, as the person would: everything in the foreground gets it."""
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill(process)
            raise Failed(f"{command.place}: {command.text}\ndid not end at Ctrl-C") from None
        said = self._said(process)
        if "Traceback" in said:
            raise Failed(f"{command.place}: {command.text}\n{said[-3000:]}")
        return said

    def _seen(self, what: str, process: subprocess.Popen[bytes]) -> bool:
        if not what.startswith("http"):
            return what in self._said(process)
        try:
            with urllib.request.urlopen(self._with_ports(what), timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _begun(self, text: str) -> subprocess.Popen[bytes]:
        """Start a command in a shell; what it exports is there for the next one."""
        kept = self.folder / "exported.sh"
        kept.touch()
        script = f". {kept}\n{self._with_ports(text)}\ncode=$?\nexport -p > {kept}\nexit $code"
        said = self.folder / f"said-{time.monotonic_ns()}.txt"
        with said.open("wb") as into:
            process = subprocess.Popen(
                ["bash", "-c", script], cwd=self.project, env=self.environment(), stdin=subprocess.DEVNULL,
                stdout=into, stderr=into, start_new_session=True,
            )  # fmt: skip
        said.rename(self.folder / f"said-{process.pid}.txt")
        return process

    def _said(self, process: subprocess.Popen[bytes]) -> str:
        return (self.folder / f"said-{process.pid}.txt").read_text(encoding="utf-8", errors="replace")

    def _with_ports(self, text: str) -> str:
        return PORT.sub(lambda found: self.port(found[0]), text)

    @staticmethod
    def _kill(process: subprocess.Popen[bytes]) -> None:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def servers(postgres_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    """Make a database and empty a Redis for one page, and yield the variables that name them."""
    import psycopg
    import redis

    name, queue = f"vibex_docs_{secrets.token_hex(4)}", f"{redis_url.rpartition('/')[0]}/{REDIS_DATABASE}"
    with _alone(), psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            redis.Redis.from_url(queue).flushdb()
            url = f"{postgres_url.rpartition('/')[0]}/{name}"
            yield {"DOCS_DATABASE_URL": url, "DOCS_REDIS_URL": queue}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def _alone() -> Iterator[None]:
    """Let pages with servers take turns on this machine: tasks of one would be taken by the workers of another."""
    with (Path(tempfile.gettempdir()) / "vibex-docs-redis.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def copy_project(into: Path) -> None:
    """Copy what the repository holds, changes that are not committed yet included."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (source := ROOT / name).is_file():
            target = into / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)


def traded_folder(place: Place) -> Path:
    """Return a data folder in which the demo bot has decided once: what `make up` leaves behind after a minute."""
    first = Command(
        ROOT / "README.md", 0, "make up", "make up", until="http://127.0.0.1:3000/api/v1/health/ready/", stays=True
    )
    place.run(first)
    file, ends = place.project / "data" / "vibex.sqlite3", time.monotonic() + PATIENCE
    while not _decided(file):
        if time.monotonic() > ends:
            raise Failed("the demo bot has not decided")
        time.sleep(0.5)
    place.close()
    return place.project / "data"


def _decided(file: Path) -> bool:
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10)) as database:
        return bool(database.execute("SELECT 1 FROM decisions_cycle WHERE status = 'done'").fetchall())
