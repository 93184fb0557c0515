"""A model whose replies cannot be used again and again: what it says next is not acted on by opening anything."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone

from accounts.models import Bot
from decisions.domain.question import Outcome
from decisions.models import Interaction
from trading.services.standing import lock_put

IN_A_ROW: Final = 3
"""So many unusable replies, one after the other, lock the account. Silence is none, and interrupts no row."""
LOCKED_FOR: Final = timedelta(hours=1)
KIND: Final = "model.garbage"
DECIDES: Final = (Interaction.Purpose.CYCLE, Interaction.Purpose.ENSEMBLE)
MOST: Final = 16
"""Models that decide together, at most, for this."""


def replies_judge(*, bot: Bot, now: datetime | None = None) -> None:
    """Let nothing be opened for an hour, or until a person lifts it, when the last three replies could not be used.

    Where several decide together, a reply is what they all said in one cycle. Those that are only compared do not count.
    """
    newest = _by_cycle(bot)[:IN_A_ROW]
    unusable = [all(outcome == Outcome.REJECTED.value for outcome, _ in each) for each in newest]
    if unusable != [True] * IN_A_ROW:
        return
    reason = f"the last {IN_A_ROW} replies of {bot.model} could not be used, the last one for: {newest[0][0][1]}"
    lock_put(account=bot.account, symbol="", kind=KIND, reason=reason, until=(now or timezone.now()) + LOCKED_FOR)


def _by_cycle(bot: Bot) -> list[list[tuple[str, str]]]:
    """Return outcomes and reasons of the newest replies that were read for a decision, cycle by cycle, newest first."""
    rows = Interaction.objects.filter(bot=bot, purpose__in=DECIDES, used=True, late_of=None, cycle__isnull=False)
    rows = rows.exclude(outcome=Outcome.NO_ANSWER.value).order_by("-cycle_id", "-pk")
    cycles: dict[int | None, list[tuple[str, str]]] = {}
    for cycle, outcome, reason in rows.values_list("cycle_id", "outcome", "reason")[: IN_A_ROW * MOST]:
        cycles.setdefault(cycle, []).append((outcome, reason))
    return list(cycles.values())
