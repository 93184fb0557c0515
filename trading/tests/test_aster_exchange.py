"""The adapter and the test exchange, over HTTP: what was lost is found, and nothing is on the exchange twice."""

import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D

import pytest

from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp
from marketdata.venues.public import Purpose, VenueBusy
from trading.domain.venue import IncomeKind, OrderType, VenueStatus
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.tests.aster_kit import Purse
from trading.tests.aster_server_kit import SYMBOL, USER, aster
from trading.tests.matching_kit import START, order, stop, target
from vibex.lib.errors import NeedsOperator

GENERATIONS = ("v3", "v1")
LOST_AFTER = ("drop-after", "503-after", "-1006-after", "-1007-after")
LOST_BEFORE = ("drop", "503", "500", "403", "404", "200-html", "429-empty", "-1001")
TURNED_AWAY = ("429", "418", "-1021", "-4225")


class Blocked(Purse):
    """A budget in memory that keeps blocks as that of the database does."""

    def __init__(self):
        super().__init__()
        self.until = {False: datetime.min.replace(tzinfo=UTC), True: datetime.min.replace(tzinfo=UTC)}
        self.reasons = {}

    def take(self, weight, purpose):
        for told in (True, False):
            if self.until[told] > datetime.now(UTC) and (told or purpose is not Purpose.CLOSING):
                raise VenueBusy(self.reasons[told], until=self.until[told])
        super().take(weight, purpose)

    def block(self, until, reason, *, told=False):
        self.until[told], self.reasons[told] = max(until, self.until[told]), reason


BUY = order("BUY", "LIMIT", "10", id="entry", price="100.2", tif="IOC")


@pytest.fixture(params=GENERATIONS)
def house(request):
    with aster(request.param) as running:
        yield running


@pytest.mark.parametrize("kind", LOST_AFTER)
def test_an_order_whose_answer_was_lost_is_found_by_its_client_id(house, kind):
    house.fault(kind, path="*/order", method="POST")
    with pytest.raises(Ambiguous):
        house.exchange.place(BUY)
    found = house.exchange.order(symbol=SYMBOL, client_order_id="entry")
    assert (found.status, found.filled) == (VenueStatus.FILLED, D(10))
    assert len(house.truth.orders_of("entry")) == 1


def test_an_order_whose_answer_comes_too_late_is_found_too():
    with aster(timeout=0.3) as house:
        house.fault("delay-after", path="*/order", method="POST", seconds=1.0)
        with pytest.raises(Ambiguous):
            house.exchange.place(BUY)
        assert house.exchange.order(symbol=SYMBOL, client_order_id="entry").filled == D(10)
        assert len(house.truth.orders_of("entry")) == 1


@pytest.mark.parametrize("kind", LOST_BEFORE)
def test_an_order_that_got_lost_on_the_way_is_asked_for_and_cleanly_not_there(house, kind):
    house.fault(kind, path="*/order", method="POST")
    with pytest.raises(Ambiguous):
        house.exchange.place(BUY)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="entry") is None
    assert house.truth.orders == ()


@pytest.mark.parametrize("kind", TURNED_AWAY)
def test_an_order_that_the_exchange_turned_away_is_certainly_not_there(house, kind):
    house.fault(kind, path="*/order", method="POST", seconds=0.001)
    with pytest.raises(Unavailable):
        house.exchange.place(BUY)
    assert house.truth.orders == ()


@pytest.mark.parametrize("kind", LOST_AFTER)
def test_a_cancel_whose_answer_was_lost_has_cancelled(house, kind):
    house.exchange.place(order("BUY", "LIMIT", "1", id="low", price="90"))
    house.fault(kind, path="*/order", method="DELETE")
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id="low")
    assert house.exchange.order(symbol=SYMBOL, client_order_id="low").status is VenueStatus.CANCELED
    with pytest.raises(Refused) as caught:
        house.exchange.cancel(symbol=SYMBOL, client_order_id="low")
    assert caught.value.refusal is Refusal.UNKNOWN_ORDER


def test_an_exchange_that_is_gone_got_nothing():
    with aster() as house:
        exchange = house.exchange
    with pytest.raises(Unavailable):
        exchange.place(BUY)
    with pytest.raises(Unavailable):
        exchange.cancel(symbol=SYMBOL, client_order_id="entry")
    with pytest.raises(Unavailable):
        exchange.order(symbol=SYMBOL, client_order_id="entry")


