"""A live arena on paper: for each model an account of its own and a bot with the same settings, begun together.

All of it is made, or nothing. Afterwards each is an ordinary paper account: the page /arena/ compares them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from accounts.domain.limits import DEFAULTS, Limits
from accounts.models import TESTNET, Account, Bot, User
from accounts.services import account_create
from accounts.services.accounts import limits_set
from decisions.domain.model_state import Kind
from decisions.selectors.models_asked import model_states
from marketdata.selectors import market_clock
from trading.services.bot_making import bot_make
from trading.services.schedule import bot_start
from vibex.lib.errors import Rejected

LONGEST: Final = 40
"""Characters of the name of an account or a bot."""
GONE: Final = (Kind.UNKNOWN, Kind.GONE, Kind.RETIRED)
NOT_IN_A_NAME: Final = re.compile(r"[^A-Za-z0-9_]+")


@dataclass(frozen=True, slots=True)
class LiveArena:
    """What was begun, and what may not have been meant."""

    bots: tuple[Bot, ...]
    warnings: tuple[str, ...] = ()


def arena_open(
    *,
    owner: User,
    name: str,
    models: Sequence[str],
    market: str,
    symbols: Sequence[str],
    interval: str,
    capital: Decimal,
    limits: Limits = DEFAULTS,
    **asking: Any,
) -> LiveArena:
    """Make a paper account on the prices of `market` and a running bot for each model; `asking` is how bots ask.

    Accounts and bots are called after the arena and the model. Raises Rejected, and makes nothing, for a market that there
    is not, names that are taken, a model that is not known or cannot be asked, and whatever else a bot cannot be.
    """
    market_clock(market)
    named = names_of(name, models)
    _refuse_taken(owner, named)
    _refuse_gone(models)
    warnings: list[str] = []
    with transaction.atomic():
        bots = []
        for model, called in named.items():
            account = _account(owner, called, market, capital, limits)
            made = bot_make(
                account=account,
                actor=owner,
                name=called,
                model=model,
                symbols=list(symbols),
                interval=interval,
                **asking,
            )
            warnings += [f"{model}: {warning}" for warning in made.warnings]
            bots.append(made.bot)
        for bot in bots:
            bot_start(bot=bot, actor=owner, reason=f"the arena {name} began")
    return LiveArena(tuple(bots), tuple(warnings))


def names_of(name: str, models: Sequence[str]) -> dict[str, str]:
    """Return what accounts and bots are called, by model. Raises Rejected where no two names can be told apart."""
    named = {model: _called(name, model.rpartition("/")[2]) for model in models}
    if len(set(named.values())) != len(named):
        named = {model: _called(name, model) for model in models}
    if len(set(named.values())) != len(named):
        raise Rejected(f"The names of {', '.join(models)} cannot be told apart: choose a shorter --name.", code="name")
    return named


def _called(name: str, model: str) -> str:
    return f"{name}-{NOT_IN_A_NAME.sub('-', model).strip('-')}"[:LONGEST].strip("-")


def _refuse_taken(owner: User, named: Mapping[str, str]) -> None:
    taken = Account.objects.filter(owner=owner, name__in=named.values()).order_by("name")
    if there := list(taken.values_list("name", flat=True)):
        raise Rejected(
            f"There are accounts named {', '.join(there)} already: give the arena another name (--name).", code="name"
        )


def _refuse_gone(models: Sequence[str]) -> None:
    """Refuse models that a catalogue which was read does not list: they would only fail, cycle after cycle."""
    states = model_states(models)
    if bad := [states[model].words for model in models if states[model].kind in GONE]:
        raise Rejected(" ".join(bad), code="model")


def _account(owner: User, name: str, market: str, capital: Decimal, limits: Limits) -> Account:
    account = account_create(
        owner=owner,
        name=name,
        venue=market.removesuffix(TESTNET),
        network=Account.Network.TESTNET if market.endswith(TESTNET) else Account.Network.MAINNET,
        starting_balance=capital,
        time_zone=owner.time_zone,
        actor=owner,
    )
    names = (each.name for each in fields(Limits))
    changed = {each: getattr(limits, each) for each in names if getattr(limits, each) != getattr(DEFAULTS, each)}
    if changed:
        limits_set(account=account, actor=owner, **changed)
    return account
