"""Accounts as a file that can be loaded again: here, or at another installation. Keys are never in it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Any, Final

import yaml
from pydantic import BaseModel

from accounts.models import Account
from trading.services.load_accounts.form import AccountIn, BotIn, LimitsIn

OWN: Final = ("limits", "credentials", "bots", "promoted_from")
"""Parts of an account that are no plain value of its row."""
ALWAYS: Final = frozenset({"name", "venue", "mode", "symbols", "interval", "timeframes", "model"})
"""Written also where they are what they would be anyway, for people who read the file."""


def file_written(accounts: Iterable[Account]) -> str:
    """Return accounts of one owner with limits and bots as YAML. What is as a new one has it is left out, but for limits.

    Accounts come with `limits`, `promoted_from` and `bots` read, else each costs queries.
    """
    told = {"accounts": [_account(account) for account in accounts]}
    return yaml.safe_dump(told, allow_unicode=True, sort_keys=False, width=120)


def _account(account: Account) -> dict[str, Any]:
    told = _values(AccountIn, account, OWN)
    if account.promoted_from is not None:
        told["promoted_from"] = account.promoted_from.name
    limits = getattr(account, "limits", None)
    if limits is not None:
        told["limits"] = {name: _plain(getattr(limits, name)) for name in LimitsIn.model_fields}
    if bots := [_values(BotIn, bot) for bot in account.bots.all()]:
        told["bots"] = bots
    return told


def _values(form: type[BaseModel], row: Any, without: tuple[str, ...] = ()) -> dict[str, Any]:
    fields = {name: field for name, field in form.model_fields.items() if name not in without}
    values = {name: getattr(row, name) for name in fields}
    return {
        name: _plain(value)
        for name, value in values.items()
        if name in ALWAYS or value != fields[name].get_default(call_default_factory=True)
    }


def _plain(value: Any) -> Any:
    """Return a value as YAML holds it: decimals as texts, so that none loses a digit."""
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return str(value) if isinstance(value, str) else value
