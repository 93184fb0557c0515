"""Stops of a position: one that covers all of it, moved without a gap, followed by the price, never two for long."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.protection import Foreign, adopted_stop, arranged, on_its_side, trailed
from trading.domain.venue import NewOrder, OrderSide, OrderType, VenuePosition
from trading.exchange.base import Refusal, Refused
from trading.services.closing import flatten
from trading.services.settle import settle
from trading.services.stops import Moved, move_stop, move_target
from trading.services.world import Care
from trading.tests.test_execution import BUY, BY_HAND, carry_out, held, incidents, sent, venue_orders
from trading.tests.venue_support import BTC, Desk, lost_reply, make_desk, never_arrives, refuses
from vibex.lib.errors import Rejected

BIG = D("0.05")


def stops(desk: Desk) -> set[tuple[D | None, bool]]:
    """Trigger and whether it closes the position, of the stops that work on the exchange."""
    shown = desk.exchange.inner.account().orders
    return {(one.trigger, one.close_position) for one in shown if one.type is OrderType.STOP_MARKET}


def always_covered(desk: Desk) -> list[bool]:
    """Watch the exchange: after each write there has to be a working stop over all of the position."""
    seen, place, cancel = list[bool](), desk.exchange.inner.place, desk.exchange.inner.cancel

    def look() -> None:
        state = desk.exchange.inner.account()
        position = state.position("BTCUSDT")
        standing = [one for one in state.orders if one.type is OrderType.STOP_MARKET]
        covered = any(one.close_position or one.quantity >= position.quantity for one in standing) if position else True
        seen.append(covered)

    def placing(order: NewOrder):
        report = place(order)
        look()
        return report

    def cancelling(**which: str):
        report = cancel(**which)
        look()
        return report

    desk.exchange.inner.place, desk.exchange.inner.cancel = placing, cancelling  # type: ignore[method-assign]
    return seen


@pytest.mark.parametrize("by_position", [True, False])
def test_a_stop_is_moved_without_a_moment_in_which_there_is_none(by_position):
    desk = make_desk(by_position=by_position)
    carry_out(desk, BUY)
    covered = always_covered(desk)
    assert move_stop(desk.world, "BTCUSDT", D(99_000)) is Moved.MOVED
    assert stops(desk) == {(D(99_000), by_position)}
    assert covered
    assert all(covered)
    assert desk.journal.positions()[0].stop == D(99_000)
    assert ("TAKE_PROFIT_MARKET", D(104_000)) in venue_orders(desk), "the target was not touched"


def test_the_new_stop_is_confirmed_before_the_old_one_goes():
    desk = make_desk()
    carry_out(desk, BUY)
    before = len(desk.exchange.placed)
    move_stop(desk.world, "BTCUSDT", D(99_000))
    helper, final = desk.exchange.placed[before:]
    assert (helper.reduce_only, helper.quantity, helper.close_position) == (True, BIG, False)
    assert (final.close_position, final.quantity) == (True, None)


@pytest.mark.parametrize("fault", [lost_reply, never_arrives, refuses(Refused("too many", refusal=Refusal.OTHER))])
@pytest.mark.parametrize("at", [0, 1])
def test_whatever_goes_wrong_while_a_stop_is_moved_one_stands_and_settling_ends_it(fault, at):
    desk = make_desk()
    carry_out(desk, BUY)
    covered = always_covered(desk)
    desk.exchange.faults["place STOP_MARKET"] = [None] * at + [fault]
    desk.exchange.faults["order"] = []
    move_stop(desk.world, "BTCUSDT", D(99_000))
    assert all(covered)
    assert held(desk) == BIG
    for _ in range(3):
        settle(desk.world)
    assert all(covered)
    wanted = desk.journal.positions()[0].stop
    assert stops(desk) == {(wanted, True)}


def test_a_stop_that_could_not_be_moved_stays_and_is_what_the_books_say():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.faults["place STOP_MARKET"] = [refuses(Refused("no"))]
    assert move_stop(desk.world, "BTCUSDT", D(99_000)) is Moved.KEPT
    assert stops(desk) == {(D(98_000), True)}
    assert desk.journal.positions()[0].stop == D(98_000)


@pytest.mark.parametrize("to", [100_000, 101_000])
def test_a_stop_on_the_side_where_it_gains_is_refused_with_the_mark(to):
    desk = make_desk()
    carry_out(desk, BUY)
    with pytest.raises(Rejected, match="below the mark price 100000"):
        move_stop(desk.world, "BTCUSDT", D(to))
    with pytest.raises(Rejected, match="above the mark price 100000"):
        move_target(desk.world, "BTCUSDT", D(99_000))
    assert stops(desk) == {(D(98_000), True)}


def test_who_gives_a_stop_to_a_foreign_position_has_it_looked_after():
    desk = make_desk(care=Care(foreign=Foreign.FLAG))
    desk.exchange.inner.place(BY_HAND)
    settle(desk.world)
    assert stops(desk) == set()
    with pytest.raises(Rejected, match="give it a stop first"):
        move_target(desk.world, "BTCUSDT", D(104_000))
    assert move_stop(desk.world, "BTCUSDT", D(98_000)) is Moved.MOVED
    assert stops(desk) == {(D(98_000), True)}
    (position,) = desk.journal.positions()
    assert (position.foreign, position.stop) == (False, D(98_000))
    move_target(desk.world, "BTCUSDT", D(104_000))
    assert settle(desk.world).clean
    assert venue_orders(desk) == {("STOP_MARKET", D(98_000)), ("TAKE_PROFIT_MARKET", D(104_000))}


def test_nothing_is_moved_where_nothing_is_open():
    with pytest.raises(Rejected, match="no open position"):
        move_stop(make_desk().world, "BTCUSDT", D(99_000))


def test_a_target_is_moved_and_the_stop_is_not_touched():
    desk = make_desk()
    carry_out(desk, BUY)
    (stop,) = sent(desk, OrderType.STOP_MARKET)
    move_target(desk.world, "BTCUSDT", D(105_000))
    assert venue_orders(desk) == {("STOP_MARKET", D(98_000)), ("TAKE_PROFIT_MARKET", D(105_000))}
    assert sent(desk, OrderType.STOP_MARKET) == [stop]


@pytest.mark.parametrize("quantity", ["0.02", "0.03"])
@pytest.mark.parametrize("side", [OrderSide.SELL, OrderSide.BUY])
def test_after_an_add_or_a_partial_close_protection_covers_the_position_exactly(side, quantity):
    desk = make_desk(by_position=False)
    carry_out(desk, BUY)
    change = NewOrder("by-hand", "BTCUSDT", side, OrderType.MARKET, D(quantity), reduce_only=side is OrderSide.SELL)
    desk.exchange.inner.place(change)
    covered = always_covered(desk)
    settle(desk.world)
    shown = desk.exchange.inner.account()
    size = shown.position("BTCUSDT").quantity
    assert size == BIG + side.sign * D(quantity)
    assert {(one.type.value, one.quantity) for one in shown.orders} == {
        ("STOP_MARKET", size),
        ("TAKE_PROFIT_MARKET", size),
    }
    # An add is bare for as long as it takes to see it; from the first write on it is covered.
    assert all(covered)


def test_a_trailing_stop_follows_a_price_that_goes_the_right_way_and_never_goes_back():
    desk = make_desk(care=Care(trailing_stop=D("0.02")))
    carry_out(desk, BUY)
    covered = always_covered(desk)
    seen = []
    for price in (100_000, 101_000, 100_500, 103_000, 102_000, 101_500):
        desk.at(price)
        settle(desk.world)
        seen.append(desk.journal.positions()[0].stop)
    assert seen == [D(98_000), D(98_980), D(98_980), D(100_940), D(100_940), D(100_940)]
    assert stops(desk) == {(D(100_940), True)}
    assert all(covered)
    desk.at(100_900)
    settle(desk.world)
    assert held(desk) == 0
    assert desk.exchange.inner.account().orders == ()


def test_without_the_option_a_stop_stands_still():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.at(103_000)
    settle(desk.world)
    assert stops(desk) == {(D(98_000), True)}


def test_a_stop_that_is_refused_twice_ends_flat_with_a_lock_on_the_symbol():
    refused = refuses(Refused("too many stops", refusal=Refusal.OTHER))
    desk = make_desk(place_STOP_MARKET=[])
    desk.exchange.faults["place STOP_MARKET"] = [refused, refused]
    done = carry_out(desk, BUY)
    assert (held(desk), done.protected) == (D(0), False)
    assert len(sent(desk, OrderType.STOP_MARKET)) == 2
    assert {"stop-failed", "locked"} <= incidents(desk)


def test_a_stop_that_the_price_has_passed_closes_at_once_and_locks_nothing():
    desk = make_desk()
    desk.exchange.faults["place STOP_MARKET"] = [refuses(Refused("too late", refusal=Refusal.WOULD_TRIGGER))]
    carry_out(desk, BUY)
    assert held(desk) == 0
    assert len(sent(desk, OrderType.STOP_MARKET)) == 1
    assert "locked" not in incidents(desk)


def test_a_position_larger_than_the_largest_order_is_closed_in_parts():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.market.instrument = lambda symbol: replace(BTC, max_quantity=D("0.008"))  # type: ignore[method-assign]
    assert flatten(desk.world, "BTCUSDT", purpose="close")
    assert [order.quantity for order in sent(desk, OrderType.MARKET)] == [D("0.008")] * 6 + [D("0.002")]


def test_a_position_is_closed_where_its_rules_cannot_be_read_any_more():
    desk = make_desk()
    carry_out(desk, BUY)

    def gone(symbol: str):
        raise Rejected(f"{symbol} is not listed")

    desk.market.instrument = gone  # type: ignore[method-assign]
    assert flatten(desk.world, "BTCUSDT", purpose="close")
    assert held(desk) == 0


# The pure half


def stop(trigger: str, quantity: str | None = None, side: OrderSide = OrderSide.SELL) -> NewOrder:
    return NewOrder(
        f"{trigger}-{quantity}",
        "BTCUSDT",
        side,
        OrderType.STOP_MARKET,
        None if quantity is None else D(quantity),
        trigger=D(trigger),
        reduce_only=quantity is not None,
        close_position=quantity is None,
    )


ORDERS = [stop(trigger, quantity) for trigger, quantity in product(["90", "95"], [None, "0.5", "1", "2"])]


@given(st.lists(st.sampled_from(ORDERS), unique=True), st.sampled_from([None, D(90), D(95)]), st.booleans())
def test_of_any_stops_one_is_relied_on_that_covers_all_and_no_order_is_forgotten(working, wanted, by_position):
    found = arranged(working, wanted=wanted, held=D(1), by_position=by_position)
    covering = [one for one in working if one.close_position or one.quantity >= 1]
    assert (found.cover is None) == (not covering)
    assert {*found.spare, *([found.cover] if found.cover else [])} == set(working)
    assert found.cover not in found.spare
    if found.keep is not None:
        assert found.keep is found.cover
        assert wanted in (None, found.keep.trigger)
    if wanted is not None and any(one.trigger == wanted for one in covering):
        assert found.cover.trigger == wanted


PRICES = st.decimals("1000", "200000", places=1)


@given(st.sampled_from(list(Side)), PRICES, PRICES, st.decimals("0.001", "0.5", places=3))
def test_a_trailing_stop_only_comes_nearer_and_waits_on_its_side(side, mark, at, distance):
    to = trailed(side, mark=mark, stop=at, distance=distance, spec=BTC)
    if to is not None:
        assert on_its_side(side, stop=to, mark=mark)
        assert (to - at) * side.sign > 0


@given(st.sampled_from(list(Side)), PRICES, st.none() | st.decimals("0.01", "0.5", places=2))
def test_an_adopted_position_is_stopped_within_three_per_cent_and_before_half_the_way_to_liquidation(side, mark, far):
    liquidation = None if far is None else mark * (1 - side.sign * far)
    position = VenuePosition("BTCUSDT", side, D(1), mark, mark, 5, D(0), D(1), liquidation)
    at = adopted_stop(position, BTC)
    away = abs(mark - at) / mark
    assert on_its_side(side, stop=at, mark=mark) or at == mark
    assert away <= D("0.03")
    if far is not None:
        assert abs(mark - at) <= abs(mark - liquidation) / 2


def test_a_role_of_protection_is_that_of_stop_and_target():
    assert {role for role in Role if role.protects} == {Role.STOP, Role.TARGET}
