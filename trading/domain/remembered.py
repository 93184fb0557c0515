"""Looking at a record once: what was found of it is known again as long as it is the same record."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Final

MOST: Final = 256
"""So many records are remembered; then all are forgotten, and those that are still asked about are looked at again."""


def remembered[Seen, Found](look: Callable[[Seen], Found]) -> Callable[[Seen], Found]:
    """Make a function of one frozen record remember what it returned. The record is known by identity, not by value:
    comparing one of thirty numbers would cost as much as looking at it."""
    found: dict[int, tuple[Seen, Found]] = {}  # the record is kept as well, so that no other gets its number

    @wraps(look)
    def recall(seen: Seen) -> Found:
        kept = found.get(id(seen))
        if kept is None:
            if len(found) >= MOST:
                found.clear()
            kept = found[id(seen)] = seen, look(seen)
        return kept[1]

    return recall
