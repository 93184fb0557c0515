"""After a restore whoever looks first knows the orders of the lost time: guard, cycle or reconcile."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D

import pytest

from trading.models import Order, OrderEvent, Position
from trading.services.reconcile import account_reconcile
from trading.services.restored import accounts_restored, restored_bar
from trading.services.stops import Moved, move_stop
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, live_house, nothing_hangs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as house:
        house.cycle(BUY)
        yield house


def stop_moved_in_the_lost_time(house: LiveHouse, to: D) -> None:
    """Let the books be those of before a stop was moved, as a restore leaves them."""
    kept = list(Order.objects.values()), list(OrderEvent.objects.values()), list(Position.objects.values())
    assert move_stop(house.world, SYMBOL, to) is Moved.MOVED
    OrderEvent.objects.all().delete()
    for model, rows in zip((Order, OrderEvent, Position), kept, strict=True):
        if model is Order:
            Order.objects.exclude(pk__in=[row["id"] for row in rows]).delete()
        for row in rows:
            model(**row).save(force_insert=model is OrderEvent)
    restored_bar(name="vibex-abcd-20260101T000000Z", at=house.clock.at)


LOOKS = {
    "guard": lambda house: house.guard(),
    "cycle": lambda house: house.cycle(),
    "reconcile": lambda house: account_reconcile(account_id=house.account.pk, trigger="restore"),
}


@pytest.mark.parametrize("look", LOOKS)
def test_a_stop_that_was_moved_in_the_lost_time_is_left_where_it_stands(house: LiveHouse, look: str) -> None:
    stop_moved_in_the_lost_time(house, D(95_000))
    house.at(97_000)  # below the stop that the books remember
    before = [(one.client_order_id, one.status) for one in house.truth.orders]
    LOOKS[look](house)
    assert house.stops() == [D(95_000)]
    assert house.held() == D("0.02")
    assert [(one.client_order_id, one.status) for one in house.truth.orders] == before, "nothing was sent"
    assert Position.objects.get(closed=None).stop == D(95_000)
    nothing_hangs(house)
    assert bool(accounts_restored()) is (look != "reconcile"), "only a comparison lifts the bar"
