"""Acceptance test 1: stop rejected, then flat.

An entry fills and both attempts to place its stop are rejected. Within 10 s the position is closed reduce-only, the
account takes no entries, and an alert and an incident are there.
"""

from __future__ import annotations

import time
from dataclasses import replace
from decimal import Decimal as D

import pytest

from accounts.models import Account, Alert, Incident
from decisions.models import Decision
from trading.domain.venue import OrderSide
from trading.models import Lock, Position
from trading.services.standing import account_activate
from trading.tests.live_kit import BUY, SYMBOL, books_tie_out, live_house, nothing_hangs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
TEN_SECONDS = 10.0
UNKNOWN, DOCUMENTED = -9999, -4045
"""A code in nobody's documents, and "reach max stop order limit". What nobody knows is not tried a second time."""


@pytest.mark.parametrize(("code", "attempts"), [(DOCUMENTED, 2), (UNKNOWN, 1)])
def test_1_stop_rejected_then_flat(monkeypatch, code, attempts):
    naps: list[float] = []
    with live_house(monkeypatch, sleep=naps.append) as house:
        house.guard()
        house.fault("refuse", path="*/order", method="POST", form={"type": "STOP_MARKET"}, code=code, count=2)
        began = time.monotonic()
        house.cycle(BUY)
        took = time.monotonic() - began + sum(naps)

        assert house.served.server.faults.rest[-1].struck == attempts, "each attempt was rejected"
        assert house.held() == 0
        assert took <= TEN_SECONDS
        (entry,) = [one for one in house.truth.orders if one.side is OrderSide.BUY]
        (close,) = [one for one in house.truth.orders if one.side is OrderSide.SELL]
        assert (close.type, close.reduce_only, close.filled) == ("MARKET", True, entry.filled)
        assert (close.updated - entry.updated).total_seconds() <= TEN_SECONDS, "by the exchange's own clock too"
        assert Position.objects.get().exit_reason == "flatten"

        incident = Incident.objects.get(kind="stop-failed", resolved=None)
        assert incident.severity == Incident.Severity.CRITICAL
        assert SYMBOL in incident.text
        alert = Alert.objects.get(type="missing-protection")
        assert (alert.severity, alert.user, alert.incident) == ("critical", house.account.owner, incident)

        nothing_is_opened(house)
        house.served.control.clear()
        house.guard()
        nothing_is_opened(house)
        books_tie_out(house)
        nothing_hangs(house)
        assert house.truth.working() == []


def nothing_is_opened(house) -> None:
    """The account takes no entries on the symbol, not even one without its old fault, and says why."""
    before = len(house.truth.orders)
    house.cycle(replace(BUY, quantity=D("0.01")))
    assert len(house.truth.orders) == before
    ruling = Decision.objects.order_by("-pk")[0]
    assert ruling.verdict == "refused"
    assert set(ruling.rule_ids) & {"account.state", "standing.blocked"}, ruling.rule_ids
    assert Lock.objects.filter(lifted=None, symbol=SYMBOL).exists() or house.account.state == Account.State.REDUCING


def test_1b_a_code_that_nobody_knows_bars_the_whole_account_until_a_person_acts(monkeypatch):
    with live_house(monkeypatch) as house:
        house.guard()
        house.fault("refuse", path="*/order", method="POST", form={"type": "STOP_MARKET"}, code=UNKNOWN, count=2)
        house.cycle(BUY)
        assert house.account.state == Account.State.REDUCING
        house.guard(3)
        assert house.account.state == Account.State.REDUCING, "time alone opens nothing"
        account_activate(account=house.account, actor=house.account.owner, reason="looked at it")
        assert house.account.state == Account.State.ACTIVE
