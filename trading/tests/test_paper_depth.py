"""Ladders at the paper venue: fills in part are written, and what was used up stays so."""

from datetime import timedelta
from decimal import Decimal as D

import pytest

from trading.domain.matching import Depth, EngineSettings
from trading.domain.venue import VenueStatus
from trading.exchange.base import Refused
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.tests.builders import make_account
from trading.tests.matching_kit import START, order, stop
from trading.tests.paper_kit import TickMarket
from vibex.lib.clock import SimulatedClock

pytestmark = pytest.mark.django_db(transaction=True)
SYMBOL = "BTCUSDT"
PLAIN = EngineSettings(spread=D(0), stop_slippage_range=D(0), margin_buffer=D(0))


def asks(*levels):
    return Depth.of(asks=[(D(price), D(size)) for price, size in levels])


@pytest.fixture
def room():
    market, clock, account = TickMarket(), SimulatedClock(START + timedelta(seconds=30)), make_account()
    open_paper_account(account, at=START)
    market.tick(100, minutes=0)
    return market, clock, PaperExchange(account.pk, market, clock, settings=PLAIN)


def test_an_entry_is_filled_in_part_the_stop_takes_that_part_and_the_rest_is_cancelled(room):
    market, clock, exchange = room
    exchange.set_depth(SYMBOL, asks(("100", "6")))
    placed = exchange.place(order("BUY", "LIMIT", "10", price="100", id="in"))
    assert (placed.status, placed.filled) == (VenueStatus.PARTIALLY_FILLED, 6)
    exchange.place(stop("SELL", "95", id="stop"))
    market.tick(94, minutes=1)
    clock.move_to(START + timedelta(minutes=2))
    assert exchange.account().positions == ()
    trades = exchange.trades(symbol=SYMBOL, since=START)
    assert [(one.client_order_id, one.quantity) for one in trades] == [("in", 6), ("stop", 6)]
    assert exchange.cancel(symbol=SYMBOL, client_order_id="in").filled == 6


def test_what_was_used_up_is_gone_and_a_refused_order_uses_up_nothing(room):
    _, _, exchange = room
    exchange.set_depth(SYMBOL, asks(("100", "3"), ("101", "3")))
    with pytest.raises(Refused):
        exchange.place(order("BUY", quantity="999"))
    exchange.place(order("BUY", quantity="2"))
    exchange.place(order("BUY", quantity="2"))
    assert [(one.price, one.quantity) for one in exchange.trades(symbol=SYMBOL, since=START)] == [
        (100, 2), (100, 1), (101, 1),
    ]  # fmt: skip


def test_a_new_ladder_serves_what_rests_and_without_one_the_price_does(room):
    market, clock, exchange = room
    exchange.set_depth(SYMBOL, asks())
    exchange.place(order("BUY", "LIMIT", "10", price="100", id="in"))
    market.tick(99, minutes=1)
    clock.move_to(START + timedelta(minutes=2))
    assert exchange.order(symbol=SYMBOL, client_order_id="in").filled == 0
    exchange.set_depth(SYMBOL, asks(("99", "4")))
    exchange.advance()
    assert exchange.order(symbol=SYMBOL, client_order_id="in").filled == 4
    exchange.set_depth(SYMBOL, None)
    market.tick(98, minutes=3)
    clock.move_to(START + timedelta(minutes=4))
    report = exchange.order(symbol=SYMBOL, client_order_id="in")
    assert (report.status, report.average_price) == (VenueStatus.FILLED, 100)
