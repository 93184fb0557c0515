"""The fifteen reliability scenarios, S1 to S15, each against the running test exchange: real requests, a real database.

What each is, what other engines do, and why the outcome is the right one: docs/reliability.md.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from random import Random
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from accounts.models import Account, Bot, Incident
from decisions.domain.portfolio import Role
from decisions.models import Cycle, Interaction
from marketdata.aster.clock import VenueClock
from marketdata.models import VenueBudget
from marketdata.services import nonces
from trading.domain.orders import ARRIVES_WITHIN, new_client_order_id
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.domain.venue_events import OrderChanged, VenueEvent
from trading.exchange.user_stream import UserStream
from trading.models import EquityPoint, Fill, Order, Position
from trading.services import exchanges
from trading.services.guard import guard_run
from trading.services.halt import account_halt
from trading.services.live import cycle_run, world_for
from trading.services.reconcile import account_reconcile
from trading.services.user_events import venue_event_apply
from trading.services.user_streams import user_stream_for
from trading.tests.live_kit import (
    BUY,
    CLOSE,
    SYMBOL,
    USER,
    LiveHouse,
    books_tie_out,
    live_house,
    nothing_hangs,
)
from vibex.lib.errors import Retryable

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.ci]
ORDER = "*/order"


@pytest.fixture
def house(monkeypatch) -> Iterator[LiveHouse]:
    with live_house(monkeypatch) as made:
        made.guard()
        yield made


def a_minute_passes(house: LiveHouse) -> None:
    """Let every request that may still be on its way be older than the window in which it can arrive."""
    Order.objects.update(sent_at=timezone.now() - ARRIVES_WITHIN - timedelta(seconds=1))


def entries(house: LiveHouse) -> list[Any]:
    return [one for one in house.truth.orders if one.side is OrderSide.BUY]


def raw(house: LiveHouse, **form: str) -> None:
    """Trade by hand, past Vibex, with the account's own keys."""
    house.world.exchange._calls.send("POST", "order", {"symbol": SYMBOL, **form})  # type: ignore[attr-defined]


def whole(house: LiveHouse) -> None:
    """One stop over what is open, nothing where nothing is, books equal to the exchange's, nothing sent twice."""
    assert len(house.stops()) == (1 if house.held() else 0)
    assert house.sent_twice() == []
    books_tie_out(house)
    nothing_hangs(house)


@pytest.mark.parametrize("lost", ["drop-after", "503-after", "-1007-after"])
def test_S1_an_entry_is_accepted_and_the_reply_lost_while_the_signal_stays(house, lost):
    house.fault(lost, path=ORDER, method="POST")
    house.fault("503", path=ORDER, method="GET", count=4)
    for _ in range(5):
        house.cycle(BUY)
    assert house.held() == D("0.02")
    assert len(entries(house)) == 1
    entry = Order.objects.get(role="entry")
    assert entry.state == "done"
    assert Position.objects.get().decision == entry.decision
    whole(house)


def test_S2_the_process_ends_between_accept_and_commit(house):
    # A cycle plans and sends, the exchange fills, and nobody is there to hear of it. Real kills: tests/faults.
    house.cycle()
    decided = _decided(house)
    exchanges.exchanges_forget()
    account_reconcile(account_id=house.account.pk, trigger="start")
    position = Position.objects.get()
    assert (position.decision, position.bot) == (decided.decision, house.bot)
    assert house.stops() == [D(98_000)]
    assert len(entries(house)) == 1
    whole(house)


def test_S3a_a_seconds_old_order_that_does_not_exist_is_kept(house):
    lost = _decided(house, arrives=False)
    for _ in range(4):
        house.guard()
    lost.refresh_from_db()
    assert lost.state == "unknown", "no answer within the window proves anything"
    house.cycle(BUY)
    assert entries(house) == [], "nothing is opened while nobody knows"
    a_minute_passes(house)
    house.guard(3)
    lost.refresh_from_db()
    assert lost.state == "absent"
    house.cycle(BUY)
    assert len(entries(house)) == 1
    whole(house)


def test_S3b_four_error_answers_are_no_evidence(house):
    lost = _decided(house, arrives=False)
    a_minute_passes(house)
    house.fault("500", path=ORDER, method="GET", count=40)
    house.guard(4)
    lost.refresh_from_db()
    assert lost.state in ("sending", "unknown")
    house.served.control.clear()
    house.guard(4)
    lost.refresh_from_db()
    assert lost.state == "absent"


