"""The writer of what a bot is. Whether it runs is written where schedules are (`trading/services/schedule.py`)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.models import Account, Bot
from accounts.services.audit import Actor, audit_write, stored_state, validation_told
from accounts.services.history import history_refused
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit


def bot_create(
    *,
    account: Account,
    name: str,
    model: str,
    symbols: Sequence[str],
    interval: str,
    timeframes: Sequence[str],
    fallback_models: Iterable[str] = (),
    capital: Decimal | None = None,
    prompt_template: str = "arena",
    approval: bool = False,
    cost_per_day: Decimal | None = None,
    actor: Actor = None,
    **asking: Any,
) -> Bot:
    """Create a stopped bot; `asking` is how it asks its models, by the names of the fields.

    Raises Rejected for a taken name, an unknown interval or a bot without symbols.
    """
    bot = Bot(
        account=account,
        name=name,
        model=model,
        fallback_models=list(fallback_models),
        symbols=list(symbols),
        interval=interval,
        timeframes=list(timeframes),
        capital=capital,
        prompt_template=prompt_template,
        approval=approval,
        cost_per_day=cost_per_day,
        **asking,
    )
    with transaction.atomic(), validation_told():
        # Held, so that it is not deleted meanwhile.
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()
        bot.full_clean()
        bot.save()
        audit_write(actor=actor, action="bot-create", obj=bot, after=stored_state(bot))
        publish_on_commit(account_id=account.pk, kind="bot", data={"id": bot.pk})
    return bot


def bot_change(*, bot: Bot, actor: Actor, **values: Any) -> Bot:
    """Change a stopped bot. Raises Rejected for one that is not stopped: nothing changes under its feet."""
    with transaction.atomic(), validation_told():
        before = stored_state(bot)
        for name, value in values.items():
            setattr(bot, name, value)
        bot.full_clean()
        if Bot.objects.filter(pk=bot.pk, status=Bot.Status.STOPPED).update(**values) != 1:
            raise Rejected(f"The bot {bot.name} is not stopped: stop it before you change it.", code="running")
        after = stored_state(bot)
        if changed := [name for name in values if before[name] != after[name]]:
            audit_write(
                actor=actor,
                action="bot-change",
                obj=bot,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )
            publish_on_commit(account_id=bot.account_id, kind="bot", data={"id": bot.pk})
    return bot


def bot_delete(*, bot: Bot, actor: Actor) -> None:
    """Delete a stopped bot that has never decided anything. Raises Rejected for one that runs or has a history."""
    with transaction.atomic():
        held = Bot.objects.select_for_update().filter(pk=bot.pk).first()
        if held is None:
            raise Rejected("The bot is gone already.", code="not-found")
        if held.status != Bot.Status.STOPPED:
            raise Rejected(f"The bot {held.name} is {held.status}: stop it first.", code="running")
        history_refused(held, held.name, "Leave it stopped.")
        audit_write(actor=actor, action="bot-delete", obj=held, before=stored_state(held))
        publish_on_commit(account_id=held.account_id, kind="bot", data={"id": held.pk})
        held.delete()
