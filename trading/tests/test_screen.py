"""What puts an account in doubt, and what does not: each fact by itself, at its edge."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from typing import Any

import pytest

from accounts.domain.limits import Limits
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.losses import DAY, begin
from trading.domain.orders import OrderState
from trading.domain.screen import FULL_EVERY, Holding, Known, Mark, Working, full_look_due, screen
from trading.domain.venue import AccountState, NewOrder, OrderReport, OrderSide, OrderType, VenuePosition, VenueStatus
from trading.tests.matching_kit import SPECS

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BTC = "BTCUSDT"
LONG = Holding(BTC, Side.LONG, D("0.01"), D(1_000), 2, "armed", stop=D(97_000), target=D(106_000))


def child(
    role: Role, trigger: int, *, quantity: str | None = None, side: OrderSide = OrderSide.SELL, key: str = ""
) -> Working:
    kind = OrderType.STOP_MARKET if role is Role.STOP else OrderType.TAKE_PROFIT_MARKET
    size = None if quantity is None else D(quantity)
    order = NewOrder(
        key or f"vx-{role}",
        BTC,
        side,
        kind,
        size,
        trigger=D(trigger),
        reduce_only=size is not None,
        close_position=size is None,
    )
    return Working(role, order, OrderState.LIVE, D(0))


STOP, TARGET = child(Role.STOP, 97_000), child(Role.TARGET, 106_000)


def stated(*orders: Working, quantity: str = "0.01", liquidation: D | None = D(60_000)) -> AccountState:
    """What the exchange states where it agrees with the books."""
    held = VenuePosition(BTC, Side.LONG, D(quantity), D(100_000), D(100_000), 2, D(0), D(500), liquidation)
    shown = tuple(
        OrderReport(
            one.order.client_order_id, "1", BTC, one.order.side, one.order.type, VenueStatus.NEW, D("0.01"),
            trigger=one.order.trigger, close_position=one.order.close_position,
        )
        for one in orders
    )  # fmt: skip
    return AccountState(NOW, D(10_000), D(0), D(500), D(9_500), (held,) if D(quantity) else (), shown)


FINE = Known(
    holdings=(LONG,),
    orders=(STOP, TARGET),
    marks={BTC: Mark(D(100_000), timedelta(0))},
    specs=SPECS,
    stated=stated(STOP, TARGET),
    full_at=NOW,
)


def doubts(known: Known) -> tuple[str, ...]:
    return screen(known, account_id=1, now=NOW).doubts


def held(**changes: Any) -> Known:
    return replace(FINE, holdings=(replace(LONG, **changes),))


def with_orders(*orders: Working) -> Known:
    """Books and exchange agree on these orders."""
    return replace(FINE, orders=orders, stated=stated(*orders))


def test_a_position_with_its_stop_and_its_target_is_fine() -> None:
    assert screen(FINE, account_id=1, now=NOW).doubts == ()


def test_an_account_without_anything_is_fine() -> None:
    assert doubts(Known(full_at=NOW)) == ()


@pytest.mark.parametrize(
    ("known", "said"),
    {
        "no stop": (with_orders(TARGET), "not exactly one working stop"),
        "two stops": (with_orders(STOP, child(Role.STOP, 97_000, key="b"), TARGET), "not exactly one working stop"),
        "a stop elsewhere": (with_orders(child(Role.STOP, 96_000), TARGET), "not exactly one working stop"),
        "a stop over a part": (with_orders(child(Role.STOP, 97_000, quantity="0.009"), TARGET), "not exactly one"),
        "a helper that stayed": (with_orders(child(Role.STOP, 97_000, quantity="0.01"), TARGET), "not exactly one"),
        "a stop that opens": (with_orders(child(Role.STOP, 97_000, side=OrderSide.BUY), TARGET), "not exactly one"),
        "somebody else's stop": (with_orders(replace(STOP, ours=False), TARGET), "not exactly one working stop"),
        "no target": (with_orders(STOP), "not exactly one target"),
        "a stop beyond the price": (
            replace(held(stop=D(100_000)), orders=(child(Role.STOP, 100_000), TARGET),
                    stated=stated(child(Role.STOP, 100_000), TARGET)),
            "a stop that the price has passed",
        ),
        "no stop on record": (held(stop=None), "no stop on record"),
        "not armed": (held(bracket="released"), "is released, not armed"),
        "foreign": (held(foreign=True), "was not opened by Vibex"),
        "an orphan": (replace(FINE, holdings=(), stated=stated(STOP, TARGET, quantity="0")), "stop without a position"),
        "an entry that works": (with_orders(STOP, TARGET, replace(child(Role.STOP, 99_000, key="e"), role=Role.ENTRY)), "a working entry"),
        "a stop partly filled": (with_orders(replace(STOP, filled=D("0.001")), TARGET), "partly filled"),
        "another size there": (replace(FINE, stated=stated(STOP, TARGET, quantity="0.02")), "another position on the exchange"),
        "flat there": (replace(FINE, stated=stated(STOP, TARGET, quantity="0")), "another position on the exchange"),
        "no position here": (replace(FINE, holdings=(), orders=()), "another position on the exchange"),
        "an order only here": (replace(FINE, stated=stated(STOP)), "an order on one side only"),
        "an order only there": (replace(FINE, stated=stated(STOP, TARGET, child(Role.STOP, 1, key="x"))), "on one side only"),
        "another trigger there": (replace(FINE, stated=stated(child(Role.STOP, 96_999), TARGET)), "differs on the two sides"),
        "no mark": (replace(FINE, marks={}), "has no mark price"),
        "a mark that is none": (replace(FINE, marks={BTC: Mark(D("NaN"), timedelta(0))}), "has no mark price"),
        "a mark of nothing": (replace(FINE, marks={BTC: Mark(D(0), timedelta(0))}), "has no mark price"),
        "an infinite mark": (replace(FINE, marks={BTC: Mark(D("Infinity"), timedelta(0))}), "has no mark price"),
        "an old mark": (replace(FINE, marks={BTC: Mark(D(100_000), timedelta(seconds=31))}), "a mark price that is not of now"),
        "a mark of tomorrow": (
            replace(FINE, marks={BTC: Mark(D(100_000), timedelta(seconds=-31))}),
            "a mark price that is not of now",
        ),
        "halted": (replace(FINE, halted=True), "halted and not flat"),
        "not read": (replace(FINE, unread=("its venue is not heard",)), "its venue is not heard"),
        "never looked at": (replace(FINE, full_at=None), "its turn has come"),
    }.values(),
)  # fmt: skip
def test_what_is_not_as_a_look_would_leave_it_is_in_doubt(known: Known, said: str) -> None:
    assert any(said in doubt for doubt in doubts(known)), doubts(known)


@pytest.mark.parametrize("state", [state for state in OrderState if state is not OrderState.LIVE])
def test_an_order_whose_fate_is_open_is_in_doubt(state: OrderState) -> None:
    known = replace(FINE, orders=(STOP, TARGET, replace(child(Role.STOP, 97_000, key="s"), state=state)))
    assert any(str(state) in doubt for doubt in doubts(known))


def test_a_target_that_nobody_asked_for_stays_as_a_look_leaves_it() -> None:
    assert doubts(held(target=None)) == ()
    assert doubts(replace(with_orders(STOP), holdings=(replace(LONG, target=None),))) == ()


def test_somebody_elses_working_order_is_left_alone() -> None:
    theirs = replace(child(Role.ENTRY, 90_000, key="hand"), ours=False)
    assert doubts(with_orders(STOP, TARGET, theirs)) == ()


def test_a_price_that_is_just_not_old_is_fine() -> None:
    assert doubts(replace(FINE, marks={BTC: Mark(D(100_000), timedelta(seconds=30))})) == ()


@pytest.mark.parametrize(("seconds", "busy"), [(14.9, True), (15, False)])
@pytest.mark.parametrize("bracket", ["none", "arming", "adjusting"])
def test_a_bracket_in_work_is_left_to_whoever_is_at_work_for_fifteen_seconds(
    bracket: str, seconds: float, busy: bool
) -> None:
    known = replace(
        with_orders(TARGET),
        holdings=(replace(LONG, bracket=bracket, touched=NOW - timedelta(seconds=seconds)),),
    )
    found = screen(known, account_id=1, now=NOW)
    assert found.busy == ((BTC,) if busy else ())
    assert bool(found.doubts) is not busy


def test_a_symbol_that_somebody_has_claimed_is_left_to_him_and_the_rest_is_not() -> None:
    eth = replace(LONG, symbol="ETHUSDT")
    known = replace(with_orders(), holdings=(LONG, eth), claimed=frozenset({BTC}))
    found = screen(known, account_id=1, now=NOW)
    assert found.busy == (BTC,)
    assert found.doubts
    assert not [doubt for doubt in found.doubts if BTC in doubt]


@pytest.mark.parametrize(("price", "near"), [("97001", True), ("97000", False)])
def test_a_liquidation_nearer_than_the_limit_is_in_doubt(price: str, near: bool) -> None:
    known = replace(
        FINE, limits=Limits(min_liquidation_distance=D("0.03")), stated=stated(STOP, TARGET, liquidation=D(price))
    )
    assert any("near its liquidation" in doubt for doubt in doubts(known)) is near


def test_of_a_live_account_the_liquidation_is_reckoned() -> None:
    live = replace(FINE, stated=None)
    assert doubts(live) == ()
    ten_times = replace(live, holdings=(replace(LONG, leverage=10),), limits=Limits(min_liquidation_distance=D("0.1")))
    assert any("near its liquidation" in doubt for doubt in doubts(ten_times))


def test_at_a_venue_without_orders_for_all_of_it_a_stop_of_its_size_is_right() -> None:
    orders = (child(Role.STOP, 97_000, quantity="0.01"), child(Role.TARGET, 106_000, quantity="0.01"))
    assert doubts(replace(FINE, stated=None, by_position=False, orders=orders)) == ()
    assert doubts(replace(FINE, stated=None, by_position=True, orders=orders)) != ()


@pytest.mark.parametrize(("mark", "follows"), [(100_000, False), (101_000, True)])
def test_a_trailing_stop_that_has_to_move_is_in_doubt(mark: int, follows: bool) -> None:
    known = replace(FINE, limits=Limits(trailing_stop=D("0.03")), marks={BTC: Mark(D(mark), timedelta(0))})
    assert any("has to follow" in doubt for doubt in doubts(known)) is follows


@pytest.mark.parametrize(("equity", "reached"), [("9700.01", False), ("9700", True)])
def test_a_loss_limit_that_is_reached_is_in_doubt_until_its_lock_is_there(equity: str, reached: bool) -> None:
    watch = replace(begin(equity=D(10_000), transfers=D(10_000), at=NOW, zone="UTC"), equity=D(equity))
    known = replace(FINE, watch=watch, limits=Limits(daily_loss=D("0.03")))
    assert any("the day's loss" in doubt for doubt in doubts(known)) is reached
    assert doubts(replace(known, locked=frozenset({DAY}))) == ()
    flattens = replace(known, locked=frozenset({DAY}), limits=Limits(daily_loss=D("0.03"), flatten_on_loss=True))
    assert any("something is still open" in doubt for doubt in doubts(flattens))


def test_every_account_has_its_turn_within_five_minutes_and_not_with_all_others() -> None:
    moments = [NOW + timedelta(seconds=30 * number) for number in range(11)]
    turns: Counter[datetime] = Counter()
    for account_id in range(1, 1001):
        last, gaps = NOW, []
        for moment in moments[1:]:
            if full_look_due(account_id, full_at=last, now=moment):
                gaps.append(moment - last)
                last = moment
                turns[moment] += 1
        assert gaps, "within five minutes"
        assert max(gaps) <= FULL_EVERY
    assert max(turns.values()) <= 2 * 1000 / 10


def test_its_turn_comes_also_where_the_clock_was_put_back() -> None:
    assert full_look_due(1, full_at=NOW + timedelta(hours=3), now=NOW)
