"""What models cost: by bot, day, model and decision.

A call counts what its server said it cost. Where nobody said, it counts as its estimate, until the reply that came after
the deadline says; a call that was recorded before there were estimates counts as what calls of its bot usually cost. One
that a server refused with an error of HTTP was not carried out and counts nothing, unless its cost is said.
Tokens that nobody said count as they were set aside: the prompt by its length, and the limit of the reply.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from math import ceil
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.fields.json import KT
from django.db.models.functions import Cast, Length, TruncDate

from accounts.models import Account, Bot
from decisions.domain.money import CHARS_PER_TOKEN, USUAL_COST
from decisions.domain.question import Outcome
from decisions.domain.till import UNITS
from decisions.models import Interaction

LATELY: Final = 100
"""So many calls that said their cost make the average of a bot."""
ZERO: Final = Decimal(0)

_REFUSED = Q(outcome=Outcome.NO_ANSWER.value, reason__startswith="http.")
_UNSAID = Q(cost=None, late=None)
_ESTIMATED = _UNSAID & Q(estimate__isnull=False)
_UNKNOWN = _UNSAID & Q(estimate=None, provider="") & ~_REFUSED
"""Recorded before there were estimates. A newer row without one cost nothing."""
_TOKENS_UNSAID: Final = (
    Q(prompt_tokens=0, completion_tokens=0, late=None, parameters__cached__isnull=True)
    & ~Q(provider="")
    & (Q(cost__isnull=False) | Q(estimate__isnull=False))
)
"""Carried out, by a server that states no tokens or did not come to it. Its late reply says more."""
_SUMS: Final = {
    "told": Sum("cost"),
    "estimated": Sum("estimate", filter=_ESTIMATED),
    "guessed": Count("pk", filter=_ESTIMATED),
    "unknown": Count("pk", filter=_UNKNOWN),
    "calls": Count("pk", filter=Q(cost__isnull=False) | _ESTIMATED | _UNKNOWN),
    "tokens": Sum(F("prompt_tokens") + F("completion_tokens")),
    "unsaid_chars": Sum(Length("system_prompt") + Length("user_prompt"), filter=_TOKENS_UNSAID),
    "unsaid_limits": Sum(Cast(KT("parameters__max_tokens"), IntegerField()), filter=_TOKENS_UNSAID),
}


@dataclass(frozen=True, slots=True)
class Spent:
    """What model calls cost together, in US dollars."""

    told: Decimal = ZERO
    """Sum of the costs that were said."""
    calls: int = 0
    """Those that cost, or may have cost, something."""
    untold: int = 0
    """Calls among them that did not say their cost."""
    assumed: Decimal = ZERO
    """What those count as together."""
    tokens: int = 0
    """Of prompts and replies, as far as they were said."""
    tokens_assumed: int = 0
    """What the calls of which nobody said any count as."""

    @property
    def total(self) -> Decimal:
        return self.told + self.assumed

    @property
    def tokens_total(self) -> int:
        return self.tokens + self.tokens_assumed


@dataclass(frozen=True, slots=True)
class Slice:
    """What one model cost, on one day where it is looked at by day (else None)."""

    model: str
    """With its provider in front, where that is on record."""
    spent: Spent
    day: date | None = None


@dataclass(frozen=True, slots=True)
class PerDecision:
    """What the cycles of a bot that asked a model cost."""

    cycles: int
    spent: Spent

    @property
    def each(self) -> Decimal | None:
        """US dollars a cycle; None before the first one."""
        return (self.spent.total / self.cycles).quantize(UNITS) if self.cycles else None


def cost_today(bot: Bot, *, now: datetime) -> Spent:
    """Return what the models of a bot have cost since the day of `now` (wall time) began in the account's time zone."""
    return cost_on(bot, local_day(now, bot.account.time_zone))


def cost_on(bot: Bot, day: date) -> Spent:
    """Return what the models of a bot cost on a day of the account's time zone. One query, two with old rows."""
    zone = bot.account.time_zone
    return cost_between(bot, since=midnight(day, zone), until=midnight(day + timedelta(days=1), zone))


def cost_between(bot: Bot, *, since: datetime | None = None, until: datetime | None = None) -> Spent:
    """Return what the models of a bot cost between two moments of wall time."""
    return _spent(_calls(bot, since, until).aggregate(**_SUMS), lambda: usual_cost(bot))


def cost_of_account(
    account: Account, *, borders: Sequence[datetime] = (), since: datetime | None = None
) -> list[dict[int, Spent]]:
    """Return what the models of an account cost in each span of time, by the key of their bot; one span more than borders.

    One query, one more for each bot with rows of before there were estimates.
    """
    calls = _between(Interaction.objects.filter(bot__account=account), since, None)
    earlier = [When(at__lt=border, then=Value(place)) for place, border in enumerate(borders)]
    span = Case(*earlier, default=Value(len(borders)), output_field=IntegerField())
    spans: list[dict[int, Spent]] = [{} for _ in range(len(borders) + 1)]
    for row in calls.order_by().annotate(span=span).values("span", "bot_id").annotate(**_SUMS):
        spans[row["span"]][row["bot_id"]] = _spent(row, lambda bot_id=row["bot_id"]: usual_cost(bot_id))
    return spans


