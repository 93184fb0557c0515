"""Loss limits at work: every point of equity carries the watch on, a limit locks once, and only a person unlocks."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import OperationalError

from accounts.domain.limits import DEFAULTS
from accounts.models import Account, Alert, AuditEntry, Incident, RiskLimits, User
from decisions.domain.proposal import Action, Proposal, Side
from trading.domain.losses import day_loss, drawdown
from trading.domain.venue import AccountState, Income, IncomeKind, OrderSide, Trade, VenuePosition
from trading.models import EquityPoint, IncomeEntry, Lock, LossWatch
from trading.selectors.losses import losses_of, watch_of
from trading.services import standing
from trading.services.cycle import run_cycle
from trading.services.fills import trades_book
from trading.services.journal.memory import MemoryJournal
from trading.services.journal.orm import OrmJournal
from trading.services.live import standing_of
from trading.services.losses import Checked, losses_check
from trading.services.standing import lock_lift, lock_put
from trading.tests.builders import make_account, make_bot
from trading.tests.test_execution import RUN
from trading.tests.venue_support import NOON, make_desk
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db(transaction=True)
LIMITS = replace(DEFAULTS, daily_loss=D("0.03"), max_drawdown=D("0.15"))
BUY = Proposal("BTCUSDT", Action.BUY, D("0.02"), 2, D(98_000), D(104_000), confidence=0.9)


@pytest.fixture
def account() -> Account:
    account = make_account()
    deposit(account, 10_000)
    return account


def deposit(account: Account, amount: object, *, kind: str = "TRANSFER", **more: str) -> None:
    number = IncomeEntry.objects.count()
    line = {"kind": kind, "transaction_id": str(number), "amount": D(str(amount)), "at": NOON, **more}
    IncomeEntry.objects.create(account=account, **line)


def stated(wallet: object, unrealised: object = 0, *, minutes: float = 0, **more: object) -> AccountState:
    wallet, unrealised = D(str(wallet)), D(str(unrealised))
    return AccountState(NOON + timedelta(minutes=minutes), wallet, unrealised, D(0), wallet, **more)


def put(account: Account, *states: AccountState) -> LossWatch:
    for state in states:
        OrmJournal(account).equity(state)
    return LossWatch.objects.get(account=account)


def check(account: Account, state: AccountState, limits=LIMITS) -> Checked:
    """As the guard does: a point, then the limits. The world's exchange is not asked."""
    world = replace(make_desk().world, journal=OrmJournal(account))
    world.journal.equity(state)
    return losses_check(world, limits, state)


# -- points and the watch --------------------------------------------------------------------------------------------


def test_a_ledger_that_was_added_up_before_counts_only_for_a_wallet_that_agrees_with_it(account):
    journal = OrmJournal(account)
    assert journal.ledger_total() == 10_000
    journal.equity(stated(10_000))
    assert EquityPoint.objects.get().transfers == 10_000
    assert journal.ledger_total() == 10_000
    deposit(account, 500)  # another process copies a line between the sum and the point
    journal.equity(stated(10_500, minutes=1))
    assert EquityPoint.objects.latest("at").transfers == 10_500
    assert journal.ledger_total() == 10_500
    journal.book_income([Income("new", IncomeKind.TRANSFER, "", D(70), NOON)])
    journal.equity(stated(10_570, minutes=2))
    assert EquityPoint.objects.latest("at").transfers == 10_570


def test_a_point_and_the_watch_are_written_together(account):
    watch = put(account, stated(10_000), stated(10_000, -250, minutes=1))
    assert EquityPoint.objects.count() == 2
    assert day_loss(watch_of(account)) == D("0.025")
    assert (watch.equity, watch.transfers, watch.at) == (9_750, 10_000, NOON + timedelta(minutes=1))


