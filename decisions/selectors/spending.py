"""What models cost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from django.db.models import Count, Q, QuerySet, Sum

from accounts.models import Bot
from decisions.domain.money import USUAL_COST
from decisions.domain.question import Outcome
from decisions.models import Interaction

LATELY = 100
"""So many calls that said their cost make the average of a bot."""


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
