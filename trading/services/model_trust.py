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


def replies_judge(*, bot: Bot, now: datetime | None = None) -> None:
    """Let nothing be opened for an hour, or until a person lifts it, when the last three replies could not be used."""
    replies = Interaction.objects.filter(bot=bot).exclude(outcome=Outcome.NO_ANSWER.value)
    newest = list(replies.order_by("-pk").values_list("outcome", "reason")[:IN_A_ROW])
    if [outcome for outcome, _ in newest] != [Outcome.REJECTED.value] * IN_A_ROW:
        return
    reason = f"the last {IN_A_ROW} replies of {bot.model} could not be used, the last one for: {newest[0][1]}"
    lock_put(account=bot.account, symbol="", kind=KIND, reason=reason, until=(now or timezone.now()) + LOCKED_FOR)
