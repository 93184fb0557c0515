"""From a ruling to a protected position: intent first, nothing sent twice, never naked, a close is never refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from accounts.domain.limits import DEFAULTS
from decisions.deciders.base import BotView
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Action, Proposal, Ruling, Side, Verdict
from trading.domain.orders import ARRIVES_WITHIN, OrderState
from trading.domain.protection import Foreign
from trading.domain.risk import Standing
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.exchange.base import Refusal, Refused
from trading.services.execution import entry_order, execute
from trading.services.journal.base import IntentVoid
from trading.services.settle import NEVER_SENT_AFTER, settle
from trading.services.world import Care, Run
from trading.tests.venue_support import (
    BTC,
    NOON,
    Desk,
    StillMarket,
    down,
    lost_reply,
    make_desk,
    never_arrives,
    refuses,
)

BUY = Proposal(
    "BTCUSDT",
    Action.BUY,
    quantity=Decimal("0.05"),
    leverage=2,
    stop_loss=Decimal(98_000),
    profit_target=Decimal(104_000),
)
CLOSE = Proposal("BTCUSDT", Action.CLOSE)
BY_HAND = NewOrder("by-hand", "BTCUSDT", OrderSide.BUY, OrderType.MARKET, Decimal("0.05"))
RUN = Run(
    bot=BotView("test", "rules/test", ("BTCUSDT",), "3m", ("3m",)),
    limits=DEFAULTS,
    standing=Standing(),
    scheduled_for=NOON,
    next_decision_at=NOON + timedelta(minutes=3),
    started_at=NOON,
    starting_balance=Decimal(10_000),
)


def carry_out(desk: Desk, proposal: Proposal):
    ruling = Ruling(proposal, Verdict.ACCEPTED, proposal.quantity, proposal.leverage)
    desk.journal.ruled([ruling], at=NOON)
    snapshot = desk.market.snapshot(symbols=["BTCUSDT"], timeframes=[], at=NOON)
    (done,) = execute(desk.world, RUN, snapshot, [ruling])
    return done


def venue_orders(desk: Desk) -> set[tuple[str, Decimal | None]]:
    return {(order.type.value, order.trigger) for order in desk.exchange.inner.account().orders}


def held(desk: Desk) -> Decimal:
    position = desk.exchange.inner.account().position("BTCUSDT")
    return position.side.sign * position.quantity if position else Decimal(0)


def sent(desk: Desk, *types: OrderType) -> list[NewOrder]:
    return [order for order in desk.exchange.placed if order.type in types]


def incidents(desk: Desk) -> set[str]:
    return {kind for kind, _ in desk.journal.incidents}


def test_an_entry_is_protected_by_a_stop_and_a_target_that_close_all_of_it():
    desk = make_desk()
    done = carry_out(desk, BUY)
    assert held(desk) == Decimal("0.05")
    assert venue_orders(desk) == {
        ("STOP_MARKET", Decimal(98_000)),
        ("TAKE_PROFIT_MARKET", Decimal(104_000)),
    }
    assert done.protected
    (position,) = desk.journal.positions()
    assert (position.stop, position.target, position.bracket, position.leverage) == (98_000, 104_000, "armed", 2)


def test_the_stop_is_placed_before_the_target():
    desk = make_desk()
    carry_out(desk, BUY)
    assert [order.type for order in desk.exchange.placed] == ["LIMIT", "STOP_MARKET", "TAKE_PROFIT_MARKET"]


@pytest.mark.parametrize(("side", "price"), [(Side.LONG, "100205.0"), (Side.SHORT, "99795.1")])
def test_an_entry_crosses_the_touch_by_no_more_than_the_allowed_slippage(side, price):
    quote = StillMarket().quote("BTCUSDT", at=NOON)
    order = entry_order("test", BTC, quote, side, Decimal(1), Decimal("0.002"))
    assert (order.type, order.time_in_force) == (OrderType.LIMIT, TimeInForce.IOC)
    assert order.side is OrderSide.to_open(side)
    assert order.price == Decimal(price)


def test_promise_2_intent_before_action_every_order_is_planned_before_it_leaves():
    desk = make_desk()
    place, states = desk.exchange.inner.place, []

    def watching(order: NewOrder):
        states.append(desk.journal.kept[order.client_order_id].facts.state)
        return place(order)

    desk.exchange.inner.place = watching  # type: ignore[method-assign]
    carry_out(desk, BUY)
    assert states == [OrderState.SENDING] * 3


def test_an_entry_whose_reply_is_lost_is_asked_for_and_never_sent_again():
    desk = make_desk(**{"place LIMIT": [lost_reply]})
    done = carry_out(desk, BUY)
    assert len(sent(desk, OrderType.LIMIT)) == 1
    assert held(desk) == Decimal("0.05")
    assert done.protected


def test_an_entry_that_nobody_can_find_blocks_new_risk_until_it_is_proved_absent():
    desk = make_desk(**{"place LIMIT": [never_arrives]})
    carry_out(desk, BUY)
    (order,) = desk.journal.orders()
    assert order.facts.state is OrderState.UNKNOWN
    assert settle(desk.world).blocked.keys() == {"BTCUSDT"}
    assert len(sent(desk, OrderType.LIMIT)) == 1


def test_a_refused_entry_leaves_nothing_behind():
    desk = make_desk(**{"place LIMIT": [refuses(Refused("margin", refusal=Refusal.MARGIN))]})
    done = carry_out(desk, BUY)
    assert "margin" in done.text
    assert (held(desk), venue_orders(desk), desk.journal.orders()) == (0, set(), [])


def test_leverage_that_does_not_read_back_as_asked_stops_the_entry():
    desk = make_desk()
    desk.exchange.inner.set_leverage = lambda **_: 20  # type: ignore[method-assign]
    carry_out(desk, BUY)
    assert not desk.exchange.placed


def test_a_stop_that_is_refused_once_is_tried_once_more():
    desk = make_desk(**{"place STOP_MARKET": [refuses(Refused("busy"))]})
    assert carry_out(desk, BUY).protected
    assert len(sent(desk, OrderType.STOP_MARKET)) == 2


def test_promise_3_no_naked_position_a_stop_that_is_refused_twice_closes_the_position():
    desk = make_desk(**{"place STOP_MARKET": [refuses(Refused("no")), refuses(Refused("no"))]})
    done = carry_out(desk, BUY)
    assert held(desk) == 0
    assert not done.protected
    assert "stop-failed" in incidents(desk)
    assert [position.exit_reason for position in desk.journal.closed] == ["flatten"]


def test_a_stop_that_would_fire_at_once_closes_the_position_without_a_second_try():
    desk = make_desk(**{"place STOP_MARKET": [refuses(Refused("now", refusal=Refusal.WOULD_TRIGGER))]})
    carry_out(desk, BUY)
    assert len(sent(desk, OrderType.STOP_MARKET)) == 1
    assert held(desk) == 0


def test_a_stop_whose_reply_is_lost_is_found_and_not_placed_twice():
    desk = make_desk(**{"place STOP_MARKET": [lost_reply]})
    assert carry_out(desk, BUY).protected
    assert len(sent(desk, OrderType.STOP_MARKET)) == 1


def test_a_stop_lost_on_its_way_is_replaced_under_a_new_id():
    desk = make_desk(**{"place STOP_MARKET": [never_arrives]})
    assert carry_out(desk, BUY).protected
    first, second = sent(desk, OrderType.STOP_MARKET)
    assert first.client_order_id != second.client_order_id


def test_a_target_that_fails_is_an_incident_and_the_stop_stands():
    desk = make_desk(**{"place TAKE_PROFIT_MARKET": [refuses(Refused("no"))]})
    assert carry_out(desk, BUY).protected
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_000))}
    assert "target-failed" in incidents(desk)


def test_a_close_is_reduce_only_and_takes_stop_and_target_with_it():
    desk = make_desk()
    carry_out(desk, BUY)
    carry_out(desk, CLOSE)
    (close,) = sent(desk, OrderType.MARKET)
    assert close.reduce_only
    assert (held(desk), venue_orders(desk), desk.journal.orders()) == (0, set(), [])
    assert [position.exit_reason for position in desk.journal.closed] == ["close"]


def test_a_close_whose_reply_is_lost_never_turns_the_position():
    desk = make_desk(**{"place MARKET": [lost_reply]})
    carry_out(desk, BUY)
    carry_out(desk, CLOSE)
    assert (held(desk), venue_orders(desk)) == (0, set())


def test_a_close_goes_through_after_the_exchange_was_down_for_a_moment():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.faults["place MARKET"] = [down]
    carry_out(desk, CLOSE)
    assert held(desk) == 0


def test_a_position_that_cannot_be_closed_is_a_critical_incident_and_keeps_its_stop():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.faults["place MARKET"] = [refuses(Refused("closed for maintenance"))] * 3
    done = carry_out(desk, CLOSE)
    assert "could not be closed" in done.text
    assert {"close-refused", "not-flat"} <= incidents(desk)
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)


def test_a_reversal_whose_close_failed_does_not_enter():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.faults["place MARKET"] = [refuses(Refused("closed for maintenance"))] * 3
    sell = replace(BUY, action=Action.SELL, stop_loss=Decimal(102_000), profit_target=Decimal(96_000))
    rulings = [Ruling(CLOSE, Verdict.ACCEPTED), Ruling(sell, Verdict.ACCEPTED, sell.quantity, 2)]
    desk.journal.ruled(rulings, at=NOON)
    snapshot = desk.market.snapshot(symbols=["BTCUSDT"], timeframes=[], at=NOON)
    done = execute(desk.world, RUN, snapshot, rulings)
    assert [deed.well for deed in done] == [False, False]
    assert held(desk) == Decimal("0.05")


def test_a_close_does_not_wait_for_a_claim_but_an_entry_does():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.journal.claim = lambda symbol: False  # type: ignore[method-assign]
    assert carry_out(desk, replace(BUY, action=Action.SELL)).filled == 0
    carry_out(desk, CLOSE)
    assert held(desk) == 0


def test_settling_places_a_stop_where_a_crash_left_none():
    desk = make_desk()
    carry_out(desk, BUY)
    stop = next(order for order in desk.journal.orders() if order.role is Role.STOP)
    desk.exchange.inner.cancel(symbol="BTCUSDT", client_order_id=stop.order.client_order_id)
    settled = settle(desk.world)
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)
    assert settled.clean
    assert settled.mended


def test_settling_sweeps_the_sibling_once_the_stop_has_fired():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.at(97_000)
    assert held(desk) == 0
    settle(desk.world)
    assert (venue_orders(desk), desk.journal.orders(), desk.journal.positions()) == (set(), [], [])
    assert [position.exit_reason for position in desk.journal.closed] == ["stop"]


def test_settling_denies_an_order_that_was_planned_and_never_sent():
    desk = make_desk()
    order = entry_order(
        "test", BTC, desk.market.quote("BTCUSDT", at=NOON), Side.LONG, Decimal("0.01"), Decimal("0.002")
    )
    desk.journal.plan(order, role=Role.ENTRY)
    settle(desk.world)
    kept = desk.journal.kept[order.client_order_id]
    assert kept.facts.state is OrderState.PLANNED  # it may be on its way out this very moment
    kept.planned_at, kept.told = kept.planned_at - NEVER_SENT_AFTER, None
    settle(desk.world)
    assert kept.facts.state is OrderState.DENIED
    assert not desk.exchange.placed
    with pytest.raises(IntentVoid):
        desk.journal.sending(order.client_order_id)


def test_settling_finds_an_entry_that_was_filled_before_the_crash_and_protects_it():
    desk = make_desk()
    ruling = Ruling(BUY, Verdict.ACCEPTED, BUY.quantity, 2)
    desk.journal.ruled([ruling], at=NOON)
    order = entry_order("test", BTC, desk.market.quote("BTCUSDT", at=NOON), Side.LONG, BUY.quantity, Decimal("0.002"))
    desk.journal.plan(order, role=Role.ENTRY, ruling=0)
    desk.journal.sending(order.client_order_id)
    desk.exchange.inner.place(order)  # accepted; the process died before it heard of it
    assert settle(desk.world).clean
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)
    assert len(desk.journal.positions()) == 1


def test_settling_names_both_figures_where_books_and_exchange_differ():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.inner.place(replace(BY_HAND, quantity=Decimal("0.02")))
    desk.exchange.faults["trades"] = [down] * 9
    settled = settle(desk.world)
    assert not settled.clean
    assert any("0.05" in text and "0.07" in text for text in settled.left)


def test_a_position_whose_trades_cannot_be_read_yet_is_nobodys_and_is_left_for_the_next_look():
    desk = make_desk()
    desk.exchange.inner.place(BY_HAND)
    desk.exchange.faults["trades"] = [down] * 9
    settled = settle(desk.world)
    assert settled.blocked.keys() == {"BTCUSDT"}
    assert desk.exchange.placed == []


def test_settling_reports_a_position_that_is_not_ours_and_does_not_touch_it_where_the_account_says_so():
    desk = make_desk(care=Care(Foreign.FLAG))
    desk.exchange.inner.place(BY_HAND)
    settled = settle(desk.world)
    assert settled.blocked.keys() == {"BTCUSDT"}
    assert "foreign-position" in incidents(desk)
    assert (held(desk), desk.exchange.placed) == (Decimal("0.05"), [])


@pytest.mark.parametrize("foreign", Foreign)
def test_what_is_left_of_our_bracket_never_works_on_a_position_that_somebody_else_opens_after_it(foreign):
    desk = make_desk(care=Care(foreign))
    carry_out(desk, BUY)
    close = NewOrder("closed", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, Decimal("0.05"), reduce_only=True)
    desk.exchange.inner.place(close)
    desk.exchange.inner.place(BY_HAND)  # before anybody of ours has looked
    old = {order.client_order_id for order in sent(desk, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET)}
    settle(desk.world)
    working = {order.client_order_id for order in desk.exchange.inner.account().orders}
    assert not old & working
    assert "foreign-position" in incidents(desk)
    assert len(working) == (1 if foreign is Foreign.ADOPT else 0)
    assert held(desk) == (0 if foreign is Foreign.FLATTEN else Decimal("0.05"))


def test_what_was_filled_is_protected_while_its_trades_cannot_be_read():
    desk = make_desk(trades=[down] * 6)
    done = carry_out(desk, BUY)
    assert done.protected
    assert done.filled == Decimal("0.05")
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)
    desk.exchange.faults["trades"] = []
    settle(desk.world)
    assert [position.stop for position in desk.journal.positions()] == [98_000]


def test_settling_protects_what_an_entry_filled_while_trades_cannot_be_read():
    desk = make_desk()
    desk.journal.ruled([Ruling(BUY, Verdict.ACCEPTED, BUY.quantity, 2)], at=NOON)
    order = entry_order("test", BTC, desk.market.quote("BTCUSDT", at=NOON), Side.LONG, BUY.quantity, Decimal("0.002"))
    desk.journal.plan(order, role=Role.ENTRY, ruling=0)
    desk.journal.sending(order.client_order_id)
    desk.exchange.inner.place(order)
    desk.exchange.faults["trades"] = [down] * 6
    settle(desk.world)
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)


def test_an_entry_that_answered_late_is_found_and_protected_before_the_cycle_ends():
    desk = make_desk(**{"place LIMIT": [lost_reply], "order": [down] * 3})
    done = carry_out(desk, BUY)
    assert not done.well
    assert settle(desk.world).clean
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)


def test_an_error_answer_is_never_evidence_of_absence():
    desk = make_desk(**{"place LIMIT": [never_arrives]})
    carry_out(desk, BUY)
    (order,) = desk.journal.orders()
    kept = desk.journal.kept[order.order.client_order_id]
    kept.sent_at, kept.told = kept.sent_at - ARRIVES_WITHIN, None
    settle(desk.world)
    settle(desk.world)
    desk.exchange.faults["order"] = [down] * 5
    for _ in range(5):
        assert not settle(desk.world).clean
    assert kept.facts.state is OrderState.UNKNOWN
    assert settle(desk.world).clean
    assert kept.facts.state is OrderState.ABSENT


def test_answers_from_before_the_window_has_passed_prove_nothing():
    desk = make_desk(**{"place LIMIT": [never_arrives]})
    carry_out(desk, BUY)
    for _ in range(5):
        settle(desk.world)
    (order,) = desk.journal.orders()
    assert (order.facts.state, order.absent_answers) == (OrderState.UNKNOWN, 0)


def test_a_symbol_at_which_somebody_else_is_at_work_is_blocked_for_this_cycle():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.journal.claim = lambda symbol: False  # type: ignore[method-assign]
    settled = settle(desk.world)
    assert settled.blocked.keys() == {"BTCUSDT"}
    assert settled.clean


def test_a_position_that_could_neither_be_protected_nor_closed_is_called_what_it_is():
    no = refuses(Refused("no"))
    desk = make_desk(**{"place STOP_MARKET": [no] * 4, "place MARKET": [no] * 6})
    done = carry_out(desk, BUY)
    assert "WITHOUT A STOP" in done.text
    assert not done.well
    settled = settle(desk.world)
    assert not settled.clean
    assert settle(desk.world).clean  # the venue takes orders again: the stop is placed
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)


def test_a_ledger_that_does_not_add_up_to_the_wallet_is_an_incident_with_both_figures():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.journal.total += Decimal("0.01")
    settled = settle(desk.world)
    assert not settled.clean
    (text,) = [text for kind, text in desk.journal.incidents if kind == "ledger-mismatch"]
    assert f"{desk.exchange.inner.account().wallet:f}" in text


def test_a_ledger_line_that_came_late_is_found_again():
    desk = make_desk()
    carry_out(desk, BUY)
    settle(desk.world)
    desk.journal.ledger.popitem()
    desk.journal.total = sum((line.amount for line in desk.journal.ledger.values()), Decimal(0))
    desk.journal.latest_income = NOON + timedelta(hours=9)
    assert settle(desk.world).clean
    assert desk.journal.ledger_total() == desk.exchange.inner.account().wallet
