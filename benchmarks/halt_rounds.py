"""Halt live accounts again and again, on the database that the environment names. Prints JSON.

A process of its own for each database: `benchmarks.halt` starts it.
"""

from __future__ import annotations

import json
import statistics
import sys
from typing import Any

ROUNDS, ACCOUNTS = 5, 3
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
    agents = [new_agent() for _ in range(ACCOUNTS)]
    opened = [TestAccount(f"0x{number:040x}", agents=(agent.address,)) for number, agent in enumerate(agents, 1)]
    markets = simulated_markets([SYMBOL], history_days=2)
    with serve_in_thread(markets, accounts=opened, pulse=3600, weight_limit=100_000, chain_id=TESTNET) as served:
        settings.ASTERDEX_TESTNET_REST_URL = served.http
        accounts = [live_account(one.user, agent) for one, agent in zip(opened, agents, strict=True)]
        taken: dict[str, list[float]] = {"one account": [], f"{ACCOUNTS} accounts at once": []}
        for number in range(ROUNDS + 1):  # the first one warms up
            for name, some in zip(taken, (accounts[:1], accounts), strict=True):
                seconds = halted(served, opened[: len(some)], some, f"{number}-{len(some)}")
                taken[name] += [seconds] if number else []
        found = {
            "vendor": connection.vendor,
            "rounds": ROUNDS,
            "median": {name: statistics.median(each) for name, each in taken.items()},
            "worst": {name: max(each) for name, each in taken.items()},
        }
    print(json.dumps(found), file=sys.stdout)


def live_account(user: str, agent: Any) -> Any:
    """Return an account on the testnet that signs as the agent, on a market that the server tells about."""
    from accounts.domain.credentials import AsterV3Keys
    from accounts.models import Account
    from accounts.services import account_create, user_create
    from accounts.services.credentials import credentials_save
    from marketdata.services.live import live_open

    owner = user_create(email=f"{user[-3:]}@example.com", password="correct horse battery staple")
    account = account_create(
        owner=owner, name="bench", venue="aster", mode=Account.Mode.LIVE, network=Account.Network.TESTNET
    )
    credentials_save(account=account, keys=AsterV3Keys(user, agent.address, agent.private_key), actor=None)
    feed = live_open(venue=account.market, symbols=[SYMBOL], seconds=60)
    if feed.problem:
        raise RuntimeError(feed.problem)
    return account


def halted(served: Any, opened: list[Any], accounts: list[Any], name: str) -> float:
    """Open something on each account, halt them, let them go again; return how long the slowest proof took, in seconds."""
    from accounts.models import Account
    from marketdata.models import VenueBudget
    from trading.models import Halt
    from trading.services.halt_all import accounts_halt

    VenueBudget.objects.all().delete()
    for one in opened:
        order = {"symbol": SYMBOL, "side": "BUY"}
        served.control.order(one.user, **order, type="MARKET", quantity="0.01")
        served.control.order(one.user, **order, type="LIMIT", timeInForce="GTC", price="1000", quantity="0.1")
        for kind, trigger in (("STOP_MARKET", "1000"), ("TAKE_PROFIT_MARKET", "9000000")):
            served.control.order(
                one.user, symbol=SYMBOL, side="SELL", type=kind, stopPrice=trigger, closePosition="true"
            )
    done = accounts_halt(accounts=accounts, reason=name)
    if not all(one.flat for one in done):
        raise RuntimeError(f"not flat: {[one.problem for one in done]}")
    slowest = max(one.seconds for one in done)
    Halt.objects.all().delete()
    Account.objects.update(state=Account.State.ACTIVE)
    return slowest


if __name__ == "__main__":
    main()