def cost_by_bot_and_model(
    account: Account, *, borders: Sequence[datetime], since: datetime, until: datetime
) -> list[tuple[int, int, Slice]]:
    """Return what each model of each bot cost in each span of time: place of the span, key of the bot, slice.

    One query, one more for each bot with rows of before there were estimates.
    """
    calls = _between(Interaction.objects.filter(bot__account=account), since, until)
    earlier = [When(at__lt=border, then=Value(place)) for place, border in enumerate(borders)]
    span = Case(*earlier, default=Value(len(borders)), output_field=IntegerField())
    groups = calls.order_by().annotate(span=span).values("span", "bot_id", "provider", "model_requested")
    return [
        (row["span"], row["bot_id"], Slice(model_name(row["provider"], row["model_requested"]), _spent(row, usual)))
        for row in groups.annotate(**_SUMS)
        for usual in (lambda bot_id=row["bot_id"]: usual_cost(bot_id),)
    ]


def cost_by_model(bot: Bot, *, since: datetime | None = None) -> list[Slice]:
    """Return what each model of a bot cost, the dearest first."""
    rows = _calls(bot, since, None).order_by().values("provider", "model_requested").annotate(**_SUMS)
    return sorted(_slices(bot, rows), key=lambda each: (-each.spent.total, each.model))


def cost_by_day(bot: Bot, *, since: datetime | None = None) -> list[Slice]:
    """Return what each model of a bot cost on each day of the account's time zone, in the order of time."""
    day = TruncDate("at", tzinfo=ZoneInfo(bot.account.time_zone))
    rows = _calls(bot, since, None).order_by().annotate(day=day).values("day", "provider", "model_requested")
    return sorted(_slices(bot, rows.annotate(**_SUMS)), key=lambda each: (each.day or date.min, each.model))


def cost_per_decision(bot: Bot, *, since: datetime | None = None) -> PerDecision:
    """Return what a cycle of a bot costs: every call that it made, fallbacks, votes and shadows among them."""
    calls = _calls(bot, since, None).filter(cycle__isnull=False)
    row = calls.aggregate(**_SUMS, cycles=Count("cycle_id", distinct=True))
    return PerDecision(row["cycles"], _spent(row, lambda: usual_cost(bot)))


def cost_of_cycles(bot: Bot, cycle_ids: list[int]) -> dict[int, Spent]:
    """Return what these cycles of a bot cost, by their key; those that asked nobody are left out."""
    rows = Interaction.objects.filter(cycle_id__in=cycle_ids).order_by().values("cycle_id").annotate(**_SUMS)
    return {row["cycle_id"]: _spent(row, lambda: usual_cost(bot)) for row in rows}


def usual_cost(bot: Bot | int) -> Decimal:
    """Return what the last calls of a bot that said their cost did cost on average; two cents where none ever did."""
    rows = Interaction.objects.filter(bot=bot).exclude(cost=None).order_by("-at").values_list("cost", flat=True)
    costs = [cost for cost in rows[:LATELY] if cost is not None]
    return sum(costs, ZERO) / len(costs) if costs else USUAL_COST


def day_of(now: datetime, zone: str) -> datetime:
    """Return the midnight in `zone` at which the day of `now` began."""
    return midnight(local_day(now, zone), zone)


def local_day(now: datetime, zone: str) -> date:
    """Return which day it is in `zone`."""
    return now.astimezone(ZoneInfo(zone)).date()


def midnight(day: date, zone: str) -> datetime:
    """Return the moment at which a day of `zone` begins."""
    return datetime.combine(day, time(), ZoneInfo(zone)).astimezone(UTC)


def _calls(bot: Bot, since: datetime | None, until: datetime | None) -> QuerySet[Interaction]:
    return _between(Interaction.objects.filter(bot=bot), since, until)


def _between(calls: QuerySet[Interaction], since: datetime | None, until: datetime | None) -> QuerySet[Interaction]:
    if since is not None:
        calls = calls.filter(at__gte=since)
    return calls if until is None else calls.filter(at__lt=until)


def _slices(bot: Bot, rows: Any) -> list[Slice]:
    usual: list[Decimal] = []

    def once() -> Decimal:
        if not usual:
            usual.append(usual_cost(bot))
        return usual[0]

    return [
        Slice(model_name(row["provider"], row["model_requested"]), _spent(row, once), row.get("day")) for row in rows
    ]


def model_name(provider: str, model: str) -> str:
    """Return a model with its provider in front, once."""
    return model if not provider or model.startswith(f"{provider}/") else f"{provider}/{model}"


def _spent(row: Any, usual: Any) -> Spent:
    """Return the sums of a group. The `usual` cost is asked for only where a call needs it."""
    assumed = (row["estimated"] or ZERO) + (row["unknown"] * usual() if row["unknown"] else ZERO)
    return Spent(
        told=_exact(row["told"]),
        calls=row["calls"],
        untold=row["guessed"] + row["unknown"],
        assumed=_exact(assumed),
        tokens=row["tokens"] or 0,
        tokens_assumed=ceil((row["unsaid_chars"] or 0) / CHARS_PER_TOKEN) + (row["unsaid_limits"] or 0),
    )


def _exact(amount: Decimal | None) -> Decimal:
    """Return a sum without what SQLite adds behind the last decimal that is kept."""
    return (amount or ZERO).quantize(UNITS)
