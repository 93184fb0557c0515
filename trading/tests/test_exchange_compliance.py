"""One suite for every Exchange: whatever stands behind the port, the same things happen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal as D
from functools import partial
from typing import Any

import pytest

from decisions.domain.proposal import Side
from marketdata.domain.snapshot import Quote
from trading.domain.matching import EngineSettings
from trading.domain.venue import IncomeKind, VenueStatus
from trading.exchange.base import Exchange, Refusal, Refused
from trading.exchange.paper import PaperExchange, open_paper_account
from trading.exchange.simulated import SimulatedExchange
from trading.tests.aster_server_kit import aster, the_connector
from trading.tests.builders import make_account
from trading.tests.matching_kit import SPECS, START, order, stop, target
from trading.tests.paper_kit import TickMarket
from vibex.lib.clock import SimulatedClock

SYMBOL = "BTCUSDT"
PLAIN = EngineSettings(margin_buffer=D(0))


@dataclass
class Venue:
    """An exchange under test, and how to move its market."""

    exchange: Exchange
    clock: SimulatedClock
    drive: Any

    def trade_at(self, price: str) -> None:
        """Let a minute pass and the price go to `price`."""
        self.clock.move_to(self.clock.at + timedelta(minutes=1))
        self.drive(price, self.clock.at)


def simulated(stack: ExitStack) -> Venue:
    clock = SimulatedClock(START)
    exchange = SimulatedExchange(instruments=SPECS, clock=clock, deposit=D(10_000), settings=PLAIN)

    def drive(price: str, at: object) -> None:
        exchange.quote(Quote(SYMBOL, clock.at, D(price), D(price), D(price), D(price)))

    return Venue(exchange, clock, drive)


def paper(stack: ExitStack) -> Venue:
    clock, market = SimulatedClock(START), TickMarket()
    account = make_account(starting_balance=D(10_000))
    open_paper_account(account, at=START)

    def drive(price: str, at: Any) -> None:
        market.ticks[SYMBOL].append((at, D(price)))

    return Venue(PaperExchange(account.pk, market, clock, settings=PLAIN), clock, drive)


def at_aster(generation: str, stack: ExitStack) -> Venue:
    """The adapter over HTTP against the test exchange, which checks every signature."""
    house = stack.enter_context(aster(generation))
    return Venue(house.exchange, house.clock, house.drive)


def through_the_connector(stack: ExitStack) -> Venue:
    """The same, carried by what does as the venue's own library does."""
    stack.enter_context(the_connector())
    house = stack.enter_context(aster("v1", transport="connector"))
    return Venue(house.exchange, house.clock, house.drive)


VENUES = [
    simulated,
    pytest.param(paper, marks=pytest.mark.django_db(transaction=True)),
    pytest.param(partial(at_aster, "v3"), id="aster v3"),
    pytest.param(partial(at_aster, "v1"), id="aster v1"),
    pytest.param(through_the_connector, id="aster v1 connector"),
]


@pytest.fixture(params=VENUES)
def venue(request: pytest.FixtureRequest) -> Iterator[Venue]:
    with ExitStack() as stack:
        made: Venue = request.param(stack)
        made.trade_at("100")
        yield made


def refusal(call, *args, **kwargs) -> Refusal:
    with pytest.raises(Refused) as caught:
        call(*args, **kwargs)
    return caught.value.refusal


def ties_out(venue: Venue) -> None:
    """The wallet is its income, and the income of trades is what the trades say."""
    income = venue.exchange.income(since=START)
    trades = venue.exchange.trades(symbol=SYMBOL, since=START)
    by_kind = {kind: sum((i.amount for i in income if i.kind is kind), D(0)) for kind in IncomeKind}
    assert sum(by_kind.values()) == venue.exchange.account().wallet
    assert by_kind[IncomeKind.REALIZED_PNL] == sum((t.realised for t in trades), D(0))
    assert by_kind[IncomeKind.COMMISSION] == -sum((t.fee for t in trades), D(0))
    assert {i.trade_id for i in income if i.trade_id} <= {t.trade_id for t in trades}


def bracketed(venue: Venue) -> None:
    assert venue.exchange.set_leverage(symbol=SYMBOL, leverage=5) == 5
    entry = venue.exchange.place(order("BUY", "LIMIT", "10", id="entry", price="100.2", tif="IOC"))
    assert (entry.status, entry.filled, entry.average_price) == (VenueStatus.FILLED, D(10), D(100))
    venue.exchange.place(stop("SELL", "95", id="stop"))
    venue.exchange.place(target("SELL", "110", id="target"))


def test_a_new_account_holds_its_deposit_and_nothing_else(venue):
    account = venue.exchange.account()
    assert (account.wallet, account.equity, account.available) == (D(10_000), D(10_000), D(10_000))
    assert (account.positions, account.orders) == ((), ())
    assert [(i.kind, i.amount) for i in venue.exchange.income(since=START)] == [(IncomeKind.TRANSFER, D(10_000))]


def test_the_position_is_stated_as_it_was_opened(venue):
    bracketed(venue)
    account = venue.exchange.account()
    position = account.position(SYMBOL)
    assert (position.side, position.quantity, position.entry_price) == (Side.LONG, D(10), D(100))
    assert (position.leverage, position.margin) == (5, D(200))
    assert D(80) < position.liquidation_price < D(81)
    assert account.wallet == D("9999.6")
    assert account.available == D("9799.6")
    assert {o.client_order_id for o in account.orders} == {"stop", "target"}


