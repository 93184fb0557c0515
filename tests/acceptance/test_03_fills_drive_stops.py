"""Acceptance test 3: fills drive stops.

Asked for 1.000, filled 0.370 and then 0.200; then 40 % of it is closed; then something is added. After each event stop and
target cover exactly what is open, at no time are there none or two, and cancelling one kind never touches the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest

from accounts.models import RiskLimits
from tests.acceptance.kit import looked_at
from trading.models import Position
from trading.services.stops import move_stop, move_target
from trading.tests.live_kit import BUY, SYMBOL, LiveHouse, books_tie_out, live_house, nothing_hangs

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
WISH = replace(BUY, quantity=D("1.000"), profit_target=D(106_000))
STOP, TARGET = KINDS = ("STOP_MARKET", "TAKE_PROFIT_MARKET")


@pytest.fixture
def house(monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch, deposit=D(1_000_000)) as made:
        RiskLimits.objects.update(pyramiding=True, cooldown_minutes=0)
        yield looked_at(made)


def test_3_fills_drive_stops(house):
    on_offer(house, "0.370")
    house.cycle(WISH)
    covered(house, "0.370")
    on_offer(house, "0.200")
    house.cycle(WISH)
    covered(house, "0.570")
    first = standing(house)
    house.served.control.set_depth(SYMBOL)
    house.served.control.order(
        house.user, symbol=SYMBOL, side="SELL", type="MARKET", quantity="0.228", reduceOnly="true"
    )
    house.guard()
    covered(house, "0.342")
    on_offer(house, "0.050", "0.030")  # one order, two lots at two prices
    house.cycle(replace(WISH, quantity=D("0.100")))
    covered(house, "0.422")
    house.served.control.set_depth(SYMBOL)
    assert standing(house) == first, "orders that close the position follow its size by themselves"
    never_none_never_two(house)

    moved = standing_of(house, TARGET)
    move_stop(house.world, SYMBOL, D(98_500))
    assert (house.stops(), standing_of(house, TARGET)) == ([D(98_500)], moved), "the target was not touched"
    stop = standing_of(house, STOP)
    move_target(house.world, SYMBOL, D(107_000))
    assert standing_of(house, STOP) == stop, "the stop was not touched"
    never_none_never_two(house)
    for kind, other in (KINDS, KINDS[::-1]):
        before = standing_of(house, other)
        cancelled_by_hand(house, kind)
        house.guard()
        covered(house, "0.422")
        assert standing_of(house, other) == before, f"who puts back the {kind} leaves the {other} alone"

    house.at(107_100)
    house.guard()
    assert (house.held(), house.truth.working()) == (0, [])
    assert Position.objects.get().exit_reason == "target"
    books_tie_out(house)
    nothing_hangs(house)


def on_offer(house: LiveHouse, *lots: str) -> None:
    """Let so much be for sale, each lot one dollar dearer than the one before."""
    asks = [[str(100_000 + place), lot] for place, lot in enumerate(lots)]
    house.served.control.set_depth(SYMBOL, bids=[["99999", "500"]], asks=asks)


def covered(house: LiveHouse, quantity: str) -> None:
    """One stop and one target stand, and each closes all that is open."""
    assert (house.held(), Position.objects.get(closed=None).quantity) == (D(quantity), D(quantity))
    children = house.truth.working(SYMBOL)
    assert sorted(one.type.value for one in children) == sorted(KINDS)
    assert all(one.close_position or one.quantity == D(quantity) for one in children)


def standing(house: LiveHouse) -> set[int]:
    return {one.exchange_id for one in house.truth.working(SYMBOL)}


def standing_of(house: LiveHouse, kind: str) -> set[int]:
    return {one.exchange_id for one in house.truth.working(SYMBOL) if one.type == kind}


def cancelled_by_hand(house: LiveHouse, kind: str) -> None:
    for one in house.truth.working(SYMBOL):
        if one.type == kind:
            house.served.control.order(house.user, "DELETE", symbol=SYMBOL, origClientOrderId=one.client_order_id)


def never_none_never_two(house: LiveHouse) -> None:
    """By the exchange's record: from the first fill on, in every instant, one stop and one target stood."""
    truth = house.truth
    first = min(trade.at for trade in truth.trades)
    changes = sorted({at for one in truth.orders for at in (one.created, one.updated) if at >= first})
    for at in changes:
        instant = at + timedelta(milliseconds=1)  # what happens in one instant is over then
        stood = [
            one.type.value
            for one in truth.orders
            if one.type in KINDS and one.created <= instant and (one.status.open or one.updated > instant)
        ]
        assert sorted(stood) == sorted(KINDS), f"{stood} at {at}"
