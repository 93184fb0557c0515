"""A cycle of a real bot against the database and the paper venue: what is stored, and what a fault leaves behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import InterfaceError, OperationalError, connection

from accounts.models import Account, Bot, Incident
from decisions.deciders import rules
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Action, Proposal
from decisions.models import Cycle, Decision, DiaryEntry, Interaction
from trading.domain.schedule import slot_at
from trading.domain.venue import NewOrder, OrderSide, OrderType
from trading.models import EquityPoint, Fill, IncomeEntry, Lock, Order, OrderEvent, PaperOrder, Position
from trading.services import live
from trading.services.guard import guard_run
from trading.services.journal.base import EntryBarred, IntentVoid, Stage
from trading.services.journal.orm import OrmJournal
from trading.services.live import cycle_run
from trading.services.reconcile import account_reconcile
from trading.services.standing import lock_put
from trading.tests.builders import make_bot
from trading.tests.venue_support import NOON, StillMarket
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import Retryable

pytestmark = pytest.mark.django_db(transaction=True)
NEXT = NOON + timedelta(minutes=3)
BUY = Proposal("BTCUSDT", Action.BUY, Decimal("0.02"), 2, Decimal(98_000), Decimal(104_000), justification="it rises")


class House:
    """A bot on a market that stands still, and the proposals it makes."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.market, self.clock = StillMarket(), SimulatedClock(NOON)
        self.proposals: tuple[Proposal, ...] = (BUY,)
        monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": lambda question: self.proposals})
        monkeypatch.setattr(live, "market_for", lambda venue: self.market)
        monkeypatch.setattr(live, "market_clock", lambda venue: self.clock)
        self.bot: Bot = make_bot(model="rules/scripted")
        self.account: Account = self.bot.account

    def run(self, at: datetime = NOON):
        self.clock.move_to(at)
        return cycle_run(bot_id=self.bot.pk, scheduled_for=at)


@pytest.fixture
def house(monkeypatch) -> House:
    return House(monkeypatch)


def test_a_cycle_stores_what_was_seen_decided_ruled_and_done(house):
    run = house.run()
    assert run.status == "done"
    cycle = Cycle.objects.get()
    assert (cycle.status, cycle.stage, cycle.digest != "") == ("done", "publish", True)
    assert len(cycle.timings) == 9
    decision = Decision.objects.get()
    assert (decision.verdict, decision.quantity, decision.leverage) == ("accepted", Decimal("0.02"), 2)
    assert set(Order.objects.values_list("role", flat=True)) == {"entry", "stop", "target"}
    assert set(Order.objects.values_list("decision__symbol", "role")) >= {("BTCUSDT", "entry")}
    assert Fill.objects.get().quantity == Decimal("0.02")
    position = Position.objects.get()
    assert (position.side, position.bracket, position.stop) == ("long", "armed", Decimal(98_000))
    assert position.bot == house.bot
    assert EquityPoint.objects.count() == 1
    assert "it rises" in DiaryEntry.objects.get(kind="decision").text


def test_every_order_tells_its_whole_life_in_events(house):
    house.run()
    entry = Order.objects.get(role="entry")
    assert [event.state for event in entry.events.order_by("sequence")][:2] == ["planned", "sending"]
    assert entry.state == "done"
    assert all(order.events.exists() for order in Order.objects.all())
    assert OrderEvent.objects.filter(order__role="stop").last().state == "live"


def test_books_and_venue_agree_to_the_last_digit(house):
    house.run()
    income = sum((line.amount for line in IncomeEntry.objects.all()), Decimal(0))
    assert income == house.account.paper.wallet == EquityPoint.objects.get().wallet
    assert Position.objects.get().fees == Fill.objects.get().fee


def test_a_candle_is_decided_on_once(house):
    house.run()
    again = cycle_run(bot_id=house.bot.pk, scheduled_for=NOON)
    assert again.status == "skipped"
    assert PaperOrder.objects.filter(type="LIMIT").count() == 1


def test_a_cycle_that_finds_another_one_running_is_on_record_as_skipped(house):
    first = Cycle.objects.create(
        bot=house.bot,
        account=house.account,
        scheduled_for=NOON,
        lease_until=datetime.now(UTC) + timedelta(minutes=1),
    )
    run = house.run(NEXT)
    assert (run.status, Cycle.objects.get(scheduled_for=NEXT).status) == ("skipped", "skipped")
    assert str(first.pk) in run.text


