"""An account at Hyperliquid through ccxt keeps the rules of the port: the suite that every exchange passes, over there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracles.hyperliquid_house import Quoted, hyperliquid
from trading.exchange.base import Refusal
from trading.tests.matching_kit import order, stop
from trading.tests.test_exchange_compliance import *  # noqa: F403 - every test of the suite is one of this module
from trading.tests.test_exchange_compliance import SYMBOL, Venue, refusal

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]


@pytest.fixture
def venue(python_with_ccxt: Path) -> Iterator[Venue]:
    with hyperliquid(python_with_ccxt) as house:
        made = Venue(Quoted(house.exchange), house.clock, house.drive)
        made.trade_at("100")
        yield made


REFUSALS = [
    (order("BUY", quantity="1", symbol="NOPEUSDT"), Refusal.UNKNOWN_SYMBOL),
    (order("BUY", quantity="0.0001"), Refusal.FILTER),
    (order("BUY", quantity="0.001"), Refusal.FILTER),
    (order("BUY", quantity="900"), Refusal.MARGIN),
    (order("SELL", quantity="1", reduce_only=True), Refusal.REDUCE_ONLY),
    # A stop is one over what is held, so there is none where nothing is held.
    (stop("SELL", "90"), Refusal.REDUCE_ONLY),
]


@pytest.mark.parametrize(("new", "expected"), REFUSALS)
def test_a_refusal_says_why_and_leaves_no_trace(venue, new, expected):
    before = venue.exchange.account()
    assert refusal(venue.exchange.place, new) is expected
    assert venue.exchange.account() == before
    if new.symbol == SYMBOL:
        assert venue.exchange.order(symbol=SYMBOL, client_order_id=new.client_order_id) is None


def test_a_stop_that_would_fire_at_once_is_refused_over_a_position(venue):
    venue.exchange.place(order("BUY", quantity="1"))
    before, new = venue.exchange.account(), stop("SELL", "100")
    assert refusal(venue.exchange.place, new) is Refusal.WOULD_TRIGGER
    assert venue.exchange.account() == before
    assert venue.exchange.order(symbol=SYMBOL, client_order_id=new.client_order_id) is None
