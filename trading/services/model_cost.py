"""What the model of a bot may cost in a day: when that is used up nobody is asked, and everything holds.

Money is spent by the clock on the wall, also where the market is a replay, so the day is that of the wall in the
account's time zone. What is open stays protected, and guard, stops and persons close as ever.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Alert, Bot
from accounts.services.alerts import alert_raise, never_in_the_way
from decisions.selectors import Spent, cost_today, day_of


def budget_used(bot: Bot, *, now: datetime | None = None) -> str:
    """Return how the model's money of today is used up, "" while there is some left or no limit. Rules cost nothing."""
    if bot.cost_per_day is None or bot.model.startswith("rules/"):
        return ""
    spent = cost_today(bot, now=now or timezone.now())
    return _words(spent, bot.cost_per_day) if spent.total >= bot.cost_per_day else ""


@never_in_the_way
def budget_tell(*, bot: Bot, text: str, now: datetime | None = None) -> None:
    """Tell the owner once a day that the model of a bot is not asked any more today."""
    began = day_of(now or timezone.now(), bot.account.time_zone)
    if Alert.objects.filter(bot=bot, type=EventType.BUDGET_USED.value, last__gte=began).exists():
        return
    alert_raise(
        account=bot.account,
        bot=bot,
        type=EventType.BUDGET_USED,
        severity=Severity.WARNING,
        subject=bot.name,
        message=f"{bot.name} holds until midnight ({bot.account.time_zone}): {text}. What is open keeps its protection.",
    )


def _words(spent: Spent, budget: Decimal) -> str:
    text = f"budget: {_dollars(spent.total)} of {_dollars(budget)} US dollars of today are used"
    if not spent.untold:
        return text
    count = f"{spent.untold} of {spent.calls} calls did not say what they cost"
    return f"{text} ({count} and count as {_dollars(spent.usual)} each)"


def _dollars(amount: Decimal) -> str:
    """Return an amount with as many places as it needs, two at the least and four at the most."""
    rounded = amount.quantize(Decimal("0.0001"))
    return f"{rounded:.2f}" if rounded == rounded.quantize(Decimal("0.01")) else f"{rounded:f}"
