"""aimock (npm, MIT): a model server that others wrote, in the shape of OpenRouter, run by node on loopback.

It is installed once, into a folder that git ignores, at the version that is named here; its scripts are not run.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import missing
from tests.oracles.environments import environment

HERE = Path(__file__).parent
VERSION = "1.43.0"
PACKAGE = "@copilotkit/aimock"
FOLDER = HERE / "node_modules" / PACKAGE
PATIENCE = 120.0


@dataclass(frozen=True, slots=True)
class Aimock:
    """A running server."""

    url: str

    @property
    def base_url(self) -> str:
        """Where it speaks as OpenRouter does."""
        return f"{self.url}/api/v1"

    def requests(self, model: str) -> list[dict[str, Any]]:
        """Return the bodies of what it was asked for a model, in order."""
        with urllib.request.urlopen(f"{self.url}/__aimock/journal?limit=1000", timeout=5) as answer:
            entries = json.load(answer)
        rows = entries if isinstance(entries, list) else entries.get("entries", entries.get("requests"))
        return [row["body"] for row in rows if isinstance(row.get("body"), dict) and row["body"].get("model") == model]


@contextmanager
def aimock(fixtures: Sequence[dict[str, Any]]) -> Iterator[Aimock]:
    """Serve the fixtures until the block ends. Skips the test (fails it in CI) where node or the package is not."""
    node = shutil.which("node")
    if node is None:
        missing("node")
    _installed()
    command = [str(node), str(HERE / "aimock_server.mjs"), str(FOLDER), json.dumps(list(fixtures))]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), text=True
    ) as server:
        assert server.stdin
        assert server.stdout
        try:
            url = server.stdout.readline().strip()
            assert url.startswith("http://127.0.0.1:"), "aimock did not start"
            yield Aimock(url)
        finally:
            server.stdin.close()
            try:
                server.wait(5)
            except subprocess.TimeoutExpired:
                server.kill()


def _installed() -> None:
    """Install the package unless its version is there. Several test processes wait for one another."""
    with (Path(tempfile.gettempdir()) / f"vibex-peers-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _version() == VERSION:
            return
        npm = shutil.which("npm")
        if npm is None:
            missing("npm")
        command = [str(npm), "install", "--prefix", str(HERE), "--no-save", "--no-package-lock", "--ignore-scripts",
                   "--no-audit", "--no-fund", f"{PACKAGE}@{VERSION}"]  # fmt: skip
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False, cwd=HERE
        )
        if done.returncode:
            missing(
                f"{PACKAGE} {VERSION} from a package index ({(done.stderr.strip().splitlines() or ['no reason'])[-1]})"
            )
        assert _version() == VERSION


def _version() -> str:
    try:
        return str(json.loads((FOLDER / "package.json").read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError):
        return ""
