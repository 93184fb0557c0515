"""A halt is proved only when no entry is on its way any more, and lifting one lifts nothing that came after it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal as D

import pytest

from accounts.models import Account, User
from decisions.domain.portfolio import Role
from trading.domain.orders import ARRIVES_WITHIN
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.models import Order
from trading.services import resume
from trading.services.halt import account_halt, halt_latch
from trading.services.standing import account_reduce
from trading.tests.builders import make_account
from trading.tests.live_kit import SYMBOL, live_house
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db(transaction=True)
ENTRY = NewOrder(
    "vxentry", SYMBOL, OrderSide.BUY, OrderType.LIMIT, D("0.01"), price=D(100_100), time_in_force=TimeInForce.IOC
)


def test_promise_6_halt_is_proved_an_account_is_not_flat_while_an_entry_is_on_its_way(monkeypatch):
    with live_house(monkeypatch) as house:
        house.guard()
        world = house.world
        world.journal.plan(ENTRY, role=Role.ENTRY)
        world.journal.sending(ENTRY.client_order_id)  # and the request hangs on its way
        done = account_halt(account=house.account, reason="test")
        assert not done.flat, "it may still be taken, and filled"
        world.exchange.place(ENTRY)
        house.guard()
        assert house.held() == 0
        assert Order.objects.get(client_order_id="vxentry").state == "done"
        house.guard()
        assert "halt" not in house.incidents()


def test_an_entry_that_cannot_arrive_any_more_holds_up_no_proof(monkeypatch):
    with live_house(monkeypatch) as house:
        house.guard()
        world = house.world
        world.journal.plan(ENTRY, role=Role.ENTRY)
        world.journal.sending(ENTRY.client_order_id)
        Order.objects.update(sent_at=datetime.now(UTC) - ARRIVES_WITHIN)
        assert account_halt(account=house.account, reason="test").flat


def test_who_lets_an_account_open_positions_again_does_not_lift_a_halt_that_came_meanwhile(monkeypatch):
    account, person = make_account(), User.objects.create_superuser("operator@example.org")
    account_reduce(account=account, reason="an unknown code")
    account.refresh_from_db()

    class Agreed:
        left = ()

    def meanwhile(account, trigger):
        halt_latch(account=Account.objects.get(pk=account.pk), reason="stop everything")
        return Agreed()

    monkeypatch.setattr(resume, "reconcile", meanwhile)
    with pytest.raises(Rejected, match="halted meanwhile"):
        resume.account_resume(account=account, actor=person, reason="it was looked into")
    account.refresh_from_db()
    assert account.state == Account.State.HALTED
