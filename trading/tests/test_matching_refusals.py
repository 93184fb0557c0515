"""What the venue refuses, with which code, and that a refusal changes nothing."""

from dataclasses import replace
from decimal import Decimal as D

import pytest

from trading.domain.matching import EngineRefusal, EngineSettings
from trading.exchange.base import Refusal
from trading.tests.matching_kit import BTC, START, engine, opened, order, quote, stop


def refusal(made, new):
    before = made.state()
    with pytest.raises(EngineRefusal) as caught:
        made.place(new, at=START)
    assert made.state() == before, "a refusal must not change anything"
    return Refusal(caught.value.code)


@pytest.mark.parametrize(
    ("new", "code"),
    [
        (order("BUY", quantity="1", symbol="NOPEUSDT"), Refusal.UNKNOWN_SYMBOL),
        (order("BUY", "LIMIT", "1"), Refusal.OTHER),
        (order("BUY", quantity="1", price="100"), Refusal.OTHER),
        (order("BUY", quantity="1", tif="IOC"), Refusal.OTHER),
        (order("SELL", "STOP_MARKET", "1"), Refusal.OTHER),
        (order("BUY"), Refusal.OTHER),
        (order("BUY", quantity="1", id="white space"), Refusal.OTHER),
        (order("BUY", quantity="1", id="x" * 37), Refusal.OTHER),
        (order("SELL", "STOP_MARKET", "1", trigger="95", close_position=True), Refusal.OTHER),
        (order("SELL", "STOP_MARKET", trigger="95", close_position=True, reduce_only=True), Refusal.OTHER),
        (order("BUY", close_position=True), Refusal.OTHER),
        (order("BUY", "LIMIT", "1", price="100.05"), Refusal.FILTER),
        (order("SELL", "STOP_MARKET", "1", trigger="94.99"), Refusal.FILTER),
        (order("BUY", quantity="0.0015"), Refusal.FILTER),
        (order("BUY", quantity="1001"), Refusal.FILTER),
        (order("BUY", quantity="0.049"), Refusal.FILTER),
        (order("SELL", "STOP_MARKET", trigger="100", close_position=True), Refusal.WOULD_TRIGGER),
        (order("BUY", "STOP_MARKET", trigger="99.9", close_position=True), Refusal.WOULD_TRIGGER),
        (order("SELL", "TAKE_PROFIT_MARKET", trigger="100", close_position=True), Refusal.WOULD_TRIGGER),
        (order("SELL", quantity="1", reduce_only=True), Refusal.REDUCE_ONLY),
        (order("BUY", quantity="100"), Refusal.MARGIN),
    ],
)
def test_an_order_that_breaks_a_rule_is_refused_with_its_code(new, code):
    assert refusal(engine(), new) is code


def test_the_minimum_notional_itself_is_enough():
    engine().place(order("BUY", quantity="0.05"), at=START)


def test_reducing_needs_no_minimum_notional():
    made = opened(quantity="0.05")
    made.place(order("SELL", quantity="0.001", reduce_only=True), at=START)


def test_without_a_price_nothing_is_taken():
    assert refusal(engine(at=None), order("BUY", quantity="1")) is Refusal.OTHER


def test_a_client_id_that_is_open_is_refused_on_every_symbol():
    made = engine()
    made.place(order("BUY", "LIMIT", "1", price="90", id="twice"), at=START)
    assert refusal(made, order("BUY", quantity="1", id="twice", symbol="SOLUSDT")) is Refusal.DUPLICATE_ID


def test_reduce_only_in_the_direction_of_the_position_is_refused():
    assert refusal(opened(), order("BUY", quantity="1", reduce_only=True)) is Refusal.REDUCE_ONLY


def test_the_bracket_caps_what_a_leverage_may_carry_and_counts_waiting_entries():
    made = engine(deposit="10000000", at=1000)
    made.set_leverage("BTCUSDT", 100)
    made.place(order("BUY", quantity="60"), at=START)
    made.place(order("BUY", "LIMIT", "30", price="990"), at=START)
    made.place(order("BUY", quantity="10"), at=START)  # 70 held + 30 waiting = 100,000 at 1,000
    assert refusal(made, order("BUY", quantity="0.1")) is Refusal.LEVERAGE


def test_margin_includes_the_fee_and_the_buffer():
    settings = EngineSettings(spread=D(0), margin_buffer=D("0.001"))
    needed = D(1000) + D("0.4") + D(1)  # 10 at 100, leverage 1: margin, taker fee 0.04 %, buffer 0.1 %
    engine(deposit=str(needed), settings=settings).place(order("BUY", quantity="10"), at=START)
    short_of_it = engine(deposit=str(needed - D("0.00000001")), settings=settings)
    assert refusal(short_of_it, order("BUY", quantity="10")) is Refusal.MARGIN


def test_a_limit_needs_margin_for_the_dearest_price_it_can_be_filled_at():
    """A buy below the market: its own price. A sell below the market takes the bid, which is higher."""
    engine(deposit="901").place(order("BUY", "LIMIT", "10", price="90"), at=START)
    assert refusal(engine(deposit="901"), order("SELL", "LIMIT", "10", price="90")) is Refusal.MARGIN
    engine(deposit="1001").place(order("SELL", "LIMIT", "10", price="90"), at=START)


def test_a_resting_entry_keeps_its_margin():
    made = engine(deposit="1500")
    made.place(order("BUY", "LIMIT", "10", price="90"), at=START)
    assert refusal(made, order("BUY", quantity="10")) is Refusal.MARGIN


def test_too_many_open_orders_are_refused():
    made = engine(settings=EngineSettings(max_open_orders=1))
    made.place(stop("SELL", "95"), at=START)
    assert refusal(made, stop("SELL", "94")) is Refusal.OTHER


def test_a_symbol_that_is_not_trading_takes_only_what_reduces():
    made = opened()
    settling = engine(BTCUSDT=replace(BTC, status="SETTLING"))
    assert refusal(settling, order("BUY", quantity="1")) is Refusal.OTHER
    held = type(made)(instruments={"BTCUSDT": replace(BTC, status="SETTLING")}, state=made.state())
    held.place(order("SELL", quantity="10", reduce_only=True), at=START)


def test_cancelling_what_is_not_open_is_an_unknown_order():
    with pytest.raises(EngineRefusal) as caught:
        engine().cancel("BTCUSDT", "never", at=START)
    assert Refusal(caught.value.code) is Refusal.UNKNOWN_ORDER


@pytest.mark.parametrize("leverage", [0, 101])
def test_leverage_outside_the_instrument_is_refused(leverage):
    with pytest.raises(EngineRefusal):
        engine().set_leverage("BTCUSDT", leverage)


def test_leverage_stands_still_while_a_position_or_an_entry_is_open():
    made = opened(leverage=5)
    waiting = engine()
    waiting.place(order("BUY", "LIMIT", "1", price="90"), at=START)
    for busy in (made, waiting):
        with pytest.raises(EngineRefusal) as caught:
            busy.set_leverage("BTCUSDT", 7)
        assert Refusal(caught.value.code) is Refusal.LEVERAGE
    assert made.set_leverage("BTCUSDT", 5) == 5, "asking for what is set already changes nothing"


def test_leverage_may_change_while_only_protection_is_left():
    made = engine()
    made.place(stop("SELL", "95"), at=START)
    made.on_quote(quote(100))
    assert made.set_leverage("BTCUSDT", 3) == 3
