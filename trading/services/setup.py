"""The first account of a person, with limits and a bot that waits to be started: all of it, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.domain.limit_presets import PRESETS
from accounts.models import TESTNET, Account, Bot, User
from accounts.services import account_create
from accounts.services.accounts import limits_set
from trading.services.bot_making import bot_make


@dataclass(frozen=True, slots=True)
class SetUp:
    """What was made. `made` is false where the person had an account already, and nothing was done."""

    account: Account
    bot: Bot | None = None
    made: bool = True
    warnings: tuple[str, ...] = ()


def first_account_make(
    *,
    owner: User,
    name: str,
    market: str,
    starting_balance: Decimal,
    limits: str,
    bot_name: str,
    model: str,
    symbols: Sequence[str],
    interval: str,
) -> SetUp:
    """Make a paper account on the prices of `market`, limits as the preset says, and a stopped bot. For `owner`, by `owner`.

    Asked twice, it makes one: who has an account gets the oldest one back. Raises Rejected (`invalid`, by field) for
    what cannot work; then nothing was made.
    """
    with transaction.atomic():
        # Held, so that a second click waits for the first and then finds what it made.
        User.objects.select_for_update(no_key=True).filter(pk=owner.pk).values_list("pk").first()
        if (known := Account.objects.filter(owner=owner).order_by("pk").first()) is not None:
            return SetUp(known, known.bots.order_by("pk").first(), made=False)
        account = account_create(
            owner=owner,
            name=name,
            venue=market.removesuffix(TESTNET),
            network=Account.Network.TESTNET if market.endswith(TESTNET) else Account.Network.MAINNET,
            starting_balance=starting_balance,
            time_zone=owner.time_zone,
            actor=owner,
        )
        if changed := PRESETS[limits].changed:
            limits_set(account=account, actor=owner, **changed)
        made = bot_make(
            account=account, actor=owner, name=bot_name, model=model, symbols=list(symbols), interval=interval
        )
    return SetUp(account, made.bot, warnings=made.warnings)
