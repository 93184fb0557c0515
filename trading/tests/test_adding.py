"""Adding to a position: at its leverage, and with a stop over all of it at every moment in between."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import RiskLimits
from decisions.domain.proposal import Ruling, Verdict
from trading.domain.venue import OrderType
from trading.exchange.aster.adapter import AsterExchange
from trading.models import Order, Position
from trading.services.execution import execute
from trading.services.settle import settle
from trading.services.stops import move_stop
from trading.tests.live_kit import BUY, LiveHouse, books_tie_out, live_house, nothing_hangs
from trading.tests.test_execution import BUY as FIRST
from trading.tests.test_execution import RUN, carry_out, held, incidents, sent, venue_orders
from trading.tests.test_live_cycle import NEXT, House
from trading.tests.venue_support import NOON, Desk, down, lost_reply, make_desk, never_arrives

MORE = replace(FIRST, quantity=Decimal("0.03"))
NEARER = replace(MORE, stop_loss=Decimal(98_500), profit_target=Decimal(105_000))


def add(desk: Desk, proposal=MORE):
    """Carry out an addition as risk rules it."""
    ruling = Ruling(proposal, Verdict.ACCEPTED, proposal.quantity, proposal.leverage, adds=True)
    desk.journal.ruled([ruling], at=NOON)
    snapshot = desk.market.snapshot(symbols=["BTCUSDT"], timeframes=[], at=NOON)
    (done,) = execute(desk.world, RUN, snapshot, [ruling])
    return done


def opened(**faults: Any) -> Desk:
    """Return a desk with 0.05 open, stop and target in place, where the faults begin."""
    desk = make_desk(by_position=faults.pop("by_position", True))
    carry_out(desk, FIRST)
    desk.exchange.faults.update(faults)
    return desk


def watched(desk: Desk) -> list[int]:
    """Return a list that takes the number of working stops on the exchange after each order and each cancel."""
    inner, seen = desk.exchange.inner, list[int]()

    def counting(call):
        def counted(*given, **named):
            answer = call(*given, **named)
            seen.append(sum(order.type == "STOP_MARKET" for order in inner.account().orders))
            return answer

        return counted

    inner.place, inner.cancel = counting(inner.place), counting(inner.cancel)  # type: ignore[method-assign]
    return seen


def test_an_addition_leaves_one_stop_and_one_target_over_all_of_it():
    desk = opened()
    done = add(desk)
    assert held(desk) == Decimal("0.08")
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_000)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}
    assert (done.filled, done.protected, done.well) == (Decimal("0.03"), True, True)
    (position,) = desk.journal.positions()
    assert (position.quantity, position.stop, position.bracket) == (Decimal("0.08"), 98_000, "armed")


def test_leverage_is_not_set_while_a_position_is_open():
    desk = opened(leverage=[down])
    assert add(desk).well
    assert desk.exchange.faults["leverage"] == [down]


@pytest.mark.parametrize("by_position", [True, False], ids=["close-position stops", "stops by quantity"])
@pytest.mark.parametrize("proposal", [MORE, NEARER], ids=["same stop", "nearer stop"])
def test_promise_3_no_naked_position_a_stop_stands_at_every_moment_of_an_addition(proposal, by_position):
    desk = opened(by_position=by_position)
    seen = watched(desk)
    assert add(desk, proposal).protected
    assert min(seen) >= 1
    assert max(seen) <= 3, "the old one, a helper and the new one"
    assert seen[-1] == 1
    (stop,) = [order for order in desk.exchange.inner.account().orders if order.type == "STOP_MARKET"]
    assert stop.trigger == proposal.stop_loss
    assert stop.close_position or stop.quantity == Decimal("0.08")
    (target,) = [order for order in desk.exchange.inner.account().orders if order.type == "TAKE_PROFIT_MARKET"]
    assert target.trigger == proposal.profit_target
    assert target.close_position or target.quantity == Decimal("0.08")


def test_a_target_that_is_not_stated_stays_where_it_is():
    desk = opened()
    add(desk, replace(NEARER, profit_target=None))
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_500)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}


def test_a_stop_that_came_nearer_since_the_ruling_is_not_moved_back():
    desk = opened()
    move_stop(desk.world, "BTCUSDT", Decimal(98_800))
    assert add(desk).protected
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_800)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}


def test_nothing_is_added_when_the_position_is_gone():
    desk = opened()
    desk.at(97_000)  # its stop is hit before the addition goes out
    settle(desk.world)
    done = add(desk)
    assert "not there any more" in done.text
    assert held(desk) == 0
    assert len(sent(desk, OrderType.LIMIT)) == 1


def test_an_addition_that_meets_no_price_moves_no_stop():
    desk = opened()
    desk.exchange.inner.quote(
        replace(desk.market.quote("BTCUSDT", at=NOON), ask=Decimal(101_000), bid=Decimal(100_990))
    )
    done = add(desk, NEARER)
    assert "nothing was filled" in done.text
    assert held(desk) == Decimal("0.05")
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_000)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}


def test_a_stop_that_was_hit_meanwhile_is_placed_anew_for_what_was_added():
    desk = opened()
    place = desk.exchange.inner.place

    def hit_first(order):
        if order.type == "LIMIT":  # between the look at the position and the fill
            desk.at(97_000)
            desk.at(100_000)
        return place(order)

    desk.exchange.inner.place = hit_first  # type: ignore[method-assign]
    done = add(desk)
    assert held(desk) == Decimal("0.03")
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_000)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}
    assert done.protected


def test_a_nearer_stop_that_cannot_be_placed_leaves_the_old_one():
    desk = opened(**{"place STOP_MARKET": [down]})
    add(desk, NEARER)
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)
    assert "stop-not-moved" in incidents(desk)


def test_what_the_exchange_did_not_say_after_an_addition_is_mended_by_the_next_look():
    desk = opened(account=[down])
    done = add(desk, NEARER)
    assert not done.well
    assert ("STOP_MARKET", Decimal(98_000)) in venue_orders(desk)
    settle(desk.world)
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_500)), ("TAKE_PROFIT_MARKET", Decimal(105_000))}


def test_an_addition_whose_reply_is_lost_is_never_sent_again():
    desk = opened(**{"place LIMIT": [lost_reply]})
    assert add(desk).protected
    assert held(desk) == Decimal("0.08")


def test_an_addition_that_never_arrives_leaves_position_and_stop_as_they_are():
    desk = opened(**{"place LIMIT": [never_arrives]})
    assert not add(desk).well
    assert held(desk) == Decimal("0.05")
    assert venue_orders(desk) == {("STOP_MARKET", Decimal(98_000)), ("TAKE_PROFIT_MARKET", Decimal(104_000))}


# -- a bot on paper ------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_paper_bot_adds_to_its_position_where_the_account_allows_it(monkeypatch):
    house = House(monkeypatch)
    RiskLimits.objects.filter(account=house.account).update(pyramiding=True)
    house.run()
    house.proposals = (replace(BUY, quantity=Decimal("0.01"), stop_loss=Decimal(98_500)),)
    house.run(NEXT)
    position = Position.objects.get()
    assert (position.quantity, position.stop, position.leverage) == (Decimal("0.03"), 98_500, 2)
    assert [row.trigger for row in Order.objects.filter(role="stop", state="live")] == [98_500]


@pytest.mark.django_db(transaction=True)
def test_a_paper_bot_adds_nothing_where_the_account_does_not_allow_it(monkeypatch):
    house = House(monkeypatch)
    house.run()
    house.run(NEXT)
    assert Position.objects.get().quantity == Decimal("0.02")
    assert Order.objects.filter(role="entry").count() == 1


# -- a live account at the running exchange ------------------------------------------------------------------------------


@pytest.fixture
def live(monkeypatch: pytest.MonkeyPatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as made:
        RiskLimits.objects.filter(account=made.account).update(pyramiding=True)
        yield made


@pytest.mark.django_db
@pytest.mark.parametrize("stop", [98_000, 98_500], ids=["same stop", "nearer stop"])
def test_a_live_account_adds_and_never_stands_without_a_stop(live, monkeypatch, stop):
    live.cycle(BUY)
    seen = list[int]()
    for name in ("place", "cancel"):
        monkeypatch.setattr(AsterExchange, name, counted(getattr(AsterExchange, name), live, seen))
    run = live.cycle(replace(BUY, quantity=Decimal("0.01"), stop_loss=Decimal(stop)))
    assert "added 0.01" in run.text
    assert live.held() == Decimal("0.03")
    assert live.stops() == [stop]
    assert min(seen) >= 1
    assert live.incidents() == set()
    live.guard()
    assert live.stops() == [stop]
    assert not live.sent_twice()
    books_tie_out(live)
    nothing_hangs(live)


def counted(call: Any, house: LiveHouse, seen: list[int]) -> Any:
    def watching(self: AsterExchange, *given: Any, **named: Any) -> Any:
        answer = call(self, *given, **named)
        seen.append(len(house.stops()))
        return answer

    return watching
