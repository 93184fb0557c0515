"""Terms that the port has no words for: stops that become limits, trailing stops, protected triggers, fill or kill."""

from decimal import Decimal as D

import pytest

from trading.domain.matching import EngineRefusal, EngineSettings, Terms, state_from_plain, state_to_plain
from trading.domain.venue import VenueStatus
from trading.tests.matching_kit import HOUR, START, bar, engine, opened, order, quote, target


def trailing(side="SELL", quantity="10", *, reduce_only=True):
    return order(side, "STOP_MARKET", quantity, id="trail", reduce_only=reduce_only)


def trail(made, share="0.05", *, activation=None, on_last=False, side="SELL"):
    terms = Terms(trail=D(share), activation=D(activation) if activation else None)
    made.place(trailing(side), at=START, terms=terms, on_last=on_last)
    made.drain()
    return made


def trigger(made):
    (record,) = (one for one in made.state().orders if one.client_order_id == "trail")
    return record.trigger


def fills(made):
    return [(one.client_order_id, one.price) for one in made.drain().trades]


# -- stops that become limits ------------------------------------------------------------------------------------------


def stopped(limit, *, kind="STOP_MARKET", trigger="95", tif=None, made=None):
    made = made or opened(leverage=2)
    new = order("SELL", kind, "10", id="s", trigger=trigger, price=limit, tif=tif, reduce_only=True)
    made.place(new, at=START, terms=Terms())
    made.drain()
    return made


def test_one_whose_limit_is_met_when_it_fires_is_filled_within_it():
    made = stopped("94")
    made.on_bar(bar(100, 100, 90, 92, hour=1))
    assert fills(made) == [("s", D(95))]


def test_one_that_a_gap_jumps_over_rests_and_is_filled_as_maker_when_the_price_comes_back():
    made = stopped("94")
    made.on_quote(quote(90, hour=1))
    assert fills(made) == []
    assert made.order("BTCUSDT", "s").status is VenueStatus.NEW
    made.on_quote(quote("94.1", hour=2))
    (trade,) = made.drain().trades
    assert (trade.client_order_id, trade.price, trade.maker) == ("s", 94, True)


def test_slip_never_goes_beyond_the_limit():
    made = stopped("94.9", made=opened(settings=EngineSettings(stop_slippage_range=D("0.2"))))
    made.on_bar(bar(100, 100, 90, 92, hour=1))
    assert fills(made) == [("s", D("94.9"))]


@pytest.mark.parametrize(("tif", "status"), [("IOC", "EXPIRED"), ("GTX", None), ("GTC", None)])
def test_where_it_does_not_cross_its_time_in_force_decides(tif, status):
    made = stopped("94", tif=tif)
    made.on_quote(quote(90, hour=1))
    assert [one.status.value for one in made.drain().orders if not one.status.open] == ([status] if status else [])


def test_a_target_becomes_a_limit_as_well():
    made = stopped("104", kind="TAKE_PROFIT_MARKET", trigger="105")
    made.on_bar(bar(100, 106, 100, 105, hour=1))
    assert fills(made) == [("s", D(105))]


def test_an_entry_by_stop_reserves_nothing_before_it_fires_and_expires_when_margin_is_gone():
    made = engine(deposit="110")
    new = order("BUY", "STOP_MARKET", "0.9", id="in", trigger="110", price="110")
    made.place(new, at=START, terms=Terms())
    assert made.account_state(START).available == 110
    made.place(order("BUY", "MARKET", "0.9"), at=START)
    made.on_quote(quote(110, hour=1))
    assert made.order("BTCUSDT", "in") is None
    assert made.account_state(START).positions[0].quantity == D("0.9")


# -- trailing stops ----------------------------------------------------------------------------------------------------


def test_it_follows_the_best_price_and_never_goes_back():
    made = trail(opened())
    assert trigger(made) == D("95.00")
    for price, level in ((110, "104.50"), (108, "104.50"), (112, "106.40")):
        made.on_quote(quote(price, hour=1))
        assert trigger(made) == D(level)
    made.on_quote(quote(106, hour=2))
    assert fills(made) == [("trail", D(106))]


def test_a_short_is_followed_downwards():
    made = trail(opened("SELL"), side="BUY")
    made.on_quote(quote(80, hour=1))
    assert trigger(made) == D("84.00")
    made.on_quote(quote(84, hour=2))
    assert fills(made) == [("trail", D(84))]


def test_it_sleeps_until_its_activation_and_follows_from_there():
    made = trail(opened(), activation="110")
    made.on_quote(quote(92, hour=1))
    assert fills(made) == []
    made.on_bar(bar(92, 112, 92, 111, hour=1))
    assert trigger(made) == D("106.40")
    made.on_bar(bar(111, 111, 100, 101, hour=2))
    assert fills(made) == [("trail", D("106.4"))]


@pytest.mark.parametrize("on_last", [True, False])
def test_it_follows_the_price_that_it_works_on(on_last):
    made = trail(opened(), on_last=on_last)
    made.on_quote(quote(110, mark="100", hour=1))
    assert trigger(made) == (D("104.50") if on_last else D("95.00"))
    made.on_quote(quote(110, mark="105", hour=2))
    assert trigger(made) == (D("104.50") if on_last else D("99.75"))


