"""What the drill does inside an installation, each step in a process of its own. Prints one line of JSON.

`open` makes a live account at the test exchange with one bot, `buy`, `close`, `move` trade, `facts` compares all that the
exchange knows of the account with the books.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django

VENUE = "aster_testnet"
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT")
QUANTITY = {"BTCUSDT": "0.010", "ETHUSDT": "0.20", "SOLUSDT": "4", "XRPUSDT": "300"}


def opened() -> dict[str, Any]:
    from accounts.domain.credentials import AsterV3Keys
    from accounts.services.credentials import credentials_save
    from marketdata.services.live import live_open
    from trading.services.reconcile import account_reconcile
    from trading.tests.builders import make_account, make_bot

    live_open(venue=VENUE, symbols=SYMBOLS, seconds=60)
    account = make_account("main", venue="aster", mode="live", network="testnet")
    make_bot("drill", account=account, model="rules/scripted", symbols=list(SYMBOLS), status="running")
    keys = json.loads(os.environ["DRILL_KEYS"])
    credentials_save(account=account, keys=AsterV3Keys(keys["user"], keys["signer"], keys["key"]), actor=None)
    done = account_reconcile(account_id=account.pk, trigger="start")
    return {"left": done.left}


def traded(action: str, symbol: str) -> dict[str, Any]:
    """Run a cycle that proposes one thing, as the bot's cycles run."""
    from accounts.models import Bot
    from decisions.deciders import rules
    from decisions.domain.proposal import Action, Proposal
    from decisions.models import Decision
    from marketdata.selectors import market_for
    from marketdata.services.live import feed_catch_up
    from trading.models import Fill, Order
    from trading.services.live import cycle_run

    feed_catch_up(venue=VENUE)
    price = Decimal(str(market_for(VENUE).quote(symbol, at=datetime.now(UTC)).mark))
    tick = market_for(VENUE).instrument(symbol).tick_size

    def at(share: str) -> Decimal:
        return (price * Decimal(share) // tick) * tick

    told = {
        "buy": lambda: Proposal(symbol, Action.BUY, Decimal(QUANTITY[symbol]), 2, at("0.97"), at("1.06"), justification="drill"),
        "sell": lambda: Proposal(symbol, Action.SELL, Decimal(QUANTITY[symbol]), 2, at("1.03"), at("0.94"), justification="drill"),
        "close": lambda: Proposal(symbol, Action.CLOSE),
    }[action]()  # fmt: skip
    rules.RULES["scripted"] = lambda question: (told,)
    fills = Fill.objects.count()
    run = cycle_run(bot_id=Bot.objects.get().pk, scheduled_for=datetime.now(UTC))
    hits = Decision.objects.filter(cycle_id=run.cycle_id).values_list("hits", flat=True)
    return {
        "status": run.status,
        "text": run.text,
        "fills": Fill.objects.count() - fills,
        "hits": json.dumps(list(hits), default=str),
        "orders": Order.objects.filter(cycle_id=run.cycle_id, role="entry").count(),
    }


def moved(symbol: str) -> dict[str, Any]:
    """Move the stop of a position a little nearer, as a person does."""
    from accounts.models import Account
    from trading.models import Position
    from trading.services.live import world_for
    from trading.services.stops import move_stop

    world = world_for(Account.objects.select_related("limits").get())
    held = Position.objects.get(symbol=symbol, closed=None)
    tick = world.market.instrument(symbol).tick_size
    assert held.stop is not None
    to = held.stop + tick * 10 * (1 if held.side == "long" else -1)
    return {"moved": str(move_stop(world, symbol, to)), "to": str(to)}


def facts() -> dict[str, Any]:
    """Return what the exchange knows of the account and what the books say, each in the same form."""
    from accounts.models import Account, Incident
    from trading.exchange.live import OrderHistory
    from trading.models import Fill, IncomeEntry, Lock, Order, Position
    from trading.services.live import world_for

    account = Account.objects.select_related("limits").get()
    exchange = world_for(account).exchange
    assert isinstance(exchange, OrderHistory)
    since, state = datetime.now(UTC) - timedelta(days=2), exchange.account()
    orders = [one for symbol in SYMBOLS for one in exchange.history(symbol=symbol, since=since)]
    trades = [one for symbol in SYMBOLS for one in exchange.trades(symbol=symbol, since=since)]
    income = exchange.income(since=since)
    plain = _plain
    theirs = {
        "orders": {one.client_order_id: [plain(one.filled), one.status.open] for one in orders},
        "fills": sorted([one.symbol, one.trade_id, plain(one.quantity), plain(one.price), plain(one.fee)] for one in trades),
        "positions": {one.symbol: [one.side.value, plain(one.quantity)] for one in state.positions},
        "stops": {one.symbol: plain(one.trigger) for one in state.orders if one.type == "STOP_MARKET"},
        "ledger": sorted([one.kind.value, one.transaction_id, plain(one.amount)] for one in income),
        "wallet": plain(state.wallet),
    }  # fmt: skip
    rows = Order.objects.exclude(state="denied")
    books = {
        "orders": {one.client_order_id: [plain(one.filled), one.state == "live"] for one in rows.filter(origin="ours")},
        "fills": sorted([one.symbol, one.exchange_trade_id, plain(one.quantity), plain(one.price), plain(one.fee)] for one in Fill.objects.all()),
        "positions": {one.symbol: [one.side, plain(one.quantity)] for one in Position.objects.filter(closed=None)},
        "stops": {one.symbol: plain(one.stop) for one in Position.objects.filter(closed=None)},
        "ledger": sorted([one.kind, one.transaction_id, plain(one.amount)] for one in IncomeEntry.objects.all()),
        "wallet": plain(sum((one.amount for one in IncomeEntry.objects.filter(asset="USDT")), Decimal(0))),
    }  # fmt: skip
    return {
        "theirs": theirs,
        "books": books,
        "foreign": rows.filter(origin="external").count(),
        "roles": sorted(rows.values_list("role", flat=True)),
        "locks": list(Lock.objects.filter(lifted=None).values_list("kind", flat=True)),
        "incidents": sorted(Incident.objects.filter(resolved=None).values_list("kind", flat=True)),
    }


def _plain(value: Decimal | None) -> str:
    return "" if value is None else f"{value.normalize():f}"


STEPS: Mapping[str, Callable[..., dict[str, Any]]] = {
    "open": opened, "trade": traded, "move": moved, "facts": facts,
}  # fmt: skip


if __name__ == "__main__":
    django.setup()
    step, *given = sys.argv[1:]
    if step == "open":
        from tests.support.tables import tables_made

        tables_made()
    from decisions.deciders import rules

    rules.RULES.setdefault("scripted", lambda question: ())
    print(json.dumps(STEPS[step](*given)), flush=True)  # noqa: T201
