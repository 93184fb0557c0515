"""Making, changing and deleting bots for a person: what cannot work is refused, field by field."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django_celery_beat.models import PeriodicTask

from accounts.models import Account, Bot
from accounts.services import Actor, bot_change, bot_create, bot_delete
from trading.domain.schedule import timeframes_for
from trading.services import periodic
from trading.services.bot_checks import OF_A_BOT, Values, bot_look
from trading.services.schedule import bot_interval_change
from vibex.lib.errors import Rejected


@dataclass(frozen=True, slots=True)
class Made:
    """A bot that was made or changed, and what may not have been meant."""

    bot: Bot
    warnings: tuple[str, ...] = ()


def bot_make(*, account: Account, actor: Actor, **values: Any) -> Made:
    """Make a stopped bot. What is not given is as a new bot has it; timeframes follow from the interval.

    Raises Rejected (`invalid`, by field) for what cannot work.
    """
    whole = _whole(Bot(account=account), values)
    warnings = _looked(whole, account)
    return Made(bot_create(account=account, actor=actor, **whole), warnings)


def bot_alter(*, bot: Bot, actor: Actor, **values: Any) -> Made:
    """Change a stopped bot; the interval alone also of one that runs.

    Raises Rejected: `invalid` by field for what cannot work, `running` for a bot that is not stopped.
    """
    if set(values) == {"interval"} and bot.status != Bot.Status.STOPPED:
        changed = values["interval"] != bot.interval
        return Made(bot_interval_change(bot=bot, actor=actor, **values) if changed else bot)
    whole, stated = _whole(bot, values), _stated(bot, values)
    warnings = _looked(whole, bot.account, bot)
    return Made(bot_change(bot=bot, actor=actor, **{name: whole[name] for name in stated}) if stated else bot, warnings)


def bot_remove(*, bot: Bot, actor: Actor) -> None:
    """Delete a stopped bot that has never decided anything, with its schedule. Raises Rejected for any other."""
    with transaction.atomic():
        name = periodic.row_name(bot)
        bot_delete(bot=bot, actor=actor)
        PeriodicTask.objects.filter(name=name).delete()


def _whole(bot: Bot, values: Values) -> dict[str, Any]:
    whole = {name: getattr(bot, name) for name in OF_A_BOT} | dict(values)
    if "timeframes" not in values and (bot._state.adding or whole["interval"] != bot.interval):
        whole["timeframes"] = list(timeframes_for(whole["interval"]))
    return whole


def _stated(bot: Bot, values: Values) -> list[str]:
    """Return what a change is about: with the interval its timeframes, which follow from it."""
    follows = "interval" in values and values["interval"] != bot.interval
    return [name for name in OF_A_BOT if name in values or (follows and name == "timeframes")]


def _looked(whole: Values, account: Account, bot: Bot | None = None) -> tuple[str, ...]:
    looked = bot_look(whole, market=account.market, bot=bot)
    if looked.faults:
        errors: dict[str, list[str]] = {}
        for field, fault in looked.faults:
            errors.setdefault(field, []).append(fault)
        text = " ".join(f"{field}: {' '.join(faults)}" for field, faults in errors.items())
        raise Rejected(text, code="invalid", errors=errors)
    return looked.warnings
