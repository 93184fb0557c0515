"""A house on whose streams tests listen: somebody with all that a stream tells of."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.utils import timezone

from accounts.models import Account, Bot, User
from decisions.models import Cycle
from marketdata.models import Feed, Ticker
from tests.support.demo import account_of, bot_of, person
from trading.models import EquityPoint, Position
from trading.tests.listening import in_one_transaction
from vibex.lib import events

TRADING = "/ws/trading-events/"


def fresh_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let streams read in the test's own transaction, from a log that nothing stands in yet."""
    in_one_transaction(monkeypatch)
    events._log_at.cache_clear()
    yield
    events._log_at.cache_clear()


@dataclass
class House:
    """Somebody with an account, a bot, two open positions and two cycles."""

    user: User
    account: Account
    bot: Bot
    positions: list[Position]
    cycles: list[Cycle]


def house(email: str) -> House:
    user, now = person(email), timezone.now()
    account = account_of(user)
    bot = bot_of(account)
    positions = [
        Position.objects.create(
            account=account, bot=bot, symbol=symbol, side=side, quantity=Decimal("0.5"), cost=Decimal(50_000),
            entry_price=Decimal(100_000), opened=now, stop=Decimal(90_000),
        )
        for symbol, side in (("BTCUSDT", "long"), ("ETHUSDT", "short"))
    ]  # fmt: skip
    cycles = [
        Cycle.objects.create(
            bot=bot, account=account, scheduled_for=now + timedelta(minutes=step), lease_until=now, status="done"
        )
        for step in range(2)
    ]
    EquityPoint.objects.create(
        account=account, at=now, wallet=9_900, unrealised=Decimal("12.5"), equity=Decimal("9912.5")
    )
    return House(user, account, bot, positions, cycles)


def alices_house() -> House:
    """Write the market and the house of Alice, who is in it from the beginning."""
    now = timezone.now()
    Feed.objects.create(venue="sim", kind="simulated", market_at=now, wall_at=now)
    for symbol, mark in (("BTCUSDT", 100_100), ("ETHUSDT", 3_000)):
        prices = dict.fromkeys(("last", "bid", "ask", "mark"), Decimal(mark))
        Ticker.objects.create(venue="sim", symbol=symbol, at=now, **prices)
    return house("alice@vibex.local")


def run[T](scene: Callable[[], Coroutine[Any, Any, T]]) -> T:
    """Run what happens on streams, beside the test's own transaction."""
    return async_to_sync(scene)()
