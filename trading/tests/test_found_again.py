"""Orders are known again by their names and kinds, after the books that knew them were lost."""

from __future__ import annotations

from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.portfolio import Role
from trading.domain.found import made_by, role_of
from trading.domain.orders import new_client_order_id
from trading.domain.venue import OrderReport, OrderSide, OrderType, VenueStatus


@given(st.text("abcdefghijklmnopqrstuvwxyz234567", min_size=4, max_size=4))
def test_an_installation_knows_its_own_and_no_others(tag):
    name = new_client_order_id(tag)
    other = "aaaa" if tag != "aaaa" else "bbbb"
    assert made_by(name, tag)
    assert not made_by(name, other)
    assert not any(made_by(wrong, tag) for wrong in (name[:-1], f"{name}a", name.upper(), f"x{name}", "", "by-hand"))


@pytest.mark.parametrize(
    ("kind", "more", "role"),
    [
        (OrderType.LIMIT, {}, Role.ENTRY),
        (OrderType.MARKET, {"reduce_only": True}, Role.CLOSE),
        (OrderType.STOP_MARKET, {"close_position": True}, Role.STOP),
        (OrderType.STOP_MARKET, {"reduce_only": True}, Role.STOP),
        (OrderType.TAKE_PROFIT_MARKET, {"close_position": True}, Role.TARGET),
    ],
)
def test_its_kind_says_what_an_order_was_for(kind, more, role):
    report = OrderReport("vx", "1", "BTCUSDT", OrderSide.BUY, kind, VenueStatus.FILLED, D(1), **more)
    assert role_of(report) is role
