"""Which backups are kept: the last one of each of the newest hours, days and weeks that have one.

An installation that was off for a month loses none by that: hours and days without a backup are not counted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from vibex.backup.domain.names import Name


@dataclass(frozen=True, slots=True)
class Keep:
    """How many hours, days (UTC) and weeks (from Monday) keep their last backup."""

    hours: int = 24
    days: int = 14
    weeks: int = 8

    def __post_init__(self) -> None:
        if min(self.hours, self.days, self.weeks) < 1:
            raise ValueError("at least one of each is kept, else the newest could go")


USUAL: Final = Keep()


def expired(names: Collection[Name], *, tag: str, keep: Keep = USUAL) -> list[Name]:
    """Return the backups of the installation `tag` that may go, oldest first. The newest is never among them.

    Those of another installation that lie in the same place are nobody's to remove here.
    """
    ours = sorted({name for name in names if name.tag == tag}, key=lambda name: name.at)
    kept = {
        *_last_of_each(ours, keep.hours, lambda at: at.replace(minute=0, second=0, microsecond=0)),
        *_last_of_each(ours, keep.days, datetime.date),
        *_last_of_each(ours, keep.weeks, lambda at: at.isocalendar()[:2]),
    }
    return [name for name in ours if name not in kept]


def _last_of_each(names: list[Name], count: int, span: Callable[[datetime], object]) -> list[Name]:
    last = {span(name.at): name for name in names}  # oldest first: the last one of a span stays
    return list(last.values())[-count:]
