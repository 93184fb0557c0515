"""Ladders: orders are filled as far as there is something to trade against, and what becomes of the rest."""

from decimal import Decimal as D

import pytest

from trading.domain.matching import Depth, Terms
from trading.domain.venue import VenueStatus
from trading.tests.matching_kit import HOUR, START, bar, engine, opened, order, quote, stop, wallet_is_its_income
from vibex.lib.errors import Rejected


def ladder(*levels):
    return [(D(price), D(size)) for price, size in levels]


def laid(*, bids=None, asks=None, bound=None, made=None):
    made = made or engine()
    made.set_depth("BTCUSDT", Depth.of(bids=bids, asks=asks, bound=bound), at=START)
    return made


def place(made, new, **more):
    """Place an order; return its status, and price and quantity of each of its trades."""
    report = made.place(new, at=START, **more)
    trades = [(str(one.price), str(one.quantity), one.maker) for one in made.drain().trades]
    return report.status.value, str(report.filled), trades


ASKS = ladder(("101", 2), ("100", 3), ("110", 5))


def test_a_market_order_walks_the_levels_best_first_and_pays_each_its_price():
    assert place(laid(asks=ASKS), order("BUY", quantity="4")) == (
        "FILLED", "4", [("100", "3", False), ("101", "1", False)],
    )  # fmt: skip


def test_what_was_taken_is_gone_for_the_next_order():
    made = laid(asks=ASKS)
    place(made, order("BUY", quantity="4"))
    assert place(made, order("BUY", quantity="2"))[2] == [("101", "1", False), ("110", "1", False)]


@pytest.mark.parametrize(
    ("kind", "status", "filled"),
    [
        ({"tif": "GTC"}, "PARTIALLY_FILLED", "5"),
        ({"tif": "IOC"}, "EXPIRED", "5"),
        ({"tif": "GTX"}, "EXPIRED", "0"),
    ],
)
def test_a_limit_takes_up_to_its_price_and_the_rest_is_as_its_time_in_force_says(kind, status, filled):
    made = laid(asks=ASKS)
    assert place(made, order("BUY", "LIMIT", "6", price="105", **kind))[:2] == (status, filled)
    assert len(made.account_state(START).orders) == (status == "PARTIALLY_FILLED")


@pytest.mark.parametrize(("quantity", "status", "filled"), [("5", "FILLED", "5"), ("6", "EXPIRED", "0")])
def test_whole_or_not_at_all(quantity, status, filled):
    made = laid(asks=ASKS)
    new = order("BUY", "LIMIT", quantity, price="105", tif="IOC")
    assert place(made, new, terms=Terms(whole=True))[:2] == (status, filled)
    assert place(made, order("BUY", quantity="1"))[2] == [("100" if filled == "0" else "110", "1", False)]


def test_a_market_order_takes_nothing_beyond_the_bound_and_nothing_of_an_empty_side():
    assert place(laid(asks=ASKS, bound=D("0.05")), order("BUY", quantity="9"))[:2] == ("EXPIRED", "5")
    assert place(laid(asks=[]), order("BUY", quantity="1"))[:2] == ("EXPIRED", "0")
    assert place(laid(asks=[]), order("BUY", "LIMIT", "1", price="120"))[:2] == ("NEW", "0")


def test_the_other_side_is_as_deep_as_ever_and_without_ladders_so_is_this_one():
    made = laid(asks=ladder(("100", 1)))
    assert place(made, order("SELL", quantity="50"))[:2] == ("FILLED", "50")
    made.set_depth("BTCUSDT", None, at=START)
    assert place(made, order("BUY", quantity="60"))[:2] == ("FILLED", "60")


def test_the_rest_of_a_limit_waits_for_a_new_ladder_whatever_the_price_does_and_is_filled_as_maker():
    made = laid(asks=ladder(("100", 6)))
    place(made, order("BUY", "LIMIT", "10", price="100", id="in"))
    made.on_quote(quote(99, hour=1))
    made.on_bar(bar(99, 99.5, 98, 99, hour=1))
    assert made.order("BTCUSDT", "in").filled == 6
    made.set_depth("BTCUSDT", Depth.of(asks=ladder(("99.5", 3))), at=START)
    (trade,) = made.drain().trades
    assert (trade.price, trade.quantity, trade.maker) == (100, 3, True)
    assert made.order("BTCUSDT", "in").status is VenueStatus.PARTIALLY_FILLED
    made.set_depth("BTCUSDT", None, at=START)
    made.on_quote(quote(99, hour=2))
    assert made.order("BTCUSDT", "in") is None


def test_the_best_limit_is_served_first_and_the_older_of_two_alike():
    made = laid(asks=[])
    for name, price in (("low", "99"), ("old", "100"), ("young", "100")):
        place(made, order("BUY", "LIMIT", "2", price=price, id=name))
    made.set_depth("BTCUSDT", Depth.of(asks=ladder(("99", 5))), at=START)
    assert [(one.client_order_id, one.quantity) for one in made.drain().trades] == [
        ("old", 2),
        ("young", 2),
        ("low", 1),
    ]


def test_partly_filled_then_the_stop_is_hit_the_rest_is_cancelled_and_the_stop_takes_what_is_held():
    made = laid(asks=ladder(("100", 6)))
    place(made, order("BUY", "LIMIT", "10", price="100", id="in"))
    made.place(stop("SELL", "95", id="stop"), at=START)
    made.on_quote(quote(94, hour=1))
    (trade,) = made.drain().trades
    assert (trade.client_order_id, trade.quantity) == ("stop", 6)
    cancelled = made.cancel("BTCUSDT", "in", at=START + HOUR)
    assert (cancelled.status, cancelled.filled) == (VenueStatus.CANCELED, 6)
    assert made.account_state(START).positions == ()


def test_a_stop_that_the_ladder_cannot_carry_closes_a_part_and_its_rest_expires():
    made = laid(made=opened(quantity="10", leverage=2), bids=ladder(("93", 4), ("92", 3)))
    made.place(stop("SELL", "95", id="stop"), at=START)
    made.drain()
    made.on_bar(bar(100, 100, 90, 91, hour=1))
    changes = made.drain()
    assert [(one.price, one.quantity) for one in changes.trades] == [(93, 4), (92, 3)]
    (record,) = (one for one in changes.orders if one.client_order_id == "stop")
    assert (record.status, record.quantity, record.filled) == (VenueStatus.EXPIRED, 10, 7)
    assert made.account_state(START).positions[0].quantity == 3


def test_a_reducing_order_never_turns_the_position_round_on_a_deep_ladder():
    made = laid(made=opened(quantity="2"), bids=ladder(("100", 1), ("99", 10)))
    made.drain()
    assert place(made, order("SELL", quantity="5", reduce_only=True))[:2] == ("EXPIRED", "2")
    assert made.account_state(START).positions == ()


def test_a_level_is_taken_only_as_long_as_margin_is_there_and_money_ties_out():
    made = laid(made=engine(deposit="1000"), asks=ladder(("100", 5), ("400", 5)))
    report = made.place(order("BUY", quantity="9"), at=START)
    assert (report.status, report.filled) == (VenueStatus.EXPIRED, 5)
    assert wallet_is_its_income(made)


@pytest.mark.parametrize("level", [("0", 1), ("100", 0), ("100", -1), ("NaN", 1)])
def test_a_level_that_cannot_be_is_refused(level):
    with pytest.raises(Rejected, match="above zero"):
        Depth.of(asks=ladder(level))
