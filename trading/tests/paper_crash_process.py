"""Two processes that trade on one paper account until they are killed, again and again. Run by test_paper_killed.py.

Prints one JSON line per round: what an audit of the venue's tables finds wrong, and how much was done.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import signal
import time
import traceback
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import django

ROUNDS = 12
SYMBOL = "BTCUSDT"


def main() -> None:
    django.setup()
    from tests.support.tables import tables_made

    tables_made()
    importlib.import_module("trading.exchange.paper")  # before the forks, so that they begin to trade at once
    importlib.import_module("trading.tests.paper_kit")
    account_id = _in_child(_open)
    for number in range(ROUNDS):
        _kill_at_work(account_id, random.Random(number), number)
        print(json.dumps(_in_child(lambda: _audit(account_id))), flush=True)  # noqa: T201


def _kill_at_work(account_id: int, rng: random.Random, number: int) -> None:
    """Let two writers do a few things, then kill both at a moment that nobody chose."""
    done, beat = os.pipe()
    writers = [_fork(lambda seed=2 * number + each: _trade(account_id, seed, beat)) for each in (0, 1)]
    for _ in range(rng.randint(2, 12)):
        os.read(done, 1)
    time.sleep(rng.uniform(0, 0.03))
    for writer in writers:
        os.kill(writer, signal.SIGKILL)
        os.waitpid(writer, 0)
    os.close(done)
    os.close(beat)


def _open() -> int:
    from trading.exchange.paper import open_paper_account
    from trading.tests.builders import make_account
    from trading.tests.matching_kit import START

    account = make_account("killed")
    open_paper_account(account, at=START)
    return account.pk


def _trade(account_id: int, seed: int, beat: int) -> None:
    """Place, cancel and look, on a market that jumps about, without end."""
    from trading.exchange.base import Refused, Unavailable
    from trading.exchange.paper import PaperExchange
    from trading.tests.matching_kit import START
    from trading.tests.paper_kit import TickMarket
    from vibex.lib.clock import SimulatedClock

    rng, market, clock = random.Random(seed), TickMarket(), SimulatedClock(START + timedelta(hours=seed // 2))
    exchange = PaperExchange(account_id, market, clock)
    number = 0
    while True:
        number += 1
        clock.move_to(clock.at + timedelta(seconds=20))
        market.ticks[SYMBOL] = [*market.ticks[SYMBOL][-10:], (clock.at, Decimal(rng.randint(95, 105)))]
        with contextlib.suppress(Refused, Unavailable):
            _something(exchange, rng, f"{seed}-{number}")
        os.write(beat, b".")


def _something(exchange: Any, rng: random.Random, name: str) -> None:
    from trading.tests.matching_kit import order, stop

    side = rng.choice(["BUY", "SELL"])
    match rng.randrange(5):
        case 0 | 1:
            exchange.place(order(side, quantity="1", id=f"m{name}"))
        case 2:
            exchange.place(stop(side, str(rng.randint(92, 108)), id=f"s{rng.randrange(4)}"))
        case 3:
            exchange.cancel(symbol=SYMBOL, client_order_id=f"s{rng.randrange(4)}")
        case _:
            exchange.advance()


def _audit(account_id: int) -> dict[str, Any]:
    """Return what is wrong in the tables, in words, and the number of executions."""
    from trading.models import PaperAccount, PaperIncome, PaperOrder, PaperPosition, PaperTrade

    paper = PaperAccount.objects.get(account_id=account_id)
    trades, orders = list(PaperTrade.objects.filter(paper=paper)), list(PaperOrder.objects.filter(paper=paper))
    traded, filled = Decimal(0), Counter[int]()
    for trade in trades:
        traded += trade.quantity if trade.side == "BUY" else -trade.quantity
        filled[trade.exchange_id] += trade.quantity  # type: ignore[assignment]
    held = sum((position.quantity for position in PaperPosition.objects.filter(paper=paper)), Decimal(0))
    income = list(PaperIncome.objects.filter(paper=paper))
    open_ids = Counter(order.client_order_id for order in orders if order.status in ("NEW", "PARTIALLY_FILLED"))
    used = [t.trade_id for t in trades] + [o.exchange_id for o in orders] + [i.transaction_id for i in income]
    checks = {
        "the wallet is not the sum of its income": paper.wallet == sum(entry.amount for entry in income),
        "the position is not the sum of the trades": held == traded,
        "an order and its trades disagree": all(order.filled == filled[order.exchange_id] for order in orders),
        "a client id is open twice": not [name for name, times in open_ids.items() if times > 1],
        "an id was given twice": len(used) == len(set(used)) and max(used) < paper.next_id,
    }
    return {
        "wrong": [text for text, right in checks.items() if not right],
        "trades": len(trades),
        "version": paper.version,
    }


def _fork(work: Callable[[], Any]) -> int:
    """Do the work in a process of its own, with connections of its own."""
    from django.db import connections

    for connection in connections.all():
        connection.close()
        getattr(connection, "close_pool", lambda: None)()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    return child


def _in_child(work: Callable[[], Any]) -> Any:
    reading, writing = os.pipe()
    child = _fork(lambda: os.write(writing, json.dumps(work()).encode()))
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


if __name__ == "__main__":
    main()
