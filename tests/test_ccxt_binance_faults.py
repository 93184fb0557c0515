"""What a fault of the way to Binance is told as: nothing that was placed is ever told as refused, or as not there."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.oracles.binance_house import SYMBOL, House, binance
from trading.domain.venue import VenueStatus
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from trading.exchange_server.auth import ApiKey
from trading.tests.matching_kit import START, order, stop
from vibex.lib.errors import NeedsOperator

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

EXECUTED = ["503-after", "-1006-after", "-1007-after", "drop-after", "delay-after"]
"""The order stands, and the answer says something else or nothing."""
UNKNOWN = ["200-html", "429-empty", "403", "404", "500", "503", "-1001", "drop"]
"""It does not stand, and the answer does not prove that."""
SLOW = 2.0
_ids = itertools.count(1)


@pytest.fixture(scope="module")
def house(python_with_ccxt: Path) -> Iterator[House]:
    with binance(python_with_ccxt, made={"timeout_ms": 1_000}) as running:
        yield running


@pytest.fixture(autouse=True)
def _no_fault_left(house: House) -> Iterator[None]:
    yield
    house.served.control.clear()


def entry(name: str):
    return order("BUY", "LIMIT", "0.1", price="90", id=name)


def protection(name: str):
    return stop("SELL", "50", id=name)


KINDS = pytest.mark.parametrize("make", [entry, protection], ids=["order", "algo order"])


@KINDS
@pytest.mark.parametrize("kind", EXECUTED)
def test_a_lost_answer_to_an_order_that_stands_is_ambiguous_and_asking_finds_it(house, make, kind):
    name = f"e{next(_ids)}"
    house.fault(kind, method="POST", seconds=SLOW)
    with pytest.raises(Ambiguous):
        house.exchange.place(make(name))
    assert len(house.truth.orders_of(name)) == 1
    assert house.exchange.order(symbol=SYMBOL, client_order_id=name).status is VenueStatus.NEW
    assert house.exchange.cancel(symbol=SYMBOL, client_order_id=name).status is VenueStatus.CANCELED


@KINDS
@pytest.mark.parametrize("kind", UNKNOWN)
def test_an_answer_that_proves_nothing_is_ambiguous(house, make, kind):
    name = f"u{next(_ids)}"
    house.fault(kind, method="POST")
    with pytest.raises(Ambiguous):
        house.exchange.place(make(name))
    assert house.exchange.order(symbol=SYMBOL, client_order_id=name) is None


@KINDS
def test_what_the_exchange_itself_turned_away_was_not_done(house, make):
    name = f"n{next(_ids)}"
    house.fault("429", method="POST")
    with pytest.raises(Unavailable):
        house.exchange.place(make(name))
    assert house.truth.orders_of(name) == []


def test_a_clock_that_is_wrong_is_set_by_the_venues_and_the_next_order_is_taken(python_with_ccxt):
    with binance(python_with_ccxt) as house:
        house.fault("-1021", method="POST")
        with pytest.raises(Unavailable):
            house.exchange.place(entry("late"))
        assert [one.path for one in house.log[-2:]] == ["/fapi/v1/order", "/fapi/v1/time"]
        assert house.truth.orders_of("late") == []
        assert house.exchange.place(entry("late")).status is VenueStatus.NEW
        house.fault("-1021", method="GET", path="*/order")
        assert house.exchange.order(symbol=SYMBOL, client_order_id="late").status is VenueStatus.NEW


@KINDS
@pytest.mark.parametrize("kind", [*EXECUTED, *UNKNOWN])
def test_a_cancellation_without_its_answer_is_ambiguous(house, make, kind):
    name = f"c{next(_ids)}"
    house.exchange.place(make(name))
    house.fault(kind, method="DELETE", seconds=SLOW)
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id=name)
    house.served.control.clear()
    told = house.exchange.order(symbol=SYMBOL, client_order_id=name).status
    assert told is house.truth.orders_of(name)[0].status
    assert (told is VenueStatus.CANCELED) == (kind in EXECUTED)
    if told.open:
        house.exchange.cancel(symbol=SYMBOL, client_order_id=name)


@pytest.mark.parametrize("kind", ["503", "200-html", "429", "drop"])
def test_a_stop_that_was_cancelled_and_cannot_be_read_back_is_ambiguous(house, kind):
    name = f"b{next(_ids)}"
    house.exchange.place(protection(name))
    house.fault(kind, method="GET", path="*/algoOrder")
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id=name)
    house.served.control.clear()
    assert house.exchange.order(symbol=SYMBOL, client_order_id=name).status is VenueStatus.CANCELED


@KINDS
@pytest.mark.parametrize("path", ["*/order", "*/algoOrder"])
@pytest.mark.parametrize("kind", ["503", "200-html", "429-empty", "-1007-after", "drop"])
def test_no_such_order_needs_the_word_of_both_services(house, make, path, kind):
    name = f"q{next(_ids)}"
    house.exchange.place(make(name))
    house.fault(kind, method="GET", path=path)
    with pytest.raises(Unavailable):
        house.exchange.order(symbol=SYMBOL, client_order_id=name)
    house.fault(kind, method="GET", path=path)
    with pytest.raises(Unavailable):
        house.exchange.order(symbol=SYMBOL, client_order_id="never")
    house.served.control.clear()
    house.exchange.cancel(symbol=SYMBOL, client_order_id=name)
    assert house.exchange.order(symbol=SYMBOL, client_order_id="never") is None


def test_a_cancellation_that_one_service_does_not_know_and_the_other_does_not_answer_is_ambiguous(house):
    house.fault("503", method="DELETE", path="*/algoOrder")
    with pytest.raises(Ambiguous):
        house.exchange.cancel(symbol=SYMBOL, client_order_id="never")


@pytest.mark.parametrize("path", ["*/openOrders", "*/openAlgoOrders", "*/positionRisk", "*/balance"])
@pytest.mark.parametrize("kind", ["200-html", "503", "429-empty"])
def test_an_account_is_whole_or_not_told(house, path, kind):
    house.fault(kind, path=path)
    with pytest.raises(Unavailable):
        house.exchange.account()


@pytest.mark.parametrize("path", ["*/userTrades", "*/income"])
def test_a_history_is_whole_or_not_told(house, path):
    house.fault("200-html", path=path)
    with pytest.raises(Unavailable):
        house.exchange.trades(symbol=SYMBOL, since=START) if "Trades" in path else house.exchange.income(since=START)


def test_nothing_has_left_where_nobody_listens(python_with_ccxt):
    with (
        binance(python_with_ccxt, prepared=False, made={"address": "http://127.0.0.1:1"}) as nowhere,
        pytest.raises(Unavailable),
    ):
        nowhere.exchange.place(entry("nowhere"))


def test_keys_that_do_not_work_are_for_a_person_and_hold_the_account(house):
    known = dict(house.served.server.signed.gate._keys)
    house.served.server.signed.gate._keys.clear()
    house.served.server.signed.gate.admit_key(ApiKey("another", "secret"), "nobody")
    try:
        with pytest.raises(NeedsOperator):
            house.exchange.account()
        for make in (entry, protection):
            with pytest.raises(Held) as held:
                house.exchange.place(make(f"k{next(_ids)}"))
            assert held.value.refusal is Refusal.OTHER
    finally:
        house.served.server.signed.gate._keys.update(known)


def test_no_error_tells_a_signature_a_key_or_an_address_with_a_query(house):
    texts = []
    for kind in ("503-after", "drop", "200-html", "429-empty"):
        house.fault(kind, method="DELETE")
        with pytest.raises(Ambiguous) as lost:
            house.exchange.cancel(symbol=SYMBOL, client_order_id="never")
        house.served.control.clear()
        texts.append(str(lost.value))
    with pytest.raises(Refused) as refused:
        house.exchange.place(order("BUY", quantity="900", id="much"))
    for text in [*texts, str(refused.value)]:
        assert "Binance" in text
        assert not any(word in text for word in ("signature", "timestamp", "http", "AsterDEX", "X-MBX")), text


def test_a_refusal_for_the_rate_is_told_to_all_processes(house):
    house.fault("429", method="GET")
    with pytest.raises(Unavailable, match="Nothing is asked before"):
        house.exchange.account()
    (*_, (_, reason, told)) = house.exchange.purse().blocks
    assert told
    assert "asks too much" in reason