def test_a_point_of_the_same_moment_replaces_and_an_older_one_leaves_the_watch(account):
    put(account, stated(10_000), stated(10_000, -100, minutes=2))
    again = put(account, stated(10_000, -200, minutes=2), stated(10_000, -200, minutes=2))
    assert (again.equity, again.unit) == (9_800, D("0.98"))
    late = put(account, stated(10_000, -9_000, minutes=1))
    assert (late.equity, late.unit) == (9_800, D("0.98"))
    assert EquityPoint.objects.count() == 3


def test_the_watch_is_the_same_from_memory_and_from_the_books(account):
    memory = MemoryJournal()
    memory.book_income([Income("0", IncomeKind.TRANSFER, "", D(10_000), NOON)])
    states = [stated(10_000, 40 * n - n * n, minutes=90 * n) for n in range(20)]
    for state in (*states, states[7]):
        memory.equity(state)
        put(account, state)
    assert memory.watch() == watch_of(account)
    assert drawdown(memory.watch()) == 0


def test_money_whose_line_is_still_to_come_is_neither_profit_nor_loss(account):
    put(account, stated(10_000))
    early = put(account, stated(10_500, minutes=1))
    assert (early.unit, early.peak, early.transfers) == (1, 1, 10_500)
    deposit(account, 500)
    told = put(account, stated(10_500, minutes=2))
    assert (told.unit, told.peak) == (1, 1)
    gone = put(account, stated(9_000, minutes=3))
    assert gone.unit == 1
    deposit(account, -1_500)
    assert put(account, stated(9_000, minutes=4)).unit == 1
    deposit(account, -90, kind="REALIZED_PNL")
    assert put(account, stated(8_910, minutes=5)).unit == D("0.99")


@pytest.mark.parametrize("result", [1_000, -1_000])
def test_what_a_booked_fill_brought_is_profit_or_loss_also_before_its_lines_are_there(account, result):
    put(account, stated(10_000), stated(10_000, result, minutes=1))
    trade = Trade("7", "x", "7", "BTCUSDT", OrderSide.SELL, D(1), D(100), D(5), D(result), False, NOON)
    trades_book(account=account, trades=[trade])
    wallet = D(9_995 + result)
    early = put(account, stated(wallet, minutes=2))
    assert (early.transfers, early.unit) == (10_000, wallet / 10_000)
    deposit(account, -5, kind="COMMISSION", trade_id="7")
    assert put(account, stated(wallet, minutes=3)).unit == early.unit
    paid_in = put(account, stated(wallet + 500, minutes=4))  # nobody can tell which is which now
    assert paid_in.transfers == 10_000 + result + 500
    deposit(account, result, kind="REALIZED_PNL", trade_id="7")
    told = put(account, stated(wallet, minutes=5))
    assert told.transfers == 10_000


@pytest.mark.parametrize("kind", ["ledger-mismatch", "books-behind"])
def test_a_wallet_that_stays_below_its_ledger_has_lost_once_a_person_was_told(account, kind):
    put(account, stated(10_000))
    assert put(account, stated(9_000, minutes=1)).unit == 1
    Incident.objects.create(account=account, kind=kind, text="it differs")
    assert D("0.88") < put(account, stated(9_000, minutes=2)).unit <= D("0.9")


def test_a_changed_time_zone_counts_from_the_next_day(account):
    put(account, stated(10_000))
    Account.objects.update(time_zone="Asia/Tokyo")
    account.refresh_from_db()
    assert put(account, stated(9_990, minutes=60)).zone == "UTC"
    assert put(account, stated(9_980, minutes=60 * 12)).zone == "Asia/Tokyo"


def test_it_costs_few_queries(account, django_assert_max_num_queries):
    put(account, stated(10_000))
    journal = OrmJournal(account)
    with django_assert_max_num_queries(6):  # BEGIN, sums, point, watch, watch, COMMIT
        journal.equity(stated(10_000, -1, minutes=1))
    with django_assert_max_num_queries(0):
        journal.watch()


# -- limits and locks ------------------------------------------------------------------------------------------------


