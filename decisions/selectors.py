"""What was decided before, as deciders and pages need it."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet

from accounts.models import Bot
from decisions.domain.proposal import Action, Verdict
from decisions.domain.question import Feedback
from decisions.models import Cycle, Decision, DiaryEntry, PromptTemplate

FEEDBACK = 10
"""How many of the last rulings are said again."""
ENTRIES = (Action.BUY.value, Action.SELL.value)


def feedback_for(bot: Bot, limit: int = FEEDBACK) -> tuple[Feedback, ...]:
    """Return the last rulings on what the bot asked for, oldest first. Holds are left out: nothing became of them."""
    rows = Decision.objects.filter(bot=bot, kind=Decision.Kind.LIVE).exclude(action=Action.HOLD.value)
    newest = rows.order_by("-at", "-cycle_id", "-sequence")[:limit]
    return tuple(_feedback(row) for row in reversed(newest))


def _feedback(row: Decision) -> Feedback:
    reasons = tuple(f"{hit['rule']}: {hit['text']}" for hit in row.hits)
    return Feedback(row.at, row.symbol, row.action, row.verdict, reasons)


def diary_of(bot: Bot, *, kind: str = "", symbol: str = "") -> QuerySet[DiaryEntry]:
    """Return the diary of a bot, newest first, of one kind or symbol where given."""
    wanted: dict[str, Any] = {name: value for name, value in (("kind", kind), ("symbol", symbol)) if value}
    return DiaryEntry.objects.filter(bot=bot, **wanted).order_by("-at", "-id")


def last_invocation_count(bot: Bot) -> int:
    """Return how many times the bot has decided."""
    return Cycle.objects.filter(bot=bot, status=Cycle.Status.DONE).count()


def plan_for(bot: Bot, symbol: str) -> Decision | None:
    """Return the last entry of the bot on a symbol that was allowed, whole or reduced."""
    allowed = Decision.objects.filter(bot=bot, symbol=symbol, kind=Decision.Kind.LIVE, action__in=ENTRIES)
    return allowed.exclude(verdict=Verdict.REFUSED.value).order_by("-at", "-cycle_id", "-sequence").first()


def prompt_template_text(name: str) -> str | None:
    """Return the newest version of a template, None when there is none: no other takes its place."""
    return PromptTemplate.objects.filter(name=name).order_by("-version").values_list("text", flat=True).first()
