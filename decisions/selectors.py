"""What was decided before, as deciders and pages need it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Count, Min, Q, QuerySet, Sum

from accounts.models import Bot
from decisions.approvals import answers_of
from decisions.domain.proposal import WAITS, Action, Verdict
from decisions.domain.question import Feedback, Outcome
from decisions.models import Cycle, Decision, DiaryEntry, Interaction, PromptTemplate

FEEDBACK = 10
"""How many of the last rulings are said again."""
UNKNOWN = "unknown, the cycle ended before it was recorded"

USUAL_COST = Decimal("0.02")
"""US dollars that a call counts as which did not say its cost, where no call of the bot ever did."""
LATELY = 100
"""So many calls that said their cost make the average of a bot."""

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


@dataclass(frozen=True, slots=True)
class Spent:
    """What the model calls of one bot cost in one day, in US dollars."""

    told: Decimal
    """Sum of the costs that were said."""
    calls: int = 0
    untold: int = 0
    """Calls among them that did not say their cost."""
    usual: Decimal = USUAL_COST
    """What each of those counts as: the average of the bot's last calls that said it."""

    @property
    def total(self) -> Decimal:
        return self.told + self.untold * self.usual


def cost_today(bot: Bot, *, now: datetime) -> Spent:
    """Return what the model of a bot has cost since the day of `now` (wall time) began in the account's time zone.

    A call that a server answered with an error of HTTP was not carried out and counts nothing.
    """
    began = day_of(now, bot.account.time_zone)
    calls = Interaction.objects.filter(bot=bot).exclude(outcome=Outcome.NO_ANSWER.value, reason__startswith="http.")
    day = calls.filter(at__gte=began).aggregate(
        told=Sum("cost"), calls=Count("pk"), untold=Count("pk", filter=Q(cost__isnull=True))
    )
    usual = _usual_cost(calls) if day["untold"] else USUAL_COST
    return Spent(day["told"] or Decimal(0), day["calls"], day["untold"], usual)


def day_of(now: datetime, zone: str) -> datetime:
    """Return the midnight in `zone` at which the day of `now` began."""
    midnight = now.astimezone(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight.astimezone(UTC)


def _usual_cost(calls: QuerySet[Interaction]) -> Decimal:
    rows = calls.exclude(cost=None).order_by("-at").values_list("cost", flat=True)[:LATELY]
    costs = [cost for cost in rows if cost is not None]
    return sum(costs, Decimal(0)) / len(costs) if costs else USUAL_COST
