"""What became of earlier decisions, as the next prompt needs it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from accounts.models import Bot
from decisions.approvals import answers_of
from decisions.domain.proposal import WAITS, Action, Verdict
from decisions.domain.question import Feedback
from decisions.models import Decision, DiaryEntry

FEEDBACK = 10
"""How many of the last rulings are said again."""
UNKNOWN = "unknown, the cycle ended before it was recorded"

type Deeds = dict[tuple[int, str], list[str]]
"""What was done in a cycle for a symbol, as its diary says, in the order it was done."""


def feedback_for(bot: Bot, limit: int = FEEDBACK) -> tuple[Feedback, ...]:
    """Return the last rulings on what the bot asked for and what became of each, oldest first.

    Holds are left out: nothing became of them. What was refused again for the same rules is told once, with how often.
    Three queries, however many rulings there are.
    """
    rows = Decision.objects.filter(bot=bot, kind=Decision.Kind.LIVE).exclude(action=Action.HOLD.value)
    newest = list(rows.order_by("-at", "-cycle_id", "-sequence")[:limit])
    deeds, answers = _deeds({row.cycle_id for row in newest}), answers_of([row.pk for row in newest])
    told: dict[object, Feedback] = {}
    for row in newest:
        said, same = _feedback(row, deeds, answers.get(row.pk, "")), _same(row)
        told[same] = replace(told[same], times=told[same].times + 1) if same in told else said
    return tuple(reversed(told.values()))


def _same(row: Decision) -> object:
    """Return what two rulings have in common that are told as one: refusals of the same wish by the same rules."""
    if row.verdict == Verdict.REFUSED.value:
        return row.symbol, row.action, tuple(row.rule_ids)
    return row.pk


def _feedback(row: Decision, deeds: Deeds, answer: str) -> Feedback:
    """Return what is said of the newest ruling left on its symbol, and take its deed off the deeds."""
    reasons = tuple(map(_reason, row.hits))
    if answer:  # it waited for a person: what was done then follows as a ruling of its own
        return Feedback(row.at, row.symbol, row.action, row.verdict, (f"outcome: {answer}", *reasons))
    if row.verdict == Verdict.REFUSED.value:
        return Feedback(row.at, row.symbol, row.action, row.verdict, reasons)
    left = deeds.get((row.cycle_id, row.symbol))
    outcome = _outcome(left.pop()) if left else UNKNOWN
    return Feedback(row.at, row.symbol, row.action, row.verdict, (f"outcome: {outcome}", *reasons))


def _reason(hit: Mapping[str, Any]) -> str:
    """Return what a rule said, with its id, and with the numbers it compared when its words hold none."""
    numbers = ", ".join(f"{name} {number}" for name, number in sorted(hit.get("numbers", {}).items()))
    told = numbers and not any(letter.isdigit() for letter in hit["text"])
    return f"{hit['rule']}: {hit['text']}" + (f" [{numbers}]" if told else "")


def _deeds(cycles: Collection[int]) -> Deeds:
    """Return the deeds of these cycles. Every ruling that allowed one has a line of kind trade, in the same order."""
    deeds: Deeds = defaultdict(list)
    lines = DiaryEntry.objects.filter(cycle_id__in=cycles, kind=DiaryEntry.Kind.TRADE).order_by("id")
    lines = lines.exclude(text__endswith=f"{WAITS}.")
    for cycle, symbol, text in lines.values_list("cycle_id", "symbol", "text"):
        deeds[cycle, symbol].append(text)
    return deeds


def _outcome(text: str) -> str:
    """Return the deed in a line like `Buy: not entered: <why>.` without its why, which may be an exchange's message."""
    return text.partition(": ")[2].partition(": ")[0].removesuffix(".")