@pytest.mark.parametrize(
    ("price", "fired", "left", "realised"), [("94", "stop", "target", -60), ("111", "target", "stop", 110)]
)
def test_entry_stop_target_trigger_and_the_books_tie_out(venue, price, fired, left, realised):
    bracketed(venue)
    venue.trade_at(price)
    account = venue.exchange.account()
    assert account.positions == ()
    assert [o.client_order_id for o in account.orders] == [left], "the sibling stays until somebody cancels it"
    report = venue.exchange.order(symbol=SYMBOL, client_order_id=fired)
    assert (report.status, report.filled, report.average_price) == (VenueStatus.FILLED, D(10), D(price))
    trades = venue.exchange.trades(symbol=SYMBOL, since=START)
    assert [(t.client_order_id, t.realised) for t in trades] == [("entry", 0), (fired, realised)]
    cancelled = venue.exchange.cancel(symbol=SYMBOL, client_order_id=left)
    assert cancelled.status is VenueStatus.CANCELED
    assert venue.exchange.account().orders == ()
    ties_out(venue)


def test_trades_and_income_are_given_from_a_moment_on_oldest_first(venue):
    bracketed(venue)
    venue.trade_at("100")
    since = venue.clock.at
    venue.exchange.place(order("SELL", quantity="10", reduce_only=True, id="close"))
    assert [t.client_order_id for t in venue.exchange.trades(symbol=SYMBOL, since=since)] == ["close"]
    assert [i.kind for i in venue.exchange.income(since=since)] == [IncomeKind.COMMISSION]
    assert venue.exchange.trades(symbol="SOLUSDT", since=START) == []


def test_an_unknown_order_is_a_clean_none_and_cannot_be_cancelled(venue):
    assert venue.exchange.order(symbol=SYMBOL, client_order_id="never") is None
    assert refusal(venue.exchange.cancel, symbol=SYMBOL, client_order_id="never") is Refusal.UNKNOWN_ORDER


def test_a_filled_order_is_known_and_cannot_be_cancelled(venue):
    bracketed(venue)
    assert venue.exchange.order(symbol=SYMBOL, client_order_id="entry").status is VenueStatus.FILLED
    assert refusal(venue.exchange.cancel, symbol=SYMBOL, client_order_id="entry") is Refusal.UNKNOWN_ORDER


def test_the_newest_order_of_a_client_id_that_was_used_twice_is_reported(venue):
    venue.exchange.place(order("BUY", quantity="1", id="twice"))
    venue.exchange.place(order("BUY", "LIMIT", "1", price="90", id="twice"))
    assert venue.exchange.order(symbol=SYMBOL, client_order_id="twice").status is VenueStatus.NEW


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (order("BUY", quantity="1", symbol="NOPEUSDT"), Refusal.UNKNOWN_SYMBOL),
        (order("BUY", quantity="0.0001"), Refusal.FILTER),
        (order("BUY", quantity="0.001"), Refusal.FILTER),
        (order("BUY", quantity="900"), Refusal.MARGIN),
        (order("SELL", quantity="1", reduce_only=True), Refusal.REDUCE_ONLY),
        (stop("SELL", "100"), Refusal.WOULD_TRIGGER),
    ],
)
def test_a_refusal_says_why_and_leaves_no_trace(venue, new, expected):
    before = venue.exchange.account()
    assert refusal(venue.exchange.place, new) is expected
    assert venue.exchange.account() == before
    if new.symbol == SYMBOL:
        assert venue.exchange.order(symbol=SYMBOL, client_order_id=new.client_order_id) is None


def test_an_open_client_id_is_refused(venue):
    venue.exchange.place(order("BUY", "LIMIT", "1", price="90", id="same"))
    assert refusal(venue.exchange.place, order("BUY", quantity="1", id="same")) is Refusal.DUPLICATE_ID
    assert venue.exchange.account().positions == ()


def test_leverage_stands_still_while_a_position_is_open(venue):
    bracketed(venue)
    assert refusal(venue.exchange.set_leverage, symbol=SYMBOL, leverage=3) is Refusal.LEVERAGE
    assert venue.exchange.account().position(SYMBOL).leverage == 5


def test_leverage_is_remembered(venue):
    venue.exchange.set_leverage(symbol=SYMBOL, leverage=4)
    venue.exchange.place(order("BUY", quantity="10"))
    assert venue.exchange.account().position(SYMBOL).margin == D(250)


def test_a_reversal_in_two_steps_leaves_the_short(venue):
    bracketed(venue)
    venue.exchange.place(order("SELL", quantity="10", reduce_only=True))
    venue.exchange.place(order("SELL", quantity="4"))
    position = venue.exchange.account().position(SYMBOL)
    assert (position.side, position.quantity) == (Side.SHORT, D(4))
    ties_out(venue)


def test_a_liquidation_is_on_record_like_every_other_exit(venue):
    venue.exchange.set_leverage(symbol=SYMBOL, leverage=10)
    venue.exchange.place(order("BUY", quantity="10"))
    venue.exchange.place(stop("SELL", "80", id="far"))
    venue.trade_at("85")
    account = venue.exchange.account()
    assert (account.positions, account.orders) == ((), ())
    (_, taken) = venue.exchange.trades(symbol=SYMBOL, since=START)
    report = venue.exchange.order(symbol=SYMBOL, client_order_id=taken.client_order_id)
    assert (report.status, report.filled) == (VenueStatus.FILLED, D(10))
    assert account.wallet == D(10_000) - D("0.4") - D(100)
    ties_out(venue)
