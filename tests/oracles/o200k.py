"""A tokenizer that others wrote (npm js-tiktoken, MIT), with the ranks of o200k in the package: it counts without a network.

It is installed into a folder of the test run, at the version that is named here; its scripts are not run.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from conftest import missing
from tests.oracles.environments import PATIENCE, environment

PACKAGE = "js-tiktoken@1.0.21"
SCRIPT = Path(__file__).with_suffix(".mjs")


def token_counts(texts: Sequence[str], folder: Path) -> list[int]:
    """Return how many tokens of o200k each text has. Skips the test (fails it in CI) where node or the package is not."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("node and npm")
    if not (folder / "node_modules").exists():
        _install(folder)
    done = subprocess.run(
        ["node", str(SCRIPT), str(folder)], input=json.dumps(list(texts)), capture_output=True, text=True,
        env=environment(), timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [int(count) for count in json.loads(done.stdout)]


def _install(folder: Path) -> None:
    command = ["npm", "install", "--prefix", str(folder), "--no-save", "--no-package-lock", "--ignore-scripts", "--no-audit",
               "--no-fund", PACKAGE]  # fmt: skip
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), timeout=PATIENCE, check=False, cwd=folder
    )
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1:] or ["npm said nothing"]
        missing(f"{PACKAGE} from a package registry ({reason[0].strip()})")
