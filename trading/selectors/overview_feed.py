"""What the bots asked for last, as the feed of the overview tells it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet, Subquery

from accounts.models import Bot
from accounts.selectors import Person, bots_of
from decisions.domain.proposal import Action
from decisions.models import Cycle, Decision

SAID_OF_EACH: Final = 6
"""Cycles of each bot, with a decision in them, that may be among the latest."""
SAID_OF_ALL: Final = 240
"""Of many accounts fewer are looked for on each, so that a hundred of them cost about what forty do."""
SAID: Final = 8
"""Cycles that are shown."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a bot asked for in one cycle, for the feed."""

    bot: Bot
    cycle_id: int
    at: datetime
    """Market time."""
    acts: tuple[Decision, ...]
    """What it wanted to open or close."""
    holds: tuple[Decision, ...]


def bots_with_newest(person: Person, *, accounts: int) -> QuerySet[Bot]:
    """Return the bots of so many accounts with the keys of the newest cycles in which they decided something."""
    of_each = min(SAID_OF_EACH, max(1, SAID_OF_ALL // max(1, accounts)))
    live = Decision.objects.filter(kind=Decision.Kind.LIVE)
    # A bot that was skipped or failed ever since is looked through from its newest decision on, not from now on.
    last = live.filter(bot=OuterRef(OuterRef("pk"))).order_by("-at", "-id").values("at")[:1]
    told = Cycle.objects.filter(Exists(live.filter(cycle=OuterRef("pk"))), scheduled_for__lte=Subquery(last))
    newest = told.filter(bot=OuterRef("pk")).order_by("-scheduled_for").values("pk")
    keys = {f"cycle_{place}": Subquery(newest[place : place + 1]) for place in range(of_each)}
    return bots_of(person).select_related(None).annotate(**keys).order_by("pk")


def said_by(bots: Iterable[Bot]) -> tuple[Said, ...]:
    """Return what the bots (of `bots_with_newest`) asked for last, newest first. One query, none where nothing was decided."""
    mine = {bot.pk: bot for bot in bots}
    cycles = sorted({key for bot in mine.values() for key in _newest(bot)}, reverse=True)[:SAID]
    if not cycles:
        return ()
    rows = Decision.objects.filter(cycle_id__in=cycles, kind=Decision.Kind.LIVE).order_by(
        "-at", "-cycle_id", "sequence"
    )
    by_cycle: dict[int, list[Decision]] = {}
    for row in rows.defer("hits", "invalidation_condition"):
        by_cycle.setdefault(row.cycle_id, []).append(row)
    return tuple(_said(mine[some[0].bot_id], key, some) for key, some in by_cycle.items())


def _said(bot: Bot, cycle_id: int, decisions: Sequence[Decision]) -> Said:
    holds = tuple(each for each in decisions if each.action == Action.HOLD.value)
    acts = tuple(each for each in decisions if each.action != Action.HOLD.value)
    return Said(bot, cycle_id, decisions[0].at, acts, holds)


def _newest(bot: Bot) -> list[int]:
    keys = (getattr(bot, f"cycle_{place}", None) for place in range(SAID_OF_EACH))
    return [key for key in keys if key is not None]