def test_a_limit_that_is_reached_locks_once_and_tells_once(account):
    put(account, stated(10_000))
    first = check(account, stated(10_000, -300, minutes=1))
    second = check(account, stated(10_000, -400, minutes=2))
    (lock,) = Lock.objects.all()
    assert (lock.kind, lock.symbol, lock.until) == ("loss.day", "", None)
    assert (D(lock.data["loss"]), D(lock.data["limit"])) == (D("0.03"), D("0.03"))
    assert first.reasons == second.reasons == (lock.reason,)
    alert = Alert.objects.get(type="limit-reached")
    assert alert.severity == "critical"
    assert "3.00 %" in alert.message


def test_a_lock_is_put_also_when_nobody_can_be_told_of_it(account, monkeypatch):
    def broken(**_: object):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(standing, "alert_raise", broken)
    put(account, stated(10_000))
    assert check(account, stated(10_000, -300, minutes=1)).reasons
    assert Lock.objects.get().kind == "loss.day"


def test_a_lock_outlives_its_loss_the_day_and_a_raised_limit(account):
    put(account, stated(10_000))
    check(account, stated(10_000, -300, minutes=1))
    check(account, stated(10_000, 500, minutes=60 * 48), replace(LIMITS, daily_loss=D("0.5")))
    bot = make_bot(account=account)
    assert "3.00 %" in standing_of(account, bot).blocked[""]


def test_reasons_of_several_locks_stand_side_by_side(account):
    lock_put(account=account, symbol="", reason="a streak", kind="model.streak")
    put(account, stated(10_000))
    check(account, stated(10_000, -1_500, minutes=1))
    said = standing_of(account, make_bot(account=account)).blocked[""]
    assert said.count("; ") == 2
    assert said.startswith("a streak; the day's loss of 15.00 %")
    assert Checked(stated(1), ("the day's loss", "b")).barring({"": "x", "BTCUSDT": "y"}) == {
        "": "x; the day's loss; b",
        "BTCUSDT": "y",
    }


def test_while_losses_are_counted_up_to_a_moment_still_to_come_nothing_is_opened(account):
    put(account, stated(10_000, minutes=60))
    assert check(account, stated(10_000, minutes=55)).reasons == ()
    (reason,) = check(account, stated(10_000, -5_000, minutes=54)).reasons
    assert reason.startswith("the clock was put back")
    assert not Lock.objects.exists(), "by itself it is over when that moment has come"
    assert "50.00 %" in check(account, stated(10_000, -5_000, minutes=61)).reasons[0]


@pytest.mark.parametrize("what", ["wallet", "mark", "profit"])
def test_an_equity_that_is_not_known_blocks_and_changes_nothing_else(account, what):
    put(account, stated(10_000))
    check(account, stated(10_000, -300, minutes=1))
    before, points = LossWatch.objects.values().get(), EquityPoint.objects.count()
    held = VenuePosition("BTCUSDT", Side.LONG, D(1), D(1), D(1), 1, D(0), D(1))
    unsure = {
        "wallet": stated("NaN", minutes=2),
        "mark": stated(10_000, minutes=2, positions=(replace(held, mark_price=D("NaN")),)),
        "profit": stated(10_000, "NaN", minutes=2, positions=(replace(held, unrealised=D("NaN")),)),
    }[what]
    found = check(account, unsure)
    assert "not known" in found.reasons[0]
    assert (LossWatch.objects.values().get(), EquityPoint.objects.count()) == (before, points)
    assert Lock.objects.get().lifted is None
    assert Incident.objects.get(kind="guard-blind").data["subject"] == "equity"


