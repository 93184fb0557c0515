"""A live account of the demo at its busiest: let trade, a bot that asks models, an entry that waits, a note, a halt."""

from __future__ import annotations

from datetime import datetime

from accounts.models import Account, Bot, LiveApproval, User
from decisions.models import Cycle
from decisions.services.notes import note_write
from tests.support.demo import bot_of
from tests.support.demo_approval import waiting
from trading.models import Halt


def live_bot(account: Account, actor: User, *, now: datetime) -> tuple[Bot, Cycle]:
    """Return a bot of the account that asks several models, and a cycle of it whose entry waits; with a note in its diary.

    Its account may trade with real money, with keys in variables or none: what costs most to find out.
    """
    models = {"model": "openrouter/deepseek/deepseek-v4-flash", "fallback_models": ["openai/gpt-5"]}
    bot = bot_of(account, "asks", symbols=["BTCUSDT", "XRPUSDT"], shadow_models=["rules/hold"], **models)
    cycle = Cycle.objects.create(
        bot=bot, account=account, scheduled_for=now, lease_until=now, began=now, ended=now, stage="publish"
    )
    waiting(cycle, now=now)
    note_write(bot=bot, author=actor, text="Watched it open.")
    LiveApproval.objects.create(account=account, actor=actor, evidence={"signs": None})
    return bot, cycle


def halted(account: Account, actor: User, *, now: datetime) -> Halt:
    """Latch a halt whose proof is still to come."""
    Account.objects.filter(pk=account.pk).update(state=Account.State.HALTED, state_reason="The venue looked wrong.")
    return Halt.objects.create(account=account, actor=actor, reason="The venue looked wrong.", at=now, pressed=now)
