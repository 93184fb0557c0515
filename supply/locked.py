"""The packages of requirements.lock: what an installation gets, without the tools of development."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
LOCK: Final = ROOT / "requirements.lock"
_LINE = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^ \\;]+)(?: ; (?P<marker>[^\\]+))?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Locked:
    """One package. `marker`: where alone it is installed; empty: everywhere."""

    name: str
    version: str
    marker: str


def locked(lock: str | None = None) -> list[Locked]:
    """Return the packages of the lock in its order."""
    text = LOCK.read_text(encoding="utf-8") if lock is None else lock
    return [Locked(one["name"], one["version"], (one["marker"] or "").strip()) for one in _LINE.finditer(text)]
