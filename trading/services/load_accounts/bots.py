"""One bot of a file of accounts: checked as in the admin, made or changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from accounts.models import Account, Bot, User
from accounts.services import bot_change, bot_create
from marketdata.domain.intervals import INTERVAL_MS
from trading.domain.schedule import timeframes_for
from trading.forms import LISTS, BotForm
from trading.services.bot_checks import ASKING
from trading.services.load_accounts.difference import Item, created, differences
from trading.services.load_accounts.form import BotIn

type Fault = Callable[[str, str], None]
"""Takes the field, empty for the bot as a whole, and what is wrong with it."""

FIELDS = (*ASKING, "symbols", "timeframes", "interval", "capital")


class _LoadedBotForm(BotForm):
    """The form of the admin, for an account that is known already. Nobody is there to be asked."""

    asks_back = False

    class Meta(BotForm.Meta):
        fields = tuple(field for field in BotForm.Meta.fields if field != "account")  # type: ignore[assignment]


def bot_load(account: Account, given: BotIn, fault: Fault, actor: User | None = None) -> Item | None:
    """Make or change one bot; None when something was wrong with it, which `fault` was told."""
    known = Bot.objects.filter(account=account, name=given.name).first() if not account._state.adding else None
    stated = {name: getattr(given, name) for name in FIELDS if name in given.model_fields_set}
    values = {name: getattr(known or given, name) for name in FIELDS} | stated
    if known is None and not values["timeframes"]:
        values["timeframes"] = list(timeframes_for(values["interval"])) if values["interval"] in INTERVAL_MS else []
    if not _is_valid(account, given.name, values, fault) or account._state.adding:
        return None
    if known is None:
        bot_create(account=account, name=given.name, actor=actor, **values)
        return Item("bot", account.name, given.name, "create", created(values))
    changed = differences({name: getattr(known, name) for name in stated}, stated)
    if changed and known.status != Bot.Status.STOPPED:
        fault("", f"{given.name} is {known.status} and does not change under its own feet: stop it first")
        return None
    if changed:
        bot_change(bot=known, actor=actor, **stated)
    return Item("bot", account.name, given.name, "change" if changed else "unchanged", changed)


def _is_valid(account: Account, name: str, values: dict[str, Any], fault: Fault) -> bool:
    data = {field: json.dumps(value) if field in LISTS else value for field, value in values.items()}
    form = _LoadedBotForm(data | {"name": name}, instance=Bot(account=account))
    for field, messages in form.errors.items():
        fault("" if field == "__all__" else field, " ".join(map(str, messages)))
    return form.is_valid()