def test_leverage_whose_answer_was_lost_is_read_back(house):
    house.fault("drop-after", path="*/leverage", method="POST")
    assert house.exchange.set_leverage(symbol=SYMBOL, leverage=7) == 7
    house.fault("drop", path="*/leverage", method="POST")
    with pytest.raises(Unavailable):
        house.exchange.set_leverage(symbol=SYMBOL, leverage=8)
    assert house.truth.leverages[SYMBOL] == 7


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("lost", [None, "drop-after", "-1007-after"])
def test_a_new_account_in_the_venues_own_modes_is_made_ready(generation, lost):
    with aster(generation, prepared=False, dual=True) as house:
        if lost:
            house.fault(lost, count=None, method="POST")
        house.exchange.prepare({SYMBOL: 5})
        house.served.control.clear()
        assert (house.truth.leverages[SYMBOL], house.truth.margin_types[SYMBOL]) == (5, "ISOLATED")
        house.exchange.place(BUY)
        (position,) = house.exchange.account().positions
        assert (position.leverage, position.margin) == (5, D(200))
        house.exchange.prepare({SYMBOL: 5})
        with pytest.raises(Refused, match="open"):
            house.exchange.prepare({SYMBOL: 4})


def test_a_cross_position_is_not_switched_under_way():
    with aster(prepared=False) as house:
        house.exchange.place(BUY)
        assert house.exchange.account().position(SYMBOL).margin == D(50), "leverage 20, as the venue begins with"
        with pytest.raises(NeedsOperator, match=SYMBOL):
            house.exchange.prepare({SYMBOL: 20})


def test_fees_and_brackets_are_those_of_the_account():
    with aster(maker_fee=D("0.0001"), taker_fee=D("0.00035")) as house:
        spec = house.exchange.terms(SYMBOL)
        assert (spec.maker_fee, spec.taker_fee) == (D("0.0001"), D("0.00035"))
        assert spec.brackets[0].floor == 0
        assert spec.max_leverage == spec.brackets[0].max_leverage
        house.exchange.place(BUY)
        (trade,) = house.exchange.trades(symbol=SYMBOL, since=START)
        assert trade.fee == D(1000) * spec.taker_fee


def test_a_life_of_weeks_is_told_whole_and_ties_out(house):
    """Two round trips a day over nine days, with funding: more than one window of time, and every order is named."""
    for number in range(18):
        house.clock.move_to(house.clock.at + timedelta(hours=12))
        house.drive("100", house.clock.at)
        house.exchange.place(order("BUY", quantity="1", id=f"in{number}"))
        house.trade_at("101")
        house.exchange.place(order("SELL", quantity="1", id=f"out{number}", reduce_only=True))
    house.purse.taken.clear()
    trades = house.exchange.trades(symbol=SYMBOL, since=START)
    assert [trade.client_order_id for trade in trades] == [f"{way}{n}" for n in range(18) for way in ("in", "out")]
    income = house.exchange.income(since=START)
    by_kind = {kind: sum((line.amount for line in income if line.kind is kind), D(0)) for kind in IncomeKind}
    assert sum(by_kind.values()) == house.exchange.account().wallet == house.truth.state.wallet
    assert by_kind[IncomeKind.REALIZED_PNL] == sum((trade.realised for trade in trades), D(0)) == D(18)
    assert by_kind[IncomeKind.COMMISSION] == -sum((trade.fee for trade in trades), D(0))
    assert sum(weight for weight, _ in house.purse.taken) < 150


def test_what_the_venue_forgets_is_told_as_none(house):
    house.exchange.place(order("BUY", "LIMIT", "1", id="low", price="90"))
    house.exchange.cancel(symbol=SYMBOL, client_order_id="low")
    assert house.exchange.order(symbol=SYMBOL, client_order_id="low").status is VenueStatus.CANCELED
    house.clock.move_to(house.clock.at + timedelta(days=8))
    house.drive("100", house.clock.at)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="low") is None


def test_a_stop_that_fired_says_what_it_was(house):
    house.exchange.place(BUY)
    house.exchange.place(stop("SELL", "95", id="stop"))
    house.exchange.place(target("SELL", "110", id="target"))
    house.trade_at("94")
    fired = house.exchange.order(symbol=SYMBOL, client_order_id="stop")
    assert (fired.type, fired.status, fired.filled) == (OrderType.STOP_MARKET, VenueStatus.FILLED, D(10))
    assert (fired.trigger, fired.close_position) == (D(95), True)


def test_orders_of_others_are_told_with_ours(house):
    house.exchange.place(order("BUY", "LIMIT", "1", id="web_abcdefg", price="90"))
    assert [one.client_order_id for one in house.exchange.account().orders] == ["web_abcdefg"]


