"""What the models of a bot may use in a day: when that is used up nobody is asked, and everything holds.

Money is spent by the clock on the wall, also where the market is a replay, so the day is that of the wall in the
account's time zone. What is open stays protected, and guard, stops and persons close as ever.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Alert, Bot
from accounts.services.alerts import alert_raise, never_in_the_way
from decisions.domain.question import Answer
from decisions.domain.till import dollars, used_up
from decisions.selectors import cost_today, day_of
from decisions.services.budget import UNCOUNTED, allowed_of, budget_today

CODE: Final = "budget:"
"""How the reason of an answer begins when there was no money, or no tokens, for a call."""


def budget_used(bot: Bot, *, now: datetime | None = None) -> str:
    """Return how the money or the tokens of today are used up, "" while some are left or no limit. Rules cost nothing."""
    allowed = allowed_of(bot)
    if allowed.unlimited or bot.model.startswith("rules/"):
        return ""
    now = now or timezone.now()
    said = used_up(budget_today(bot, now=now), allowed)
    return said + _unsaid(bot, now) if said and "dollars" in said else said


def budget_refused(answer: Answer) -> str:
    """Return why there was no money, or there were no tokens, for a call in the middle of an ask; "" where there were."""
    reasons = (each.reason for each in (answer, *(member.answer for member in answer.members)))
    return next((reason for reason in reasons if reason.startswith(CODE)), "")


@never_in_the_way
def budget_tell(*, bot: Bot, text: str, now: datetime | None = None) -> None:
    """Tell the owner once a day that the models of a bot are not asked any more today."""
    if text.startswith(UNCOUNTED):
        return
    began = day_of(now or timezone.now(), bot.account.time_zone)
    if Alert.objects.filter(bot=bot, type=EventType.BUDGET_USED.value, last__gte=began).exists():
        return
    words = text.partition("; ")[0]
    alert_raise(
        account=bot.account,
        bot=bot,
        type=EventType.BUDGET_USED,
        severity=Severity.WARNING,
        subject=bot.name,
        message=f"{bot.name} holds until midnight ({bot.account.time_zone}): {words}. What is open keeps its protection.",
    )


def _unsaid(bot: Bot, now: datetime) -> str:
    """Return which part of what is used nobody said."""
    spent = cost_today(bot, now=now)
    if not spent.untold:
        return ""
    count = f"{spent.untold} of {spent.calls} calls did not say what they cost"
    return f" ({count} and count as {dollars(spent.assumed)} together)"