def test_in_a_bar_it_follows_to_the_high_and_fires_on_the_way_down():
    made = trail(opened())
    made.on_bar(bar(100, 110, 99, 100, hour=1))  # falls: high first, and 95 is not reached
    assert fills(made) == [("trail", D("104.5"))]


def test_where_a_bar_also_reaches_the_older_trigger_that_one_counts():
    made = trail(opened())
    made.on_bar(bar(100, 110, 94, 96, hour=1))
    assert fills(made) == [("trail", D(95))]


def test_the_trailing_stop_comes_before_the_target_of_the_same_bar():
    made = trail(opened())
    made.place(target("SELL", "108", id="aim"), at=START)
    made.drain()
    made.on_bar(bar(100, 109, 94, 96, hour=1))
    assert fills(made) == [("trail", D(95))]


def test_a_bar_that_is_quiet_for_it_may_be_skipped_and_one_with_a_new_high_may_not():
    made = trail(opened())
    floor, ceiling = made.quiet_range("BTCUSDT")
    assert (floor, ceiling) == (D("95.00"), D(100))


def test_what_is_older_than_the_order_moves_nothing():
    made = opened()
    made.place(trailing(), at=START + HOUR, terms=Terms(trail=D("0.05")))
    made.on_bar(bar(100, 120, 100, 110, hour=0))
    assert trigger(made) == D("95.00")


def test_its_state_is_part_of_what_is_written_down():
    made = trail(opened())
    made.on_quote(quote(110, hour=1))
    state = made.state()
    assert state_from_plain(state_to_plain(state)) == state
    assert state.orders[0].terms.best == 110


@pytest.mark.parametrize(
    ("new", "terms"),
    [
        (trailing(), Terms(trail=D("0.0009"))),
        (trailing(), Terms(trail=D("0.051"))),
        (order("SELL", "STOP_MARKET", trigger="95", quantity="10"), Terms(trail=D("0.01"))),
        (order("SELL", "STOP_MARKET", close_position=True), Terms(trail=D("0.01"))),
        (order("SELL", "TAKE_PROFIT_MARKET", "10"), Terms(trail=D("0.01"))),
        (order("SELL", "LIMIT", "10", price="110"), Terms(whole=True)),
        (order("SELL", "STOP_MARKET", trigger="95", price="94", close_position=True), Terms()),
        (order("SELL", "STOP_MARKET", "10", trigger="95", price="94"), None),
    ],
)
def test_terms_that_do_not_fit_are_refused_and_nothing_changes(new, terms):
    made = opened()
    before = made.state()
    with pytest.raises(EngineRefusal):
        made.place(new, at=START, terms=terms)
    assert made.state() == before


def test_an_activation_that_the_price_is_beyond_is_refused():
    with pytest.raises(EngineRefusal) as refused:
        trail(opened(), activation="99")
    assert refused.value.code == "would_trigger"


# -- protected triggers ------------------------------------------------------------------------------------------------


def protected(**more):
    made = opened()
    new = order("SELL", "STOP_MARKET", trigger="95", close_position=True, id="s")
    made.place(new, at=START, terms=Terms(protect=D("0.05")), **more)
    made.drain()
    return made


def test_a_protected_stop_does_not_fire_while_mark_and_last_are_far_apart_and_does_afterwards():
    made = protected()
    made.on_quote(quote(100, mark="94", hour=1))  # 6.4 % apart
    assert fills(made) == []
    made.on_quote(quote(98, mark="94", hour=2))  # 4.3 %
    assert fills(made) == [("s", D(95))]


def test_one_without_protection_fires_at_once():
    made = opened()
    made.place(order("SELL", "STOP_MARKET", trigger="95", close_position=True, id="s"), at=START)
    made.drain()
    made.on_quote(quote(100, mark="94", hour=1))
    assert fills(made) == [("s", D(95))]


def test_a_wick_of_the_last_price_alone_does_not_fire_a_protected_stop():
    made = protected(on_last=True)
    made.on_bar(bar(100, 100, 80, 100, hour=1, mark=(100, 100, 100, 100)))
    # on its way down the last price passed 95 with the mark at 100: exactly 5 %, which is not more than 5 %
    assert fills(made) == [("s", D(95))]
    made = opened()
    new = order("SELL", "STOP_MARKET", trigger="94", close_position=True, id="s")
    made.place(new, at=START, terms=Terms(protect=D("0.05")), on_last=True)
    made.drain()
    made.on_bar(bar(100, 100, 80, 100, hour=1, mark=(100, 100, 100, 100)))
    assert fills(made) == []


# -- fill or kill ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("price", "status"), [("100", "FILLED"), ("99.9", "EXPIRED")])
def test_without_a_ladder_it_is_filled_whole_or_goes(price, status):
    new = order("BUY", "LIMIT", "1", price=price, tif="IOC")
    assert engine().place(new, at=START, terms=Terms(whole=True)).status.value == status


def test_one_that_could_only_reduce_in_part_is_killed():
    new = order("SELL", "LIMIT", "11", price="100", tif="IOC", reduce_only=True)
    assert opened().place(new, at=START, terms=Terms(whole=True)).status is VenueStatus.EXPIRED
