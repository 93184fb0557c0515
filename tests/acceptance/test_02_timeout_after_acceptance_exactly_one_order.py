"""Acceptance test 2: timeout after acceptance, exactly one order.

The exchange accepts an order and drops the reply; the client goes on wanting it, also across a restart of its process.
The book has one order with the client id that was committed before it left, and the intent is resolved.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from decimal import Decimal as D
from functools import partial

import pytest

from marketdata.aster.http import AsterHttp
from tests.acceptance.kit import looked_at
from tests.faults.test_killed import ROOT
from trading.domain.venue import OrderSide
from trading.models import Order, Position
from trading.services import exchanges
from trading.services.journal.orm import OrmJournal
from trading.services.lease import cycles_abandon
from trading.services.reconcile import account_reconcile
from trading.tests.live_kit import BUY, LiveHouse, books_tie_out, live_house, nothing_hangs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
ACCEPTED: dict[str, dict[str, float]] = {
    "drop-after": {},
    "-1007-after": {},
    "delay-after": {"seconds": 3.0},
}
"""The order is executed and its answer is lost, "nobody knows", or too late for us."""


@pytest.fixture
def house(monkeypatch):
    monkeypatch.setattr(exchanges, "AsterHttp", partial(AsterHttp, timeout=1.0, patience=2.0, jitter=0))
    with live_house(monkeypatch) as made:
        yield looked_at(made)


@pytest.mark.parametrize("lost", ACCEPTED)
def test_2_timeout_after_acceptance_exactly_one_order(house, monkeypatch, lost):
    intents = committed_before_they_leave(monkeypatch)
    house.fault(lost, path="*/order", method="POST", **ACCEPTED[lost])
    house.fault("503", path="*/order", method="GET", count=4)  # and nobody can be asked what became of it
    for _ in range(2):
        house.cycle(BUY)
    restart(house)
    for _ in range(2):
        house.cycle(BUY)
    house.served.control.clear()
    house.guard()

    (order,) = [one for one in house.truth.orders if one.side is OrderSide.BUY]
    row = Order.objects.get(role="entry")
    assert intents[0] == row.client_order_id == order.client_order_id
    assert (row.state, row.filled, order.filled) == ("done", D("0.02"), D("0.02"))
    assert Position.objects.get().decision == row.decision
    assert house.sent_twice() == []
    assert house.stops() == [BUY.stop_loss]
    books_tie_out(house)
    nothing_hangs(house)


def committed_before_they_leave(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that fills with the client ids of orders that leave, each of which is in the database already."""
    seen: list[str] = []
    sending = OrmJournal.sending

    def watching(self, client_order_id):
        sending(self, client_order_id)
        assert Order.objects.get(client_order_id=client_order_id).state == "sending"
        seen.append(client_order_id)

    monkeypatch.setattr(OrmJournal, "sending", watching)
    return seen


def restart(house: LiveHouse) -> None:
    """Do what a start does: no client, no claim and no lease of before."""
    exchanges.exchanges_forget()
    cycles_abandon(account_id=house.account.pk)
    account_reconcile(account_id=house.account.pk, trigger="start")


def test_2b_a_process_that_is_killed_after_acceptance_sends_nothing_twice(tmp_path):
    """The same with a real process, killed when the exchange has the order and it has not heard so."""
    kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    env = {**kept, "VIBEX_ENV": "dev", "LOG_LEVEL": "CRITICAL", "VIBEX_DATA_DIR": str(tmp_path), "LOG_FILES": "no"}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.faults.killed_process", "entry: after it was carried out"],
        cwd=ROOT,
        env={**env, "DJANGO_SETTINGS_MODULE": "vibex.settings"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    (life,) = [json.loads(line) for line in ran.stdout.splitlines() if line.startswith('{"point"')]
    assert "wrong" not in life, life["wrong"]
    assert life["killed"]
    assert life["held"] == "0.02", "the one order that was accepted, protected"
