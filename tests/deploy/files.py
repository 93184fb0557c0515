"""The files of a deployment, read once."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from vibex.lib.env import ROOT

DEPLOY = ROOT / "deploy"
ETC = "/etc/vibex"
DEVELOPMENT, TESTS, PRODUCTION = "compose.yaml", "compose.test.yaml", "compose.prod.yaml"
COMPOSE_FILES = (DEVELOPMENT, TESTS, PRODUCTION)
OURS = "localhost/vibex"
"""How the names of images begin that are built here."""


@cache
def compose(name: str) -> dict[str, Any]:
    """Return a compose file as YAML has it, anchors merged, variables as they are written."""
    read: dict[str, Any] = yaml.safe_load((ROOT / name).read_text(encoding="utf-8"))
    return read


def services(name: str) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = compose(name)["services"]
    return found


def variables_named(text: str) -> set[str]:
    """Return the variables that compose puts in: ${NAME}, ${NAME:-default}, ${NAME:?complaint}."""
    return set(re.findall(r"(?<!\$)\$\{(\w+)", text))


def host_paths(service: dict[str, Any]) -> list[str]:
    """Return what of this folder is mounted into a service."""
    sources = [volume.rsplit(":/", 1)[0] for volume in service.get("volumes", [])]
    return [source for source in sources if source.startswith("./")]


def environment_file(path: Path) -> dict[str, str]:
    """Return the variables of a file of NAME=value lines, as systemd and compose read it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))