def test_S4_the_venue_is_down_when_we_start(house, client: Client):
    house.cycle(BUY)
    house.served.control.fault("503", path="*")
    exchanges.exchanges_forget()
    with pytest.raises(Retryable):
        account_reconcile(account_id=house.account.pk, trigger="start")
    assert guard_run(account_id=house.account.pk) is None
    assert "guard-blind" in house.incidents()
    client.force_login(house.account.owner)
    assert client.get(f"/accounts/{house.account.pk}/").status_code in (200, 404)
    assert client.get("/").status_code == 200
    assert client.get("/api/v1/status/").status_code == 200
    run = house.cycle(BUY)
    assert run.status == "failed"
    assert account_halt(account=house.account, reason="operator").latched, "the emergency stop works without a venue"
    house.served.control.clear()
    VenueBudget.objects.update(blocked_until=None, told_until=None, used=0)  # the minute is over
    house.guard()
    assert house.held() == 0
    assert "guard-blind" not in house.incidents()
    whole(house)


def test_S5_a_partial_fill_is_protected_from_the_first_lot_and_its_rest_is_gone(house):
    house.served.control.set_depth(SYMBOL, bids=[["100000", "50"]], asks=[["100000", "0.012"]])
    house.cycle(BUY)
    assert house.held() == D("0.012")
    assert Order.objects.get(role="entry").filled == D("0.012")
    assert {one.close_position for one in house.truth.working(SYMBOL)} == {True}
    whole(house)
    house.served.control.set_depth(SYMBOL)
    house.at(97_900)
    house.guard()
    assert house.held() == 0
    assert Position.objects.get().exit_reason == "stop"
    whole(house)


def test_S5b_what_is_left_below_the_smallest_order_is_closed_all_the_same(house):
    house.served.control.set_depth(SYMBOL, bids=[["100000", "50"]], asks=[["100000", "0.001"]])
    house.cycle(BUY)
    house.served.control.set_depth(SYMBOL)
    assert house.held() == D("0.001")
    house.at(98_500)
    house.cycle(CLOSE)
    assert house.held() == 0
    whole(house)


def test_S6_a_stop_that_would_fire_at_once_closes_the_position(house):
    house.served.control.set_price(SYMBOL, last=100_000, mark=97_900)
    house.clock.move_to(house.clock.at + timedelta(minutes=3))
    house.proposals.append((BUY,))
    cycle_run(bot_id=house.bot.pk, scheduled_for=house.clock.at)
    assert house.held() == 0
    closes = Order.objects.filter(role="close")
    assert [one.purpose for one in closes] == ["flatten"]
    assert Position.objects.get().exit_reason == "flatten"
    assert "stop-failed" in house.incidents()
    whole(house)


@pytest.mark.parametrize("lost", ["drop-after", "503-after"])
def test_S7_a_stop_is_accepted_and_the_reply_lost(house, lost):
    house.fault(lost, path=ORDER, method="POST", form={"type": "STOP_MARKET"})
    house.cycle(BUY)
    assert house.stops() == [D(98_000)]
    whole(house)
    house.cycle(CLOSE)
    house.guard()
    assert house.truth.working() == []
    whole(house)


def test_S7b_a_stop_whose_fate_nobody_can_tell_is_replaced_once_and_the_extra_one_swept(house):
    house.fault("drop-after", path=ORDER, method="POST", form={"type": "STOP_MARKET"})
    house.fault("503", path=ORDER, method="GET", count=12)
    house.cycle(BUY)
    assert house.held() == 0 or house.stops(), "never naked"
    house.served.control.clear()
    house.guard(2)
    whole(house)


@pytest.mark.parametrize("lost", ["drop-after", "503-after", "-1006-after"])
def test_S8_an_exit_is_accepted_and_the_reply_lost(house, lost):
    house.cycle(BUY)
    house.fault(lost, path=ORDER, method="POST", form={"reduceOnly": "true"})
    house.cycle(CLOSE)
    assert house.held() == 0, "one exit, and never a position of the other side"
    assert len([one for one in house.truth.orders if one.reduce_only and one.filled]) == 1
    house.guard()
    whole(house)


