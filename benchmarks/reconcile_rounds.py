"""Reconcile an account that traded ten thousand times, on the database that the environment names. Prints JSON.

A process of its own for each database: `benchmarks.reconcile` starts it.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

FILLS, BATCH, ROUNDS = 10_000, 250, 5
USER = "0x" + "63" * 20
SYMBOL = "BTCUSDT"


def main() -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection

    from trading.exchange_server.accounts import TestAccount
    from trading.exchange_server.auth import TESTNET, new_agent
    from trading.exchange_server.build import simulated_markets
    from trading.exchange_server.server import serve_in_thread

    call_command("migrate", verbosity=0)
    agent = new_agent()
    markets = simulated_markets([SYMBOL], history_days=2)
    markets.clock.stand()
    opened = TestAccount(USER, deposit=Decimal(10_000_000), agents=(agent.address,))
    with serve_in_thread(markets, accounts=[opened], pulse=3600, weight_limit=100_000, chain_id=TESTNET) as served:
        settings.ASTERDEX_TESTNET_REST_URL = served.http
        account = live_account(agent)
        trade(served)
        found = {"vendor": connection.vendor, **rounds(served, account)}
    print(json.dumps(found), file=sys.stdout)


def live_account(agent: Any) -> Any:
    """Return an account on the testnet that signs as the agent, on a market that the server tells about."""
    from accounts.domain.credentials import AsterV3Keys
    from accounts.models import Account
    from accounts.services import account_create, user_create
    from accounts.services.credentials import credentials_save
    from marketdata.services.live import live_open

    owner = user_create(email="bench@example.com", password="correct horse battery staple")
    account = account_create(
        owner=owner, name="bench", venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET
    )
    credentials_save(account=account, keys=AsterV3Keys(USER, agent.address, agent.private_key), actor=None)
    feed = live_open(venue=account.market, symbols=[SYMBOL], seconds=60)
    if feed.problem:
        raise RuntimeError(feed.problem)
    return account


def trade(served: Any) -> None:
    """Buy and sell ten thousand times over six days; the last one leaves a position."""
    from trading.domain.venue import NewOrder, OrderSide, OrderType

    truth = served.server.signed.accounts.of(USER)
    step = timedelta(days=6) / FILLS

    def prepare() -> Any:
        truth.set_margin_type(SYMBOL, "ISOLATED")
        truth.use_margin_of(SYMBOL)
        truth.look(SYMBOL)
        return truth.now - timedelta(days=6)

    def some(numbers: range) -> None:
        for number in numbers:
            side = OrderSide.BUY if number % 2 == 0 else OrderSide.SELL
            order = NewOrder(f"old-{number}", SYMBOL, side, OrderType.MARKET, Decimal("0.01"))
            truth.engine.place(order, at=base + step * number)
        truth.collect()

    base = served.control._do(prepare)
    for first in range(0, FILLS + 1, BATCH):
        served.control._do(partial(some, range(first, min(first + BATCH, FILLS + 1))))


def rounds(served: Any, account: Any) -> dict[str, Any]:
    from trading.models import Fill, IncomeEntry
    from trading.services import fills
    from trading.services.live import world_for
    from trading.services.ready import account_ready
    from trading.services.reconcile import reconcile, reconcile_dry

    account_ready(account, [SYMBOL])
    world = world_for(account)
    began = time.perf_counter()
    reconcile(account, trigger="bench")
    first = time.perf_counter() - began
    fills.trades_book(
        account=account, trades=world.exchange.trades(symbol=SYMBOL, since=world.clock.now() - timedelta(days=7))
    )
    counts = {
        "fills": Fill.objects.filter(account=account).count(),
        "lines": IncomeEntry.objects.filter(account=account).count(),
    }
    found: dict[str, Callable[[], object]] = {
        "reconcile": partial(reconcile, account, trigger="bench"),
        "dry run": partial(reconcile_dry, account),
    }
    times: dict[str, list[float]] = {name: [] for name in found}
    requests: dict[str, int] = {}
    for _ in range(ROUNDS):
        for name, call in found.items():
            served.control.log(clear=True)
            began = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - began)
            requests[name] = len(served.control.log())
    middle = {name: sorted(values)[len(values) // 2] for name, values in times.items()}
    return {"first": first, "reconcile": middle["reconcile"], "dry": middle["dry run"], "requests": requests, **counts}


if __name__ == "__main__":
    main()
