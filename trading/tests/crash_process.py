"""A process that is killed at a named point of a cycle, and the restart after it. Run by test_crash.py.

Prints one JSON line per point: what the books and the exchange say once a second process has gone on.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import django

STAGES = ("snapshot", "portfolio", "prompt", "ask", "read", "rule", "execute", "record", "publish")
MOMENTS = ("planned", "sending", "accepted", "observed", "stop accepted", "target accepted")
"""Points inside of `execute`: before and after each commit of our books and of the exchange's."""
SLOT = datetime(2025, 10, 10, 12, tzinfo=UTC)
STEP = timedelta(minutes=3)


def main() -> None:
    django.setup()
    from tests.support.tables import tables_made

    tables_made()
    for number, point in enumerate((*STAGES, *MOMENTS)):
        account_id, bot_id = _in_child(lambda number=number: _prepare(number))
        died = _in_child(lambda point=point, bot_id=bot_id: _run_until(point, bot_id))
        after = _in_child(lambda account_id=account_id, bot_id=bot_id: _go_on(account_id, bot_id))
        print(json.dumps({"point": point, "killed": died is None, **after}), flush=True)  # noqa: T201


def _in_child(work: Callable[[], Any]) -> Any:
    """Do the work in a forked process of its own and return what it returns; None when it was killed."""
    from django.db import connections

    for connection in connections.all():
        connection.close()
        getattr(connection, "close_pool", lambda: None)()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            os.write(writing, json.dumps(work()).encode())
        except BaseException:
            traceback.print_exc()
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said) if said else None


def _prepare(number: int) -> tuple[int, int]:
    """Make an account with a bot that wants to buy, on a market that stands at 100,000."""
    from accounts.models import Account
    from trading.exchange.paper import open_paper_account
    from trading.tests.builders import make_account, make_bot

    account: Account = make_account(f"crash-{number}")
    open_paper_account(account, at=SLOT)
    return account.pk, make_bot(f"crash-{number}", account=account, model="rules/buyer").pk


def _run_until(point: str, bot_id: int) -> None:
    from trading.services.live import cycle_run

    _install_the_market(SLOT)
    _arm(point)
    cycle_run(bot_id=bot_id, scheduled_for=SLOT)


def _go_on(account_id: int, bot_id: int) -> dict[str, Any]:
    """Start again: reconcile, try the same candle, then the next one; return what stands."""
    from trading.services.lease import cycles_abandon
    from trading.services.live import cycle_run
    from trading.services.reconcile import account_reconcile

    _install_the_market(SLOT + timedelta(seconds=70))
    cycles_abandon(account_id=account_id)
    _let_the_window_pass(account_id)
    for _ in range(3):
        account_reconcile(account_id=account_id, trigger="start")
    again = cycle_run(bot_id=bot_id, scheduled_for=SLOT)
    _install_the_market(SLOT + STEP)
    following = cycle_run(bot_id=bot_id, scheduled_for=SLOT + STEP)
    return {"again": again.status, "next": following.status, **_what_stands(account_id)}


def _let_the_window_pass(account_id: int) -> None:
    """Pretend that whatever left did so too long ago to arrive any more."""
    from trading.models import Order

    Order.objects.filter(account_id=account_id).update(sent_at=datetime.now(UTC) - timedelta(seconds=70))


def _what_stands(account_id: int) -> dict[str, Any]:
    from accounts.models import Account
    from decisions.models import Cycle
    from trading.models import Order, PaperOrder, PaperPosition, PaperTrade, Position

    account = Account.objects.get(pk=account_id)
    paper = account.paper
    cycles = Cycle.objects.filter(account=account)
    venue_entries = PaperOrder.objects.filter(paper=paper, type="LIMIT")
    return {
        "cycles": sorted(f"{cycle.scheduled_for:%H:%M} {cycle.status}" for cycle in cycles),
        "entries sent": venue_entries.count(),
        "venue": [str(held.quantity.normalize()) for held in PaperPosition.objects.filter(paper=paper)],
        "books": [str(held.quantity.normalize()) for held in Position.objects.filter(account=account, closed=None)],
        "working": sorted(PaperOrder.objects.filter(paper=paper, status="NEW").values_list("type", flat=True)),
        "unresolved": list(Order.objects.filter(account=account, state__in=["sending", "unknown"]).values_list("role")),
        "fills": Position.objects.none().count() + sum(order.fills.count() for order in account.orders.all()),
        "trades": PaperTrade.objects.filter(paper=paper).count(),
        "wallet": str(paper.wallet - sum((entry.amount for entry in paper.income.all()), Decimal(0))),
    }


def _install_the_market(at: datetime) -> None:
    """Let every part of the cycle meet one price at the moment `at`, and a strategy that buys when it is flat."""
    from decisions.deciders import rules
    from decisions.domain.proposal import Action, Proposal
    from trading.services import live
    from trading.tests.venue_support import StillMarket
    from vibex.lib.clock import SimulatedClock

    def buyer(question: Any) -> tuple[Proposal, ...]:
        if question.portfolio.positions:
            return (Proposal("BTCUSDT", Action.HOLD),)
        stop, target = Decimal(98_000), Decimal(104_000)
        return (Proposal("BTCUSDT", Action.BUY, Decimal("0.02"), 2, stop, target),)

    rules.RULES = {**rules.RULES, "buyer": buyer}  # type: ignore[misc]
    live.market_for = lambda venue: StillMarket()  # type: ignore[assignment,return-value]
    live.market_clock = lambda venue: SimulatedClock(at)  # type: ignore[assignment,return-value]


def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _arm(point: str) -> None:
    """Have this process killed when it comes to `point`."""
    from trading.exchange.paper import PaperExchange
    from trading.services.journal.orm import OrmJournal

    if point in STAGES:
        _before(OrmJournal, "stage", lambda stage: stage.value == point)
    elif point in ("planned", "sending"):
        _after(OrmJournal, {"planned": "plan", "sending": "sending"}[point], lambda *_: True)
    elif point == "observed":
        _after(OrmJournal, "observe", lambda *_: True)
    else:
        kind = {"accepted": "LIMIT", "stop accepted": "STOP_MARKET", "target accepted": "TAKE_PROFIT_MARKET"}[point]
        _after(PaperExchange, "place", lambda order: order.type == kind)


def _before(owner: type, name: str, when: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        if when(*args):
            _die()
        return original(self, *args, **kwargs)

    setattr(owner, name, method)


def _after(owner: type, name: str, when: Callable[..., bool]) -> None:
    original = getattr(owner, name)

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        result = original(self, *args, **kwargs)
        if when(*args):
            _die()
        return result

    setattr(owner, name, method)


if __name__ == "__main__":
    sys.exit(main())
