"""Where the questions and proposals of a subject ended, and which decisions to look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db.models import Count, Q

from decisions.domain.proposal import Action
from decisions.models import Cycle, Decision, Interaction
from decisions.selectors.funnel import IN_EARNEST
from trading.selectors.bot_page import SLACK, BotFunnel, funnel_from
from trading.selectors.judged.lived import Lived
from trading.selectors.judged.subject import Subject

LONGEST: Final = timedelta(days=30)
"""So much of the end of a span is counted: a year of decisions every three minutes is no page."""
NEWEST: Final = 12
"""Decisions that are named."""


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of what was asked, by the time of the market."""

    funnel: BotFunnel
    newest: tuple[Decision, ...]
    """The newest decisions that wanted to act, each with its cycle: there every one can be looked at and replayed."""
    cut: bool
    """Whether the span is longer than what is counted."""


def decided_by(subject: Subject, lived: Lived) -> Decided | None:
    """Return where decisions of the days that were lived ended; None where no day is over. Five queries."""
    if not lived.span:
        return None
    begin, end = lived.span
    since = max(begin, end - LONGEST)
    bots = [bot.pk for bot in subject.bots]
    cycles = Cycle.objects.filter(bot__in=bots, scheduled_for__gte=since, scheduled_for__lt=end).order_by()
    status = dict(cycles.values_list("status").annotate(n=Count("pk")))
    within = Q(bot__in=bots, cycle__scheduled_for__gte=since, cycle__scheduled_for__lt=end)
    asked = Interaction.objects.filter(within, used=True, late_of=None, purpose__in=IN_EARNEST)
    live = Decision.objects.filter(within, at__gte=since - SLACK, kind=Decision.Kind.LIVE)
    acting = live.exclude(action=Action.HOLD.value).select_related("bot").order_by("-at", "-pk")
    return Decided(funnel_from(since, status, asked, live), tuple(acting[:NEWEST]), begin < since)