def test_rules_need_no_interaction_and_a_hold_places_nothing(house):
    house.proposals = (Proposal("BTCUSDT", Action.HOLD),)
    house.run()
    assert not Interaction.objects.exists()
    assert not Order.objects.exists()


def test_a_market_that_does_not_answer_fails_the_cycle_with_a_reason_that_is_shown(house):
    def silent(**_: object):
        raise Retryable("the feed is silent")

    house.market.snapshot = silent  # type: ignore[method-assign]
    run = house.run()
    cycle = Cycle.objects.get()
    assert (run.status, cycle.status, cycle.stage) == ("failed", "failed", "snapshot")
    assert "the feed is silent" in cycle.error
    assert "the feed is silent" in DiaryEntry.objects.get().text


def test_a_bug_fails_the_cycle_and_frees_the_account(house):
    def broken(**_: object):
        raise ZeroDivisionError("by nobody")

    house.market.snapshot = broken  # type: ignore[method-assign]
    with pytest.raises(ZeroDivisionError):
        house.run()
    assert Cycle.objects.get().status == "failed"
    house.market = StillMarket()
    assert house.run(NEXT).status == "done"


@pytest.mark.parametrize("fault", [OperationalError, InterfaceError])
def test_a_database_that_goes_away_in_the_middle_is_told_as_such_and_the_next_cycle_goes_on(house, monkeypatch, fault):
    def gone(**_: object):
        raise OperationalError("server closed the connection unexpectedly")

    def still_gone(**_: object):
        raise fault("the connection is closed")

    monkeypatch.setattr(house.market, "snapshot", gone)
    with monkeypatch.context() as patch:
        patch.setattr(live, "cycle_finish", still_gone)
        with pytest.raises(OperationalError, match="server closed"):
            house.run()
    Cycle.objects.update(lease_until=NOON)
    monkeypatch.undo()
    assert Cycle.objects.get().status == "running"


@pytest.mark.parametrize("fault", [OperationalError, InterfaceError])
def test_what_broke_a_cycle_off_among_its_orders_is_told_and_not_that_nobody_could_look_after_it(
    house, monkeypatch, fault
):
    def breaks(world, run):
        world.journal.stage(Stage.EXECUTE)
        raise ZeroDivisionError("by nobody")

    def gone(_: object):
        raise fault("the connection is closed")

    monkeypatch.setattr(live, "run_cycle", breaks)
    monkeypatch.setattr(live, "settle", gone)
    with pytest.raises(ZeroDivisionError):
        house.run()
    assert Cycle.objects.get().status == "failed"


@pytest.mark.parametrize("role", list(Role))
def test_promise_6_a_halt_raises_the_epoch_and_every_older_intent_is_void(house, role):
    journal = OrmJournal(house.account)
    order = NewOrder("vxtest-halted", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, Decimal("0.01"), reduce_only=True)
    Account.objects.filter(pk=house.account.pk).update(epoch=1)  # the state alone is not what voids it
    with pytest.raises(IntentVoid, match="halted"):
        journal.plan(order, role=role)
    assert not Order.objects.exists()


def test_promise_6_a_halt_between_planning_and_sending_keeps_the_order_here(house):
    journal = OrmJournal(house.account)
    order = NewOrder("vxtest-halted", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, Decimal("0.01"), reduce_only=True)
    journal.plan(order, role=Role.CLOSE)
    Account.objects.filter(pk=house.account.pk).update(epoch=1)
    with pytest.raises(IntentVoid, match="halted"):
        journal.sending(order.client_order_id)
    assert Order.objects.get().state == "planned"


