"""What happens inside a bar: the path, gaps, the stop before the target, and the slip of stops."""

from decimal import Decimal as D

import pytest

from marketdata.domain.snapshot import Quote
from trading.domain.matching import EngineSettings
from trading.tests.matching_kit import START, bar, engine, opened, order, quote, stop, target, wallet_is_its_income


def exits(made):
    return [(trade.side.value, trade.price) for trade in made.drain().trades]


def bracketed(side="BUY", *, stop_at="95", target_at="105", **more):
    made = opened(side, leverage=1, **more)
    out = "SELL" if side == "BUY" else "BUY"
    made.place(stop(out, stop_at), at=START)
    made.place(target(out, target_at), at=START)
    made.drain()
    return made


@pytest.mark.parametrize(
    ("side", "stop_at", "target_at", "expected"),
    [("BUY", "95", "105", ("SELL", D(95))), ("SELL", "105", "95", ("BUY", D(105)))],
)
@pytest.mark.parametrize("ohlc", [(100, 106, 94, 101), (100, 106, 94, 99)])
def test_the_stop_comes_before_the_target_when_both_lie_in_one_bar(side, stop_at, target_at, expected, ohlc):
    made = bracketed(side, stop_at=stop_at, target_at=target_at)
    made.on_bar(bar(*ohlc))
    assert exits(made) == [expected]


def test_the_stop_also_comes_before_a_reduce_only_limit():
    made = opened(leverage=1)
    made.place(stop("SELL", "95"), at=START)
    made.place(order("SELL", "LIMIT", "10", price="105", reduce_only=True), at=START)
    made.drain()
    made.on_bar(bar(100, 106, 94, 99))  # the path would reach 105 first
    assert exits(made) == [("SELL", D(95))]


def test_the_target_alone_is_taken():
    made = bracketed()
    made.on_bar(bar(100, 106, 96, 101))
    assert exits(made) == [("SELL", D(105))]


def test_a_gap_through_the_stop_fills_at_the_open():
    made = bracketed()
    made.on_bar(bar(90, 92, 89, 91))
    assert exits(made) == [("SELL", D(90))]


def test_a_gap_through_the_target_fills_at_the_open():
    made = bracketed()
    made.on_bar(bar(108, 109, 106, 107))
    assert exits(made) == [("SELL", D(108))]


@pytest.mark.parametrize(
    ("ohlc", "price"),
    [
        ((100, 101, 94, 99), "94.6"),  # 5 % of a range of 7 = 0.35, more than the spread, down to the tick
        ((90, 92, 88, 91), "89.8"),  # gap: from the open, 5 % of 4
        ((100, 100, 95, 95), "94.7"),  # 5 % of 5
    ],
)
def test_a_stop_slips_by_a_share_of_the_range_beyond_its_trigger_or_the_gap(ohlc, price):
    made = bracketed(settings=EngineSettings(spread=D("0.0002"), margin_buffer=D(0)))
    made.on_bar(bar(*ohlc))
    assert exits(made) == [("SELL", D(price))]


def test_a_stop_slips_by_the_spread_where_the_range_is_small():
    made = bracketed(settings=EngineSettings(spread=D("0.01"), margin_buffer=D(0)))
    made.on_bar(bar(100, 100, 95, 95))
    assert exits(made) == [("SELL", D(94))]


def test_a_short_is_slipped_upwards():
    made = bracketed("SELL", stop_at="105", target_at="95", settings=EngineSettings(spread=D(0), margin_buffer=D(0)))
    made.on_bar(bar(100, 107, 99, 106))
    assert exits(made) == [("BUY", D("105.4"))]


def test_a_stop_is_never_filled_better_than_its_trigger_even_when_last_and_mark_differ():
    made = bracketed()
    made.on_bar(bar(100, 101, 97, 99, mark=(100, 101, 94, 99)))
    assert exits(made) == [("SELL", D(95))]
    made = bracketed()
    made.on_bar(bar(100, 101, 80, 100, mark=(100, 101, 90, 100)))
    ((_, price),) = exits(made)
    assert price == D(90), "the mark is half its way from 100 down to 90, and so is the last price to 80"