def test_only_closing_takes_what_is_kept_for_it(house):
    house.exchange.place(BUY)
    house.purse.taken.clear()
    house.exchange.place(order("SELL", quantity="10", reduce_only=True))
    assert house.purse.taken == [(1, Purpose.CLOSING)]
    house.exchange.account()
    assert {purpose for _, purpose in house.purse.taken[1:]} == {Purpose.FEED}


def test_a_key_that_was_taken_away_needs_a_person():
    with aster() as house:
        agent = next(iter(house.served.server.signed.gate._agents))
        house.served.server.signed.gate.dismiss_agent(agent)
        for call in (house.exchange.account, lambda: house.exchange.place(BUY)):
            with pytest.raises(NeedsOperator, match="No agent found") as caught:
                call()
            assert USER not in str(caught.value)


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize("off", [15, -15])
def test_a_clock_that_is_15_seconds_wrong_signs_right_once_it_was_compared(generation, off):
    """S13: without the comparison the venue takes nothing; with it, a close goes through, and nothing is opened."""
    with aster(generation) as house:
        theirs = datetime.now(UTC) + timedelta(seconds=off)
        house.clock.move_to(theirs)
        house.drive("100", theirs)
        house.served.server.signed.gate.wall = lambda: time.time() + off
        with pytest.raises(Unavailable):
            house.exchange.place(BUY)
        with AsterHttp(house.served.http, Purse(), Purpose.FEED) as http:
            clock = VenueClock(http)
            exchange = house.another(http, clock)
            exchange.place(BUY)
            assert exchange.urgent().place(order("SELL", quantity="10", reduce_only=True)).filled == D(10)
            assert clock.ahead() == pytest.approx(off, abs=5)  # the market stands still while the test runs
            assert "nothing is opened" in clock.clock_problem()


@pytest.mark.parametrize("generation", GENERATIONS)
def test_a_no_for_the_time_has_the_clocks_compared(generation):
    with aster(generation) as house, AsterHttp(house.served.http, Purse(), Purpose.FEED) as http:
        theirs = datetime.now(UTC)
        house.clock.move_to(theirs)
        house.drive("100", theirs)
        clock = VenueClock(http)
        exchange = house.another(http, clock)
        exchange.account()
        house.served.control.log(clear=True)
        house.fault("-4225" if generation == "v3" else "-1021", path="*/order", method="POST")
        with pytest.raises(Unavailable):
            exchange.place(BUY)
        assert exchange.place(BUY).filled == D(10)
        asked = [entry["path"].rpartition("/")[2] for entry in house.served.control.log()]
        assert asked == ["order", "time", "time", "order"]


def test_closing_goes_through_where_everybody_else_is_held_up(house):
    """An empty 429 silences this installation; flattening and its proof go out all the same."""
    budget = Blocked()
    with AsterHttp(house.served.http, budget, Purpose.FEED, attempts=1) as http:
        exchange = house.another(http)
        exchange.place(BUY)
        house.fault("429-empty", path="*/openOrders")
        with pytest.raises(Unavailable):
            exchange.account()
        with pytest.raises(Unavailable, match="429"):
            exchange.place(order("BUY", quantity="1"))
        urgent = exchange.urgent()
        assert exchange.place(order("SELL", quantity="4", reduce_only=True)).filled == D(4)
        assert urgent.place(order("SELL", quantity="6", reduce_only=True)).filled == D(6)
        assert urgent.account().positions == ()


def test_a_ban_holds_up_a_close_until_it_ends_and_not_a_byte_leaves(house):
    with AsterHttp(house.served.http, Blocked(), Purpose.FEED, attempts=1) as http:
        exchange = house.another(http)
        house.fault("418", path="*/openOrders", seconds=60)
        with pytest.raises(Unavailable):
            exchange.account()
        house.served.control.log(clear=True)
        with pytest.raises(Unavailable):
            exchange.urgent().place(order("SELL", quantity="1", reduce_only=True))
        assert house.served.control.log() == []


def test_a_stop_waits_for_the_mark_price(house):
    house.exchange.place(BUY)
    house.exchange.place(stop("SELL", "95", id="stop"))
    house.served.control.set_price(SYMBOL, last=94.0, mark=100.0)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="stop").status is VenueStatus.NEW
    house.served.control.set_price(SYMBOL, last=100.0, mark=94.0)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="stop").status is VenueStatus.FILLED
