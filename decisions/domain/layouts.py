"""How market and account are written down: which functions make the sections, by the name of the layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from decisions.domain import sections_arena, sections_compact
from decisions.domain.question import Question
from vibex.lib.errors import Rejected

type Section = Callable[[Question], str]


@dataclass(frozen=True, slots=True)
class Layout:
    """The sections of a prompt that differ from layout to layout."""

    legend: str
    """How the data is to be read: constant for a bot."""
    universe: Section
    """Rules and fees of the symbols: constant for a bot."""
    slow: Section
    fast: Section
    account: Section


ARENA: Final = Layout(
    sections_arena.LEGEND, sections_arena.universe, sections_arena.slow, sections_arena.fast, sections_arena.account
)
COMPACT: Final = Layout(
    sections_compact.LEGEND,
    sections_compact.universe,
    sections_compact.slow,
    sections_compact.fast,
    sections_compact.account,
)
LAYOUTS: Final[Mapping[str, Layout]] = {"arena": ARENA, "compact": COMPACT}


def layout_of(question: Question) -> Layout:
    """Return the layout that a bot is to be asked in. Raises Rejected for one that does not exist: none takes its place."""
    name = question.bot.asking.layout
    if name not in LAYOUTS:
        raise Rejected(f"There is no layout {name!r}: choose one of {', '.join(LAYOUTS)}.", code="unknown_layout")
    return LAYOUTS[name]
