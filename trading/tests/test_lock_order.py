"""Two writers of one account wait for each other in one order: the account first, then its orders."""

from __future__ import annotations

import threading
import time
from decimal import Decimal as D

import pytest
from django.db import connection, connections, transaction

from accounts.models import Account
from decisions.domain.portfolio import Role
from trading.domain.orders import OrderState
from trading.domain.venue import NewOrder, OrderReport, OrderSide, OrderType, VenueStatus
from trading.models import Order
from trading.services.journal.orm import OrmJournal
from trading.tests.builders import make_account

STOP = NewOrder("vxstop", "BTCUSDT", OrderSide.SELL, OrderType.STOP_MARKET, trigger=D(95), close_position=True)
FILLED = OrderReport(
    "vxstop", "7", "BTCUSDT", OrderSide.SELL, OrderType.STOP_MARKET, VenueStatus.FILLED, D(2), close_position=True
)

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif("connection.vendor != 'postgresql'", reason="SQLite has one writer"),
    pytest.mark.ci,
]


@pytest.mark.parametrize("deed", ["cancelling", "observe"])
def test_who_books_trades_of_an_order_and_who_cancels_or_observes_it_never_block_each_other(deed):
    journal = OrmJournal(make_account())
    journal.plan(STOP, role=Role.STOP)
    journal.sending("vxstop")
    Order.objects.update(state=OrderState.LIVE if deed == "cancelling" else OrderState.ABSENT)
    faults = list[Exception]()

    def other():
        try:
            journal.cancelling("vxstop") if deed == "cancelling" else journal.observe("vxstop", FILLED)
        except Exception as fault:
            faults.append(fault)
        finally:
            connections.close_all()

    thread = threading.Thread(target=other)
    with transaction.atomic():  # as a bookkeeper does: the account, then the orders that its trades are of
        Account.objects.select_for_update().get(pk=journal.account.pk)
        thread.start()
        time.sleep(0.5)
        Order.objects.select_for_update().get(client_order_id="vxstop")
    thread.join(10)
    assert not faults
    assert connection.vendor == "postgresql"