def test_S9_the_venue_closes_the_position_by_liquidation(house):
    house.cycle(replace(BUY, leverage=5))
    house.served.control.liquidate(USER, SYMBOL)
    house.guard()
    assert Position.objects.get().exit_reason == "liquidation"
    assert house.truth.working() == []
    whole(house)


def test_S9b_the_venue_closes_the_position_by_auto_deleveraging(house):
    house.cycle(BUY)
    house.served.control.adl(USER, SYMBOL)
    house.guard()
    assert Position.objects.get().exit_reason == "adl"
    assert house.truth.working() == []
    whole(house)


def test_S9c_a_person_closes_the_position_at_the_exchange(house):
    house.cycle(BUY)
    raw(house, side="SELL", type="MARKET", quantity="0.02", reduceOnly="true")
    house.guard()
    position = Position.objects.get()
    assert (position.exit_reason, position.closed is not None) == ("external", True)
    assert house.truth.working() == []
    whole(house)


def test_S10_a_person_adds_to_the_position_outside(house):
    house.cycle(BUY)
    raw(house, side="BUY", type="MARKET", quantity="0.05")
    house.guard()
    position = Position.objects.get()
    assert position.quantity == D("0.07")
    assert Order.objects.filter(origin="external").count() == 1
    whole(house)


@pytest.mark.parametrize("order", ["as they came", "backwards", "shuffled"])
def test_S11_messages_come_three_times_late_and_out_of_order(house, order):
    stream = user_stream_for(house.account)
    assert stream is not None
    house.served.control.stream_fault("duplicate", path="*")
    stream.start()
    try:
        assert stream.wait(10), "the stream says that it is connected"
        house.cycle(BUY)
        house.at(97_900)
        events = _heard(stream, until=lambda all_: any("FILLED" in str(one) and "98000" in str(one) for one in all_))
    finally:
        stream.stop()
    executions = [one for one in events if isinstance(one, OrderChanged) and one.trade]
    assert {one.trade.trade_id for one in executions} == {one.trade_id for one in house.truth.trades}
    told = list(events) * 3
    if order == "backwards":
        told.reverse()
    elif order == "shuffled":
        Random(11).shuffle(told)
    for event in told:
        venue_event_apply(account=house.account, event=event)
    house.guard()
    for event in told:
        venue_event_apply(account=house.account, event=event)
    assert Fill.objects.count() == len(house.truth.trades)
    assert Position.objects.get().exit_reason == "stop"
    assert Order.objects.get(role="stop").state == "done"
    house.guard()
    assert house.truth.working() == []
    whole(house)


def test_S12_stale_data_no_decision_no_model_call_and_stops_still_managed(house):
    house.cycle(BUY)
    snapshot = house.market.snapshot

    def stale(**asked: Any):
        seen = snapshot(**asked)
        problem = "the newest price is 95 s old"
        return replace(seen, symbols={name: replace(view, problem=problem) for name, view in seen.symbols.items()})

    house.market.snapshot = stale  # type: ignore[method-assign]
    before = Interaction.objects.count()
    house.cycle(replace(BUY, quantity=D("0.01")))
    assert len(entries(house)) == 1
    assert Interaction.objects.count() == before
    house.at(97_900)
    house.guard()
    assert (house.held(), house.truth.working()) == (0, [])
    whole(house)


@pytest.mark.parametrize("wrong_by", [-15.0, 15.0])
def test_S13_the_clock_is_wrong_by_fifteen_seconds(monkeypatch, wrong_by):
    class Wrong(VenueClock):
        def __init__(self, http: Any) -> None:
            super().__init__(http, wall=lambda: time.time() + wrong_by)

    honest = nonces.microseconds
    monkeypatch.setattr(nonces, "microseconds", lambda: honest() + round(wrong_by * 1_000_000))
    with live_house(monkeypatch, venue_clock=Wrong, start=timezone.now()) as house:
        house.served.control.go(1)
        house.guard()
        assert EquityPoint.objects.exists(), "signed requests are stamped by the venue's clock"
        house.proposals.append((BUY,))
        cycle_run(bot_id=house.bot.pk, scheduled_for=house.clock.at)
        assert entries(house) == [], "nothing is opened with a clock that is more than 8 s off"
        (incident,) = Incident.objects.filter(kind="clock-skew", resolved=None)
        assert incident.severity == "critical"
        told = re.search(r"is ([0-9.]+) s (behind|ahead of)", incident.text)
        assert told, incident.text
        assert float(told[1]) == pytest.approx(15, abs=3)
        assert told[2] == ("behind" if wrong_by < 0 else "ahead of")


