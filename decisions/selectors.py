"""What was decided before, as deciders and pages need it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db.models import Min, QuerySet

from accounts.models import Bot
from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Feedback
from decisions.models import Cycle, Decision, DiaryEntry, PromptTemplate

FEEDBACK = 10
"""How many of the last rulings are said again."""
UNKNOWN = "unknown, the cycle ended before it was recorded"

type Deeds = dict[tuple[int, str], list[str]]
"""What was done in a cycle for a symbol, as its diary says, in the order it was done."""


def feedback_for(bot: Bot, limit: int = FEEDBACK) -> tuple[Feedback, ...]:
    """Return the last rulings on what the bot asked for and what became of each, oldest first.

    Holds are left out: nothing became of them. Two queries, however many rulings there are.
    """
    rows = Decision.objects.filter(bot=bot, kind=Decision.Kind.LIVE).exclude(action=Action.HOLD.value)
    newest = list(rows.order_by("-at", "-cycle_id", "-sequence")[:limit])
    deeds = _deeds({row.cycle_id for row in newest})
    return tuple(reversed([_feedback(row, deeds) for row in newest]))


def _feedback(row: Decision, deeds: Deeds) -> Feedback:
    """Return what is said of the newest ruling left on its symbol, and take its deed off the deeds."""
    reasons = tuple(f"{hit['rule']}: {hit['text']}" for hit in row.hits)
    if row.verdict == Verdict.REFUSED.value:
        return Feedback(row.at, row.symbol, row.action, row.verdict, reasons)
    left = deeds.get((row.cycle_id, row.symbol))
    outcome = _outcome(left.pop()) if left else UNKNOWN
    return Feedback(row.at, row.symbol, row.action, row.verdict, (f"outcome: {outcome}", *reasons))


def _deeds(cycles: Collection[int]) -> Deeds:
    """Return the deeds of these cycles. Every ruling that allowed one has a line of kind trade, in the same order."""
    deeds: Deeds = defaultdict(list)
    lines = DiaryEntry.objects.filter(cycle_id__in=cycles, kind=DiaryEntry.Kind.TRADE).order_by("id")
    for cycle, symbol, text in lines.values_list("cycle_id", "symbol", "text"):
        deeds[cycle, symbol].append(text)
    return deeds


def _outcome(text: str) -> str:
    """Return the deed in a line like `Buy: not entered: <why>.` without its why, which may be an exchange's message."""
    return text.partition(": ")[2].partition(": ")[0].removesuffix(".")


def diary_of(bot: Bot, *, kind: str = "", symbol: str = "") -> QuerySet[DiaryEntry]:
    """Return the diary of a bot, newest first, of one kind or symbol where given."""
    wanted: dict[str, Any] = {name: value for name, value in (("kind", kind), ("symbol", symbol)) if value}
    return DiaryEntry.objects.filter(bot=bot, **wanted).order_by("-at", "-id")


def first_cycle_at(bot: Bot) -> datetime | None:
    """Return the candle close of the bot's first cycle, in market time: since when it has been trading."""
    first: datetime | None = Cycle.objects.filter(bot=bot).aggregate(at=Min("scheduled_for"))["at"]
    return first


def last_invocation_count(bot: Bot) -> int:
    """Return how many times the bot has decided."""
    return Cycle.objects.filter(bot=bot, status=Cycle.Status.DONE).count()


def prompt_template_text(name: str) -> str | None:
    """Return the newest version of a template, None when there is none: no other takes its place."""
    return PromptTemplate.objects.filter(name=name).order_by("-version").values_list("text", flat=True).first()
