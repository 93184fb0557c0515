"""A server over demo data in a process of its own, and Chromium looking at it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.error import URLError

ROOT = Path(__file__).resolve().parents[2]
EXECUTABLES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-sync",
    "--no-first-run",
]


def chromium() -> str | None:
    """Return the Chromium of this machine, or None."""
    return next((path for name in EXECUTABLES if (path := shutil.which(name))), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(slots=True)
class Served:
    """A running server; `stop` and `start` again keep its data and port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self, seconds: float = 180.0) -> None:
        """Start it and wait until it answers: all tables and a history are made first, which a busy machine takes a while for."""
        env = os.environ | {
            "VIBEX_ENV": "dev",
            "DEBUG": "no",
            "VIBEX_DATA_DIR": str(self.folder / "data"),
            "VIBEX_LOG_DIR": str(self.folder / "logs"),
            "LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "vibex.settings",
            "SIGN_IN_RATE": "100000/min",  # every test signs in, from the same address
        }
        for name in ("DATABASE_URL", "REDIS_URL"):
            env.pop(name, None)
        command = [sys.executable, "-m", "tests.support.serve", "--port", str(self.port)]
        self.process = subprocess.Popen(command, cwd=ROOT, env=env)
        deadline = time.monotonic() + seconds
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise RuntimeError("the server over demo data did not start")
            time.sleep(0.1)

    def stop(self) -> None:
        if self.process:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/sign-in/", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False


@contextmanager
def browser() -> Iterator[Any]:
    """Yield a headless Chromium. Raises RuntimeError when there is none."""
    from playwright.sync_api import sync_playwright

    path = chromium()
    if path is None:
        raise RuntimeError("install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=FLAGS)
        try:
            yield started
        finally:
            started.close()


def complaints_of(page: Any, found: list[str]) -> list[str]:
    """Fill `found` with every console error, failed script and breach of the content security policy; return it."""
    page.on("console", lambda message: found.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: found.append(str(error)))
    page.add_init_script(
        "document.addEventListener('securitypolicyviolation', (breach) => "
        "console.error('CSP ' + breach.violatedDirective + ' ' + breach.blockedURI + ' ' + breach.sample));"
    )
    return found


def sign_in(page: Any, url: str, email: str = "operator@vibex.local", password: str = "correct horse battery") -> None:
    page.goto(f"{url}/sign-in/")
    page.get_by_label("E-mail").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{url}/")
