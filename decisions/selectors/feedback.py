"""What became of earlier decisions, as the next prompt needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection

from accounts.models import Bot
from decisions.approvals import answers_of
from decisions.domain.feedback import TOLD, Became, Spoken, feedback_told
from decisions.domain.proposal import WAITS, Action, Verdict
from decisions.domain.question import Feedback
from decisions.models import Decision, DiaryEntry

type Deeds = dict[tuple[int, str], list[str]]
"""What was done in a cycle for a symbol, as its diary says, in the order it was done."""


def feedback_for(bot: Bot, limit: int = TOLD) -> tuple[Feedback, ...]:
    """Return the last rulings on what the bot asked for and what became of each, oldest first.

    Holds are left out: nothing became of them. What was refused again for the same rules is told once, with how often.
    Three queries, however many rulings there are.
    """
    rows = Decision.objects.filter(bot=bot, kind=Decision.Kind.LIVE).exclude(action=Action.HOLD.value)
    newest = list(rows.order_by("-at", "-cycle_id", "-sequence")[:limit])
    deeds, answers = _deeds({row.cycle_id for row in newest}), answers_of([row.pk for row in newest])
    return feedback_told(_became(row, deeds, answers.get(row.pk, "")) for row in newest)


def _became(row: Decision, deeds: Deeds, answer: str) -> Became:
    """Return the newest ruling left on its symbol with what became of it, and take its deed off the deeds."""
    spoken = [Spoken(hit["rule"], hit["text"], hit.get("numbers", {})) for hit in row.hits]
    left = () if answer or row.verdict == Verdict.REFUSED.value else deeds.get((row.cycle_id, row.symbol))
    return Became(row.at, row.symbol, row.action, row.verdict, spoken, left.pop() if left else None, answer)


def _deeds(cycles: Collection[int]) -> Deeds:
    """Return the deeds of these cycles. Every ruling that allowed one has a line of kind trade, in the same order."""
    deeds: Deeds = defaultdict(list)
    lines = DiaryEntry.objects.filter(cycle_id__in=cycles, kind=DiaryEntry.Kind.TRADE).order_by("id")
    lines = lines.exclude(text__endswith=f"{WAITS}.")
    for cycle, symbol, text in lines.values_list("cycle_id", "symbol", "text"):
        deeds[cycle, symbol].append(text)
    return deeds