@pytest.mark.parametrize("symbol", ["", "BTCUSDT"])
def test_promise_7_a_lock_between_planning_and_sending_keeps_an_entry_here_and_no_close(house, symbol):
    journal = OrmJournal(house.account)
    entry = NewOrder("vxtest-entry", "BTCUSDT", OrderSide.BUY, OrderType.MARKET, Decimal("0.01"))
    close = NewOrder("vxtest-close", "BTCUSDT", OrderSide.SELL, OrderType.MARKET, Decimal("0.01"), reduce_only=True)
    journal.plan(entry, role=Role.ENTRY)
    journal.plan(close, role=Role.CLOSE)
    lock_put(account=house.account, symbol=symbol, kind="loss.day", reason="the day's loss reaches the limit")
    with pytest.raises(EntryBarred, match="the day's loss"):
        journal.sending(entry.client_order_id)
    journal.sending(close.client_order_id)
    assert dict(Order.objects.values_list("role", "state")) == {"entry": "planned", "close": "sending"}


def test_promise_6_a_halt_while_the_model_thinks_voids_what_it_decides(house, monkeypatch):
    def halting(question):
        Account.objects.filter(pk=house.account.pk).update(epoch=1)
        return (BUY,)

    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": halting})
    run = house.run()
    assert run.status == "abandoned"
    assert "halted" in run.text
    assert not PaperOrder.objects.exists()


@pytest.mark.parametrize("status", ["paused", "stopped"])
def test_a_bot_that_is_paused_or_stopped_while_it_decides_does_not_enter(house, monkeypatch, status):
    Bot.objects.filter(pk=house.bot.pk).update(status="running")

    def pressed(question):
        Bot.objects.filter(pk=house.bot.pk).update(status=status)
        return (BUY,)

    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": pressed})
    run = house.run()
    assert run.status == "done"
    assert f"set to {status}" in run.text
    assert not PaperOrder.objects.exists()


def test_an_entry_waits_for_an_order_of_which_nobody_knows_what_became(house):
    Order.objects.create(
        account=house.account,
        client_order_id="vxtest-lost",
        role="entry",
        symbol="BTCUSDT",
        side="BUY",
        type="LIMIT",
        quantity=1,
        price=1,
        state="unknown",
        sent_at=datetime.now(UTC),
    )
    house.run()
    assert not PaperOrder.objects.exists()
    assert "nobody knows yet" in str(Decision.objects.get().hits)


def test_a_lease_that_is_lost_between_fill_and_stop_leaves_no_naked_position(house, monkeypatch):
    original = OrmJournal.plan

    def late(self, order, *, role, **more):
        if role is Role.STOP and self.cycle is not None:
            Cycle.objects.update(lease_until=NOON)
        original(self, order, role=role, **more)

    monkeypatch.setattr(OrmJournal, "plan", late)
    assert house.run().status == "abandoned"
    assert sorted(PaperOrder.objects.filter(status="NEW").values_list("type", flat=True)) == [
        "STOP_MARKET",
        "TAKE_PROFIT_MARKET",
    ]


def test_a_trade_that_comes_late_with_an_earlier_time_is_booked_all_the_same(house):
    house.run()
    paper = house.account.paper
    paper.trades.update(at=NOON - timedelta(days=3))
    Fill.objects.all().delete()
    Position.objects.update(quantity=0, closed=NOON)
    Order.objects.filter(role="stop").first().fills.create(
        account=house.account, symbol="BTCUSDT", exchange_trade_id="x", side="SELL", quantity=1, price=1, fee=0, at=NOON
    )
    guard_run(account_id=house.account.pk)
    assert Fill.objects.filter(order__role="entry").count() == 1


def test_a_fill_on_an_order_that_had_ended_is_booked_and_is_an_incident(house):
    house.run()
    stop = Order.objects.get(role="stop")
    Order.objects.filter(pk=stop.pk).update(state="done", reason="cancelled")
    house.market.price = Decimal(97_000)
    house.clock.move_to(NEXT)
    guard_run(account_id=house.account.pk)
    assert Fill.objects.filter(order=stop).exists()
    assert Incident.objects.filter(kind="order-state", text__contains=stop.client_order_id).exists()


def test_an_account_that_only_reduces_refuses_entries_and_still_closes(house):
    house.run()
    Account.objects.filter(pk=house.account.pk).update(state="reducing", state_reason="an unknown code")
    house.proposals = (Proposal("BTCUSDT", Action.CLOSE), BUY)
    run = house.run(NEXT)
    assert run.status == "done"
    verdicts = list(Decision.objects.filter(cycle__scheduled_for=NEXT).values_list("action", "verdict"))
    assert sorted(verdicts) == [("buy_to_enter", "refused"), ("close_position", "accepted")]
    assert Position.objects.get().exit_reason == "close"


