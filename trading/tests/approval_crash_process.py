"""A process that is killed between an approval and its order, and the restart after it. Run by test_approval_killed.py.

Prints one JSON line per point: what the books and the exchange say once a second process has gone on.
"""

from __future__ import annotations

import json
import sys
from datetime import timedelta
from typing import Any

import django

from trading.tests.crash_process import (
    SLOT,
    STEP,
    _after,
    _arm,
    _in_child,
    _install_the_market,
    _let_the_window_pass,
    _what_stands,
)

POINTS = ("used up", "ruled again", "sending", "accepted")


def main() -> None:
    django.setup()
    from tests.support.tables import tables_made

    tables_made()
    for number, point in enumerate(POINTS):
        account_id, bot_id = _in_child(lambda number=number: _ask(number))
        died = _in_child(lambda point=point, bot_id=bot_id: _approve_until(point, bot_id))
        after = _in_child(lambda account_id=account_id, bot_id=bot_id: _go_on(account_id, bot_id))
        print(json.dumps({"point": point, "killed": died is None, **after}), flush=True)  # noqa: T201


def _ask(number: int) -> tuple[int, int]:
    """Let a bot decide to buy, and ask its owner."""
    from trading.exchange.paper import open_paper_account
    from trading.services.live import cycle_run
    from trading.tests.builders import make_account, make_bot

    account = make_account(f"ask-{number}")
    open_paper_account(account, at=SLOT)
    bot = make_bot(f"ask-{number}", account=account, model="rules/buyer", approval=True, status="running")
    _install(0)
    cycle_run(bot_id=bot.pk, scheduled_for=SLOT)
    return account.pk, bot.pk


def _approve_until(point: str, bot_id: int) -> str:
    from trading.services import approval
    from trading.services.journal.orm import OrmJournal

    _install(10)
    if point == "used up":
        _after(approval, "_use_up", lambda *_: True)
    elif point == "ruled again":
        _after(OrmJournal, "ruled", lambda *_: True)
    else:
        _arm(point)
    return _approve(bot_id)


def _approve(bot_id: int) -> str:
    from decisions.models import Decision
    from trading.services.approval import decision_approve
    from vibex.lib.errors import Rejected

    decision = Decision.objects.select_related("bot__account__owner").get(bot=bot_id, approval__isnull=False)
    try:
        return decision_approve(decision=decision, actor=decision.bot.account.owner).text
    except Rejected as refusal:
        return refusal.code


def _go_on(account_id: int, bot_id: int) -> dict[str, Any]:
    """Start again: reconcile, and try to approve it once more, in time; return what stands."""
    from decisions.models import Approval
    from trading.services.lease import cycles_abandon
    from trading.services.reconcile import account_reconcile

    _install(80)
    cycles_abandon(account_id=account_id)
    _let_the_window_pass(account_id)
    for _ in range(3):
        account_reconcile(account_id=account_id, trigger="start")
    again = _approve(bot_id)
    approval = Approval.objects.get(decision__bot=bot_id)
    ruled = approval.ruled_again_id is not None
    return {"again": again, "approval": approval.state, "ruled again": ruled, **_what_stands(account_id)}


def _install(seconds: int) -> None:
    from trading.selectors import approvals
    from trading.services import live

    assert timedelta(seconds=seconds) < STEP
    _install_the_market(SLOT + timedelta(seconds=seconds))
    approvals.market_clock = live.market_clock


if __name__ == "__main__":
    sys.exit(main())