def test_the_lock_bars_the_entries_of_the_cycle_that_finds_it():
    desk = make_desk(lambda question: (BUY,))
    run_cycle(desk.world, RUN)
    assert [position.symbol for position in desk.journal.positions()] == ["BTCUSDT"]
    desk.clock.move_to(NOON + timedelta(hours=1))
    desk.at(98_500)  # 30 USDT of 10,000
    limits = replace(LIMITS, daily_loss=D("0.003"), pyramiding=True)
    result = run_cycle(desk.world, replace(RUN, limits=limits))
    (hit,) = (hit for hit in result.rulings[0].hits if hit.rule == "standing.blocked")
    assert "0.30 %" in hit.text
    assert desk.journal.positions()[0].quantity == D("0.02")


def test_everything_is_closed_before_the_ruling_where_the_limits_say_so():
    desk = make_desk(lambda question: (BUY,))
    run_cycle(desk.world, RUN)
    desk.clock.move_to(NOON + timedelta(hours=1))
    desk.at(98_500)
    result = run_cycle(desk.world, replace(RUN, limits=replace(LIMITS, daily_loss=D("0.003"), flatten_on_loss=True)))
    assert result.portfolio.positions == ()
    assert (desk.journal.positions(), desk.exchange.account().orders) == ([], ())
    assert desk.journal.closed[-1].exit_reason == "loss"


# -- lifting ---------------------------------------------------------------------------------------------------------


def lift(account: Account, kind: str) -> AuditEntry:
    actor, _ = User.objects.get_or_create(email="op@example.com")
    assert lock_lift(lock=Lock.objects.get(account=account, kind=kind, lifted=None), actor=actor)
    return AuditEntry.objects.filter(action="lock-lift").latest("pk")


def test_after_a_lift_the_day_counts_from_now(account):
    put(account, stated(10_000))
    check(account, stated(10_000, -300, minutes=1))
    record = lift(account, "loss.day")
    assert D(record.after["day_equity"]) == 9_700
    assert record.before["kind"] == "loss.day"
    assert check(account, stated(10_000, -590, minutes=2)).reasons == ()
    assert check(account, stated(10_000, -591, minutes=3)).reasons != ()


def test_after_a_lift_the_drawdown_counts_from_now(account):
    loose = replace(LIMITS, daily_loss=D("0.14"), max_drawdown=D("0.15"))
    put(account, stated(10_000), stated(10_000, 2_000, minutes=1), stated(10_000, 1_999, minutes=60 * 24))
    check(account, stated(10_000, 200, minutes=60 * 24 + 1), replace(loose, daily_loss=D("0.9")))
    lift(account, "loss.drawdown")
    assert losses_of(account).drawdown == 0
    assert check(account, stated(10_000, 190, minutes=60 * 24 + 2), replace(loose, daily_loss=D("0.9"))).reasons == ()


def test_the_floor_is_not_lifted_below_it(account):
    RiskLimits.objects.update(equity_floor=D(9_900))
    limits = replace(LIMITS, equity_floor=D(9_900))
    put(account, stated(10_000))
    check(account, stated(10_000, -150, minutes=1), limits)
    with pytest.raises(Rejected, match="still below the floor"):
        lift(account, "loss.floor")
    assert Lock.objects.get().lifted is None
    RiskLimits.objects.update(equity_floor=D(9_800))
    lift(account, "loss.floor")


def test_a_lock_of_another_kind_is_lifted_as_before(account):
    put(account, stated(10_000))
    lock_put(account=account, symbol="BTCUSDT", reason="by hand")
    before = LossWatch.objects.values().get()
    record = lift(account, "")
    assert (record.after, LossWatch.objects.values().get()) == ({}, before)


def test_losses_are_told_with_limits_and_locks(account):
    assert losses_of(account) is None
    put(account, stated(10_000))
    check(account, stated(10_000, -300, minutes=1))
    told = losses_of(account)
    assert (told.day_loss, told.day_lost, told.day_lost_limit) == (D("0.03"), 300, 300)
    assert (told.drawdown, told.drawdown_lost, told.drawdown_lost_limit) == (D("0.03"), 300, 1_500)
    assert (told.floor, told.flattens, [lock.kind for lock in told.locks]) == (None, False, ["loss.day"])