def test_a_quote_that_jumps_over_the_stop_fills_at_the_bid():
    made = bracketed()
    made.on_quote(quote(90, spread="1"))
    assert exits(made) == [("SELL", D("89.5"))]


def test_an_opening_quote_slips_stops_by_the_range_of_its_bar():
    made = bracketed(settings=EngineSettings(spread=D(0), margin_buffer=D(0)))
    made.on_quote(quote(90), span=D(20))
    assert exits(made) == [("SELL", D(89))]


def test_an_entry_and_its_stop_can_both_lie_in_one_bar():
    made = engine()
    made.place(order("BUY", "LIMIT", "1", price="97"), at=START)
    made.place(stop("SELL", "95"), at=START)
    made.on_bar(bar(100, 101, 94, 100))
    assert exits(made) == [("BUY", D(97)), ("SELL", D(95))]


def test_the_path_goes_down_first_when_the_bar_closes_above_its_open():
    """A resting buy below is filled on the way down, so that the target above is reached afterwards."""
    for close, expected in ((101, [("BUY", D(97)), ("SELL", D(105))]), (99, [("BUY", D(97))])):
        made = engine()
        made.place(order("BUY", "LIMIT", "1", price="97"), at=START)
        made.place(target("SELL", "105"), at=START)
        made.on_bar(bar(100, 106, 96, close))
        assert exits(made) == expected


def test_two_stops_are_met_in_the_order_of_their_distance():
    made = opened(leverage=1)
    made.place(order("SELL", "STOP_MARKET", "4", trigger="94", reduce_only=True), at=START)
    made.place(order("SELL", "STOP_MARKET", "6", trigger="96", reduce_only=True), at=START)
    made.drain()
    made.on_bar(bar(100, 100, 90, 92))
    assert exits(made) == [("SELL", D(96)), ("SELL", D(94))]


def test_a_quiet_bar_only_moves_the_price():
    made = bracketed()
    made.on_bar(bar(100, 104.9, 95.1, 101))
    state = made.account_state(START)
    assert (state.unrealised, state.positions[0].mark_price, exits(made)) == (D(10), D(101), [])


def test_a_bar_between_the_quiet_bounds_meets_nothing_and_one_on_them_does():
    made = bracketed()
    assert made.quiet_range("BTCUSDT") == (D(95), D(105))
    made.on_bar(bar(100, 105, 100, 100))
    assert exits(made) == [("SELL", D(105))]


def test_funding_is_paid_by_longs_and_received_by_shorts():
    for side, amount in (("BUY", D("-0.11")), ("SELL", D("0.11"))):
        made = opened(side, leverage=1)
        before = made.account_state(START).wallet
        made.on_funding("BTCUSDT", D("0.0001"), D(110), START)
        assert made.account_state(START).wallet - before == amount
        assert wallet_is_its_income(made)


def test_funding_without_a_recorded_mark_uses_the_one_seen_last():
    made = opened(leverage=1)
    made.on_bar(bar(100, 120, 100, 120))
    before = made.account_state(START).wallet
    made.on_funding("BTCUSDT", D("0.0001"), None, START)
    assert made.account_state(START).wallet - before == D("-0.12")


def test_funding_costs_nothing_without_a_position():
    made = engine()
    made.drain()
    made.on_funding("BTCUSDT", D("0.01"), D(100), START)
    assert not made.drain()


def test_a_quote_needs_no_earlier_price():
    made = engine(at=None)
    made.on_quote(Quote("BTCUSDT", START, D(100), D("99.9"), D("100.1"), D(100)))
    assert made.place(order("BUY", quantity="1"), at=START).filled == D(1)