def test_a_lock_keeps_its_symbol_closed_until_it_is_lifted(house):
    lock = Lock.objects.create(account=house.account, symbol="BTCUSDT", reason="three losses in a row")
    house.run()
    assert "three losses in a row" in str(Decision.objects.get().hits)
    lock.lifted = datetime.now(UTC)
    lock.save()
    house.run(NEXT)
    assert Position.objects.exists()


def test_a_position_whose_stop_fires_between_two_cycles_is_booked_by_the_guard(house):
    house.run()
    house.market.price = Decimal(97_000)
    house.clock.move_to(NOON + timedelta(seconds=30))
    assert guard_run(account_id=house.account.pk).clean
    position = Position.objects.get()
    assert (position.exit_reason, position.closed is not None, position.quantity) == ("stop", True, 0)
    assert not PaperOrder.objects.filter(status="NEW").exists()
    assert Order.objects.get(role="target").state == "done"


def test_the_guard_opens_one_incident_while_the_venue_is_silent_and_goes_on_later(house, monkeypatch):
    house.run()
    with monkeypatch.context() as patch:
        patch.setattr(house.market, "quote", lambda *_, **__: (_ for _ in ()).throw(Retryable("silence")))
        house.clock.move_to(NOON + timedelta(seconds=30))
        guard_run(account_id=house.account.pk)
        guard_run(account_id=house.account.pk)
    assert Incident.objects.filter(kind="guard-blind").count() <= 1
    assert guard_run(account_id=house.account.pk) is not None


def test_reconcile_is_on_record_and_agrees_after_an_ordinary_trade(house):
    house.run()
    record = account_reconcile(account_id=house.account.pk, trigger="test")
    assert (record.agreed, record.left) == (True, [])


def test_promise_7_losses_are_in_the_equity_that_is_kept_and_survive_a_restart(house):
    house.run()
    house.market.price = Decimal(97_000)
    house.clock.move_to(NEXT)
    guard_run(account_id=house.account.pk)
    first, last = EquityPoint.objects.order_by("at")[0], EquityPoint.objects.order_by("at").last()
    assert last.equity < first.equity < house.account.starting_balance
    assert last.equity == last.wallet + last.unrealised
    assert last.transfers == house.account.starting_balance


def test_a_bot_knows_how_long_it_has_traded_in_the_time_of_its_market(house, monkeypatch):
    asked = []
    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": lambda question: asked.append(question) or ()})
    house.run()
    house.run(NEXT)
    assert [question.snapshot.at - question.started_at for question in asked] == [timedelta(0), timedelta(minutes=3)]


@pytest.mark.parametrize("jump", [timedelta(hours=-2), timedelta(seconds=-90), timedelta(hours=9)])
def test_a_clock_that_jumps_gives_one_cycle_a_candle_and_no_lost_or_double_order(house, jump):
    house.run(slot_at(house.clock.now(), "3m"))
    for moment in (NOON + jump, NOON, NEXT):  # the clock jumps, is set right again, and goes on
        house.clock = SimulatedClock(moment)
        cycle_run(bot_id=house.bot.pk, scheduled_for=slot_at(moment, "3m"))
    assert PaperOrder.objects.filter(type="LIMIT").count() == 1
    assert sorted(PaperOrder.objects.filter(status="NEW").values_list("type", flat=True)) == [
        "STOP_MARKET",
        "TAKE_PROFIT_MARKET",
    ]
    assert Position.objects.get(closed=None).quantity == Decimal("0.02")
    slots = list(Cycle.objects.values_list("scheduled_for", flat=True))
    assert len(slots) == len(set(slots))
    assert account_reconcile(account_id=house.account.pk, trigger="test").agreed


@pytest.mark.postgres
def test_no_connection_to_the_server_is_held_while_who_decides_is_waited_for(house, monkeypatch):
    """One that is, is missing in the pool for half a minute; sixteen cycles at once would leave nothing to anybody else."""
    held = []

    def asked(question):
        held.append(connection.connection)
        return ()

    monkeypatch.setattr(rules, "RULES", {**rules.RULES, "scripted": asked})
    assert house.run().status == "done"
    assert held == [None]
