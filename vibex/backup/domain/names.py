"""How backups are named. A name says whose it is and when it was taken, and sorts by time within an installation."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

MANIFEST: Final = ".json"
_FORM: Final = "%Y%m%dT%H%M%SZ"
_NAME: Final = re.compile(r"vibex-(?P<tag>[a-z2-7]{4})-(?P<at>[0-9]{8}T[0-9]{6}Z)(?:\.[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class Name:
    """One backup: the four characters of the installation that made it, and the second it was begun (UTC)."""

    tag: str
    at: datetime

    def __str__(self) -> str:
        return f"vibex-{self.tag}-{self.at:{_FORM}}"

    @property
    def manifest(self) -> str:
        """Name of the file that makes it a backup: it is written last."""
        return f"{self}{MANIFEST}"


def name_of(file: str) -> Name | None:
    """Return of which backup a file is; None for what is none of ours."""
    found = _NAME.fullmatch(file)
    if found is None:
        return None
    try:
        at = datetime.strptime(found["at"], _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Name(found["tag"], at)
