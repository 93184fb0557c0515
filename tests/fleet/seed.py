"""Accounts and bots of a fleet: run as a process with the fleet's environment, told what to do by one JSON document."""

from __future__ import annotations

import json
import sys
from typing import Any

import django


def make(accounts: list[dict[str, str]], model: str, **bot: Any) -> list[dict[str, int]]:
    """Make a live account on the testnet for each of the keys, and a stopped bot on it."""
    from accounts.domain.credentials import AsterV3Keys
    from accounts.services import account_create, bot_create, user_create
    from accounts.services.credentials import credentials_save

    owner = user_create(email="fleet@example.com", password="a password of a fleet", operator=True)
    made = []
    for number, keys in enumerate(accounts):
        account = account_create(owner=owner, name=f"fleet{number}", venue="aster", mode="live", network="testnet")
        credentials_save(account=account, keys=AsterV3Keys(**keys), actor=owner)
        row = bot_create(account=account, name=f"bot{number}", model=model, **bot)
        made.append({"account": account.pk, "bot": row.pk})
    return made


def paper(count: int, model: str, *, decided: bool, **bot: Any) -> list[int]:
    """Make so many running bots, each on a paper account of its own, as rows at once: one by one takes minutes.

    With `decided` they wait for the next candle; otherwise the present one is still to be decided on.
    """
    from django.db import transaction

    from accounts.models import Account, Bot, RiskLimits
    from accounts.services import user_create
    from decisions.models import Cycle
    from trading.domain.schedule import slot_at
    from trading.services.periodic import bot_row_put
    from vibex.lib.clock import WallClock

    owner, clock = user_create(email="fleet@example.com", password="a password of a fleet", operator=True), WallClock()
    now = clock.now()
    with transaction.atomic():
        accounts = Account.objects.bulk_create(
            Account(owner=owner, name=f"fleet{number}", venue="aster", network="testnet") for number in range(count)
        )
        RiskLimits.objects.bulk_create(RiskLimits(account=account) for account in accounts)
        bots = Bot.objects.bulk_create(
            Bot(account=account, name=account.name, model=model, status=Bot.Status.RUNNING, **bot)
            for account in accounts
        )
        if decided:
            Cycle.objects.bulk_create(_decided(one, slot_at(now, one.interval), now) for one in bots)
        for one in bots:
            bot_row_put(one, clock)
    return [one.pk for one in bots]


def _decided(bot: Any, slot: Any, now: Any) -> Any:
    from decisions.models import Cycle

    skipped = Cycle.Status.SKIPPED
    return Cycle(bot=bot, account=bot.account, scheduled_for=slot, status=skipped, lease_until=now, ended=now)


def start(bots: list[int]) -> None:
    """Let bots decide from now on."""
    from accounts.models import Bot
    from trading.services.schedule import bot_start

    for bot in Bot.objects.filter(pk__in=bots).select_related("account"):
        bot_start(bot=bot, actor=None, reason="the fleet")


def tick(bot: int, times: int) -> None:
    """Send one look at a bot several times, as a broker does that delivers again."""
    from trading.services.schedule import tick_send

    for _ in range(times):
        tick_send(bot, at_once=True)


if __name__ == "__main__":
    django.setup()
    said = json.load(sys.stdin)
    sys.stdout.write(json.dumps({"made": globals()[said.pop("do")](**said)}))