def test_S14_an_emergency_stop_during_a_ban(house):
    house.cycle(BUY)
    house.served.control.fault("418", path="*")
    done = account_halt(account=house.account, reason="operator")
    assert (done.latched, done.flat) == (True, False)
    assert done.problem
    assert house.cycle(BUY).status != "done" or len(entries(house)) == 1
    incident = Incident.objects.get(kind="halt", resolved=None)
    assert incident.severity == "critical"
    exchanges.exchanges_forget()  # a restart
    house.served.control.clear()
    VenueBudget.objects.update(blocked_until=None, told_until=None)  # the ban has passed
    house.guard()
    assert (house.held(), house.truth.working()) == (0, [])
    assert house.account.state == Account.State.HALTED
    assert "halt" not in house.incidents()
    house.guard()
    whole(house)


def test_S14b_a_soft_refusal_of_everything_else_does_not_hold_up_a_halt(house):
    house.cycle(BUY)
    VenueBudget.objects.update(used=10**9, minute=timezone.now().replace(second=0, microsecond=0))
    done = account_halt(account=house.account, reason="operator")
    assert (done.flat, house.held()) == (True, D(0))


@pytest.mark.postgres
def test_S15_two_workers_drive_one_account(house):
    house.clock.move_to(house.clock.at + timedelta(minutes=3))
    house.at(100_000)
    house.proposals.extend([(BUY,), (BUY,)])
    barrier, runs = threading.Barrier(2), list[str]()

    def work() -> None:
        try:
            barrier.wait(10)
            runs.append(cycle_run(bot_id=house.bot.pk, scheduled_for=house.clock.at).status)
        finally:
            connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(runs) == ["done", "skipped"]
    assert len(entries(house)) == 1
    assert Cycle.objects.filter(status="done").count() == 1
    house.guard()
    whole(house)


def test_S15b_a_worker_that_lost_its_lease_can_neither_place_nor_cancel(house):
    house.cycle(BUY)
    sent = len(house.truth.orders)
    stale = world_for(house.account)
    Account.objects.filter(pk=house.account.pk).update(epoch=5)  # somebody halted and lifted it meanwhile
    from trading.services.closing import cancel_children, flatten
    from trading.services.journal.base import IntentVoid

    with pytest.raises(IntentVoid):
        cancel_children(stale, SYMBOL)
    with pytest.raises(IntentVoid):
        flatten(stale, SYMBOL, purpose="close")
    assert len(house.truth.orders) == sent
    assert len(house.truth.working(SYMBOL)) == 2


def _heard(stream: UserStream, *, until: Any, seconds: float = 10.0) -> list[VenueEvent]:
    """Return the events that came until `until` says of all of them that it is enough."""
    events, ends = list[VenueEvent](), time.monotonic() + seconds
    while time.monotonic() < ends and not until(events):
        stream.wait(0.2)
        events += stream.drain()
    return events


def _decided(house: LiveHouse, *, arrives: bool = True) -> Order:
    """Leave behind what a process leaves that dies right after it has sent an entry."""
    from decisions.domain.proposal import Ruling, Verdict
    from trading.services.journal.orm import OrmJournal
    from trading.services.lease import cycle_acquire, cycles_abandon

    bot = Bot.objects.select_related("account__limits").get(pk=house.bot.pk)
    cycle = cycle_acquire(bot=bot, scheduled_for=house.clock.at + timedelta(minutes=3))
    journal = OrmJournal(bot.account, cycle)
    journal.ruled([Ruling(BUY, Verdict.ACCEPTED, BUY.quantity, BUY.leverage)], at=house.clock.at)
    order = NewOrder(
        new_client_order_id("demo"),
        SYMBOL,
        OrderSide.BUY,
        OrderType.LIMIT,
        BUY.quantity,
        price=D(100_200),
        time_in_force=TimeInForce.IOC,
    )
    journal.plan(order, role=Role.ENTRY, ruling=0)
    journal.sending(order.client_order_id)
    if arrives:
        house.world.exchange.place(order)
    journal.release(SYMBOL)
    cycles_abandon(account_id=bot.account_id)
    return Order.objects.get(client_order_id=order.client_order_id)
