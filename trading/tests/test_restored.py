"""After a restore whoever looks first knows the orders of the lost time: guard, cycle or reconcile."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from trading.models import Fill, Order, OrderEvent, Position
from trading.services import restored
from trading.services.reconcile import account_reconcile
from trading.services.restored import accounts_restored, restored_bar
from trading.services.stops import Moved, move_stop
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, live_house, nothing_hangs

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["its list of orders", "its trades"])
def house(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHouse]:
    """A live account with a position, at a venue that has a list of past orders, and at one that has none."""
    if request.param == "its trades":
        monkeypatch.setattr(restored, "OrderHistory", type("Nobody", (), {}))
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


@pytest.mark.parametrize("look", LOOKS)
def test_a_position_of_the_lost_time_is_ours_with_its_stop(house: LiveHouse, look: str) -> None:
    for model in (Fill, OrderEvent, Order, Position):
        model.objects.all().delete()
    restored_bar(name="vibex-abcd-20260101T000000Z", at=house.clock.at - timedelta(minutes=5))
    before = [(one.client_order_id, one.status) for one in house.truth.orders]
    LOOKS[look](house)
    assert [(one.client_order_id, one.status) for one in house.truth.orders] == before, "nothing was sent"
    held = Position.objects.get(closed=None)
    assert (held.quantity, held.stop, held.adopted is not None) == (D("0.02"), D(98_000), True)
    assert sorted(Order.objects.values_list("origin", "role")) == [
        ("ours", "entry"), ("ours", "stop"), ("ours", "target")
    ]  # fmt: skip
    assert "foreign-position" not in house.incidents()
    nothing_hangs(house)


def test_while_trades_cannot_be_booked_nothing_is_taken_for_somebody_elses(
    house: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for model in (Fill, OrderEvent, Order, Position):
        model.objects.all().delete()
    restored_bar(name="vibex-abcd-20260101T000000Z", at=house.clock.at - timedelta(minutes=5))
    before = [(one.client_order_id, one.status) for one in house.truth.orders]
    with monkeypatch.context() as away:
        away.setattr(restored, "book", lambda *_: None)
        house.guard(2)
    house.guard()
    assert [(one.client_order_id, one.status) for one in house.truth.orders] == before, "nothing was sent"
    assert (Position.objects.get(closed=None).stop, house.held()) == (D(98_000), D("0.02"))


def test_the_orders_of_the_lost_time_are_asked_for_once_and_by_each_comparison(
    house: LiveHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A look costs requests of which all accounts of an address have so many a minute."""
    asked: list[str] = []
    real = restored._orders_of_ours

    def counted(exchange: Any, state: Any, symbol: str, since: Any) -> Any:
        asked.append(symbol)
        return real(exchange, state, symbol, since)

    monkeypatch.setattr(restored, "_orders_of_ours", counted)
    restored_bar(name="vibex-abcd-20260101T000000Z", at=house.clock.at)
    house.guard()
    found = len(asked)
    assert found
    house.guard()
    house.cycle()
    assert len(asked) == found
    account_reconcile(account_id=house.account.pk, trigger="restore")
    assert len(asked) == 2 * found
