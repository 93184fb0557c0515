"""What befalls a look at an account at its edges: answers that are a moment old, one bad symbol, orders that come back."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D

import pytest

from decisions.domain.portfolio import Role
from trading.domain.orders import OrderState
from trading.domain.venue import OrderType
from trading.exchange.base import Refusal, Refused
from trading.models import Order
from trading.services.settle import settle
from trading.services.world import Care
from trading.tests.live_kit import BUY as BUY_LIVE
from trading.tests.live_kit import live_house, nothing_hangs
from trading.tests.test_execution import BUY, carry_out, held, incidents, sent, venue_orders
from trading.tests.venue_support import down, make_desk, refuses
from vibex.lib.errors import Rejected


def test_a_stop_that_could_not_be_read_back_at_once_is_read_again_before_another_is_placed():
    desk = make_desk(order=[down])
    done = carry_out(desk, BUY)
    assert done.protected
    assert held(desk) == D("0.05")
    assert len(sent(desk, OrderType.STOP_MARKET)) == 1
    assert "stop-failed" not in incidents(desk)


def test_an_order_that_shows_nothing_new_is_not_written_again(monkeypatch):
    desk = make_desk()
    carry_out(desk, BUY)
    settle(desk.world)
    seen: list[str] = []
    monkeypatch.setattr(desk.journal, "observe", lambda key, report: seen.append(key))
    assert settle(desk.world).clean
    assert not seen
    for kept in desk.journal.working.values():
        kept.facts, kept.told = replace(kept.facts, state=OrderState.UNKNOWN), None
    settle(desk.world)
    assert sorted(seen) == sorted(desk.journal.working), "what is not known is taken in as it shows"


def test_a_second_stop_that_is_refused_because_the_first_stands_closes_nothing():
    there = refuses(Refused("a stop that closes the position stands already"))
    desk = make_desk(**{"order": [down] * 3, "place STOP_MARKET": [None, there]})
    done = carry_out(desk, BUY)
    assert held(desk) == D("0.05"), "its stop stands, though it could not be read for some seconds"
    assert done.protected
    assert ("STOP_MARKET", D(98_000)) in venue_orders(desk)


def test_protection_is_not_swept_because_an_older_answer_says_that_nothing_is_open():
    desk = make_desk()
    flat = desk.exchange.inner.account()
    desk.exchange.faults["trades"] = [down] * 20
    carry_out(desk, BUY)
    desk.exchange.faults["account"] = [lambda call: replace(flat, at=desk.clock.now())]
    desk.exchange.faults["trades"] = [down] * 20
    settle(desk.world)
    assert ("STOP_MARKET", D(98_000)) in venue_orders(desk)


def test_an_order_of_ours_that_was_taken_for_absent_and_stands_there_is_told_and_swept():
    desk = make_desk()
    carry_out(desk, BUY)
    (stop,) = [one for one in desk.journal.orders() if one.role is Role.STOP]
    kept = desk.journal.kept[stop.order.client_order_id]
    kept.facts = replace(kept.facts, state=OrderState.ABSENT)
    del desk.journal.working[stop.order.client_order_id]
    settle(desk.world)
    assert len([one for one in desk.exchange.inner.account().orders if one.type is OrderType.STOP_MARKET]) == 1
    assert "order-state" in incidents(desk)


def test_a_symbol_whose_trades_are_refused_does_not_keep_the_look_from_the_rest():
    desk = make_desk()
    carry_out(desk, BUY)
    desk.exchange.faults["trades"] = [refuses(Refused("there is no BTCUSDT", refusal=Refusal.UNKNOWN_SYMBOL))]
    desk.market.price = D(103_000)
    settled = settle(desk.world)
    assert settled.blocked.keys() == {"BTCUSDT"}
    assert "not-attended" in incidents(desk)
    assert settle(desk.world).clean


def test_a_stop_that_would_follow_stays_where_the_rules_of_its_symbol_are_gone():
    desk = make_desk(care=Care(trailing_stop=D("0.02")))
    carry_out(desk, BUY)

    def gone(symbol):
        raise Rejected(f"there is no {symbol}", code="unknown")

    desk.market.instrument = gone  # type: ignore[method-assign]
    desk.at(103_000)
    assert settle(desk.world).clean
    assert ("STOP_MARKET", D(98_000)) in venue_orders(desk)


@pytest.mark.django_db(transaction=True)
def test_the_books_take_back_a_stop_that_they_had_proved_absent(monkeypatch):
    with live_house(monkeypatch) as house:
        house.cycle(BUY_LIVE)
        stop = Order.objects.get(role="stop", origin="ours")
        Order.objects.filter(pk=stop.pk).update(state="absent")
        house.guard(2)
        assert len(house.stops()) == 1
        assert "order-state" in house.incidents()
        nothing_hangs(house)


def test_leverage_is_not_set_while_another_writer_is_at_work_on_the_symbol():
    desk = make_desk()
    desk.journal.claim = lambda symbol: False  # type: ignore[method-assign]
    asked = list[str]()
    desk.exchange.faults["leverage"] = [lambda call: asked.append("leverage") or call()]
    done = carry_out(desk, BUY)
    assert not asked
    assert "another writer" in done.text
    assert held(desk) == 0


def test_who_lost_the_claim_while_the_exchange_was_slow_leaves_protection_to_its_new_holder():
    desk = make_desk()
    carry_out(desk, BUY)
    (stop,) = [one for one in desk.exchange.inner.account().orders if one.type is OrderType.STOP_MARKET]
    desk.exchange.inner.cancel(symbol="BTCUSDT", client_order_id=stop.client_order_id)
    answers = iter([True, False])
    desk.journal.claim = lambda symbol: next(answers)  # type: ignore[method-assign]
    before = len(desk.exchange.placed)
    settled = settle(desk.world)
    assert len(desk.exchange.placed) == before
    assert settled.blocked.keys() == {"BTCUSDT"}
