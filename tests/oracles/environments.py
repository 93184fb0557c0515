"""Environments of their own for clients that others wrote, made by uv: their pins never touch ours.

A script there takes JSON on standard input and prints JSON. Where packages come from is the machine's business.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

from conftest import missing
from vibex.lib.env import ROOT

HERE = Path(__file__).parent
PATIENCE = 180.0
NOT_PASSED_ON = frozenset(
    {"DATABASE_URL", "REDIS_URL", "VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT", "PYTHONPATH", "DJANGO_SETTINGS_MODULE"}
)


def environment(**more: str) -> dict[str, str]:
    """Return what a child gets: everything of the machine, nothing of the running suite. Loopback goes by no proxy."""
    kept = {
        name: value for name, value in os.environ.items() if name not in NOT_PASSED_ON and not name.startswith("COV")
    }
    return {**kept, "NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost", **more}


def uv() -> str:
    """Return the uv binary. Skips the test (fails it in CI) where there is none."""
    found = shutil.which("uv") or ROOT / ".uv" / "bin" / "uv"
    if not Path(found).exists():
        missing("uv, on the path or by make setup")
    return str(found)


def isolated(script: str, payload: Any, *requirements: str) -> Any:
    """Run a script of this folder where only `requirements` are installed, and return the JSON that it prints."""
    wanted = [part for requirement in requirements for part in ("--with", requirement)]
    command = [uv(), "run", "--quiet", "--no-project", "--isolated", "--exclude-newer", newest_day(), "--python",
               sys.executable, *wanted, "python"]  # fmt: skip
    _provided([*command, "-c", ""], ROOT, *requirements)
    done = subprocess.run(
        [*command, HERE / script], input=json.dumps(payload), capture_output=True, text=True, cwd=ROOT,
        env=environment(), timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def with_extra(extra: str, folder: Path) -> Path:
    """Install the project with one extra into `folder` as a person would, and return the Python there.

    The lock and the environment of the working copy are not seen, so they cannot be changed.
    """
    project = folder / "project"
    project.mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", project)
    command = [uv(), "sync", "--quiet", "--extra", extra, "--no-default-groups", "--python", sys.executable]
    _provided(command, project, f"the extra {extra}", UV_PROJECT_ENVIRONMENT=str(folder / "venv"))
    return folder / "venv" / "bin" / "python"


def newest_day() -> str:
    """Return the day of pyproject.toml: packages that are younger do not exist for the tests."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return str(settings["tool"]["uv"]["exclude-newer"])


def _provided(command: list[str], folder: Path, *what: str, **more: str) -> None:
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, env=environment(**more), timeout=PATIENCE, check=False
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["uv said nothing"]
        missing(f"{' and '.join(what)} from a package index ({reason[0].strip()})")
