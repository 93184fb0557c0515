"""Every order type does what its name says: when it fills, at what price, for which fee."""

from decimal import Decimal as D

import pytest

from trading.domain.matching import EngineSettings, Orphans
from trading.domain.venue import VenueStatus
from trading.tests.matching_kit import FRICTIONLESS, START, bar, engine, opened, order, quote, stop, target

PLAIN = {"spread": D(0), "stop_slippage_range": D(0), "margin_buffer": D(0)}


def trades(made):
    return made.drain().trades


def test_a_market_order_takes_the_touch_and_pays_the_taker_fee():
    made = engine(at=None)
    made.on_quote(quote(100, spread="1"))
    report = made.place(order("BUY", quantity="2"), at=START)
    (trade,) = trades(made)
    assert report.status is VenueStatus.FILLED
    assert (trade.price, trade.fee, trade.maker) == (D("100.5"), D("0.0804"), False)


def test_slippage_worsens_a_market_order_onto_the_tick():
    made = engine(settings=EngineSettings(slippage=D("0.0012"), **PLAIN))
    assert made.place(order("BUY", quantity="1"), at=START).average_price == D("100.2")
    assert made.place(order("SELL", quantity="1"), at=START).average_price == D("99.8")


def test_a_crossing_limit_takes_and_is_never_filled_beyond_its_price():
    made = engine(settings=EngineSettings(slippage=D("0.01"), **PLAIN))
    assert made.place(order("BUY", "LIMIT", "1", price="100.5", tif="IOC"), at=START).average_price == D("100.5")


def test_an_ioc_limit_that_does_not_cross_expires_unfilled():
    report = engine().place(order("BUY", "LIMIT", "1", price="99.9", tif="IOC"), at=START)
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, D(0))


def test_a_post_only_limit_that_would_take_expires():
    report = engine().place(order("BUY", "LIMIT", "1", price="100", tif="GTX"), at=START)
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, D(0))


def test_a_resting_limit_fills_as_maker_at_its_price_once_the_price_trades_through():
    made = engine()
    made.place(order("BUY", "LIMIT", "1", price="95", id="rest"), at=START)
    made.on_bar(bar(100, 101, 95, 99))
    assert made.order("BTCUSDT", "rest").status is VenueStatus.NEW, "touching is not trading through"
    made.on_bar(bar(99, 100, 94, 96, hour=1))
    (trade,) = trades(made)
    assert (trade.price, trade.maker, trade.fee) == (D(95), True, D("0.00475"))


def test_a_resting_limit_fills_when_the_other_side_of_the_quote_meets_it():
    made = engine()
    made.place(order("SELL", "LIMIT", "1", price="105"), at=START)
    made.on_quote(quote("105.5", spread="1"))
    assert [trade.price for trade in trades(made)] == [D(105)]


@pytest.mark.parametrize(
    ("side", "kind", "trigger", "price"),
    [
        ("SELL", "STOP_MARKET", "95", 95),
        ("SELL", "TAKE_PROFIT_MARKET", "105", 105),
        ("BUY", "STOP_MARKET", "105", 105),
        ("BUY", "TAKE_PROFIT_MARKET", "95", 95),
    ],
)
def test_a_conditional_order_fires_when_the_mark_touches_its_trigger(side, kind, trigger, price):
    made = opened("BUY" if side == "SELL" else "SELL", leverage=1)
    made.place(order(side, kind, trigger=trigger, close_position=True), at=START)
    made.drain()
    made.on_bar(bar(100, 104, 96, 100))
    assert not trades(made)
    made.on_bar(bar(100, max(price, 100), min(price, 100), 100, hour=1))
    assert [trade.price for trade in trades(made)] == [D(price)]
    assert made.account_state(START).positions == ()


def test_triggers_look_at_the_mark_price_not_at_the_last():
    made = opened(leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.on_bar(bar(100, 101, 90, 99, mark=(100, 101, 96, 99)))
    assert made.account_state(START).positions
    made.on_bar(bar(99, 101, 97, 99, hour=1, mark=(99, 100, 94, 99)))
    assert not made.account_state(START).positions


def test_a_close_position_order_takes_the_quantity_held_when_it_fires():
    made = opened(quantity="10", leverage=1)
    made.place(stop("SELL", "95", id="s"), at=START)
    made.place(order("BUY", quantity="5"), at=START)
    made.drain()
    made.on_quote(quote(94))
    changes = made.drain()
    assert [trade.quantity for trade in changes.trades] == [D(15)]
    assert [(o.quantity, o.filled, o.status) for o in changes.orders] == [(D(15), D(15), VenueStatus.FILLED)]


def test_a_close_position_order_without_a_position_expires_when_it_fires():
    made = engine()
    made.place(stop("SELL", "95"), at=START)
    made.on_quote(quote(94))
    changes = made.drain()
    assert changes.orders[-1].status is VenueStatus.EXPIRED
    assert not changes.trades


def test_a_close_position_order_never_adds_to_a_position_of_its_own_side():
    made = opened("SELL", leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.on_quote(quote(94))
    assert made.account_state(START).positions[0].quantity == D(10)


@pytest.mark.parametrize(("orphans", "left"), [(Orphans.KEEP, 1), (Orphans.CANCEL, 0)])
def test_the_sibling_of_a_fired_stop_stays_or_goes_by_setting(orphans, left):
    made = opened(settings=EngineSettings(orphans=orphans, **PLAIN), leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.place(target("SELL", "110"), at=START)
    made.on_quote(quote(94))
    assert len(made.account_state(START).orders) == left


def test_a_reduce_only_order_larger_than_the_position_is_cut_and_the_rest_expires():
    made = opened(quantity="10")
    report = made.place(order("SELL", quantity="25", reduce_only=True), at=START)
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, D(10))
    assert made.account_state(START).positions == ()


def test_a_sell_through_zero_realises_the_long_and_opens_the_short():
    made = opened(quantity="10", leverage=1)
    made.on_quote(quote(110))
    made.drain()
    made.place(order("SELL", quantity="15"), at=START)
    (trade,) = trades(made)
    (short,) = made.account_state(START).positions
    assert trade.realised == D(100)
    assert (short.side, short.quantity, short.entry_price, short.margin) == ("short", D(5), D(110), D(550))


def test_entry_is_the_cost_weighted_average():
    made = opened(quantity="10", leverage=1)
    made.on_quote(quote(130))
    made.place(order("BUY", quantity="20"), at=START)
    assert made.account_state(START).positions[0].entry_price == D(120)


def test_an_entry_trigger_that_cannot_be_paid_expires_instead_of_filling():
    made = engine(deposit="100")
    made.place(order("BUY", "STOP_MARKET", "0.9", trigger="105"), at=START)
    made.on_quote(quote(200))
    changes = made.drain()
    assert changes.orders[-1].status is VenueStatus.EXPIRED
    assert not changes.trades


def test_a_client_id_may_be_used_again_once_its_order_is_closed():
    made = engine()
    made.place(order("BUY", quantity="1", id="again"), at=START)
    made.place(order("BUY", "LIMIT", "1", price="90", id="again"), at=START)
    assert made.cancel("BTCUSDT", "again", at=START).status is VenueStatus.CANCELED


def test_drain_tells_everything_once():
    made = engine(settings=FRICTIONLESS)
    made.place(order("BUY", quantity="1"), at=START)
    first, second = made.drain(), made.drain()
    assert (len(first.trades), len(first.orders), bool(second)) == (1, 1, False)
