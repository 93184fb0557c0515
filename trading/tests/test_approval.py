"""Entries of a bot that asks wait for a person; closes never do. An approval is used once, in time, and ruled again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D

import pytest
from django.db import OperationalError

from accounts.models import Account, Alert, AuditEntry, User
from decisions.models import Approval, Cycle, Decision, DiaryEntry
from decisions.selectors import feedback_for
from trading.models import Order, Position
from trading.services import waiting
from trading.services.approval import decision_reject
from trading.services.backtest.notes import unasked_told
from trading.services.cycle import run_cycle
from trading.services.halt import halt_latch
from trading.services.live import cycle_run
from trading.services.schedule import bot_pause, bot_start, bot_stop
from trading.services.standing import account_reduce
from trading.services.waiting import approvals_sweep
from trading.tests.approval_kit import BUY, CLOSE, NEXT, SELL, AskingHouse, asking_house, staff
from trading.tests.builders import make_account
from trading.tests.test_execution import RUN
from trading.tests.venue_support import NOON, make_desk
from vibex.lib.errors import Rejected, Retryable

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def house(monkeypatch) -> AskingHouse:
    made = asking_house(monkeypatch)
    limits = made.account.limits
    limits.cooldown_minutes = limits.min_hold_minutes = 0
    limits.save()
    return made


def test_an_entry_waits_on_record_and_nothing_is_sent(house):
    run = house.run(BUY)
    assert (run.status, house.cycles(), house.states()) == ("awaiting", ["awaiting"], ["awaiting"])
    decision = Decision.objects.get()
    assert (decision.verdict, decision.quantity) == ("accepted", D("0.02"))
    assert Approval.objects.get().until == NEXT
    assert not Order.objects.exists()
    cycle = Cycle.objects.get()
    assert (cycle.stage, len(cycle.timings)) == ("publish", 9)


def test_its_owner_is_told_what_it_wants_to_do(house):
    house.run(BUY)
    alert = Alert.objects.get(type="approval-waiting")
    assert (alert.user, alert.bot) == (house.owner, house.bot)
    for told in (
        "buy 0.02 BTCUSDT near 100,000 at 2×",
        "stop 98,000",
        "target 104,000",
        "40.00 USDT at risk",
        "12:03:00",
    ):
        assert told in alert.message


def test_a_cycle_ends_and_its_entry_waits_also_when_nobody_can_be_told_of_it(house, monkeypatch):
    def broken(**_: object):
        raise OperationalError("deadlock detected")

    monkeypatch.setattr(waiting, "alert_raise", broken)
    assert house.run(BUY).status == "awaiting"
    assert (house.cycles(), house.states()) == (["awaiting"], ["awaiting"])


def test_each_entry_that_waits_is_told_by_itself(house):
    house.run(BUY)
    house.run(BUY, at=NEXT)
    assert Alert.objects.filter(type="approval-waiting").count() == 2


def test_what_was_approved_is_ruled_anew_into_a_decision_of_its_own_and_carried_out(house):
    house.run(BUY)
    first = Decision.objects.get()
    before = Decision.objects.filter(pk=first.pk).values().get()
    house.later(30)
    answered = house.approve()
    again = Decision.objects.get(approved_from__decision=first)
    assert answered.decision == again
    assert (again.cycle, again.kind, again.sequence) == (first.cycle, "live", 1)
    assert Decision.objects.filter(pk=first.pk).values().get() == before, "the old ruling was edited"
    assert (house.held(), Position.objects.get().bracket) == (D("0.02"), "armed")
    assert Order.objects.get(role="entry").decision == again
    assert (house.states(), house.cycles()) == (["approved"], ["done"])
    approval = Approval.objects.get()
    assert approval.by == house.owner
    assert "long 0.02" in answered.text


def test_what_the_cycle_saw_and_how_long_it_took_stays_as_it_was(house):
    house.run(BUY)
    kept = ("digest", "seen", "timings", "stage")
    before = Cycle.objects.values(*kept).get()
    house.market.price = D(100_500)
    house.later(30)
    house.approve()
    assert Cycle.objects.values(*kept).get() == before


def test_nobody_asks_the_bot_anew(house):
    house.run(BUY)
    house.approve()
    assert len(house.seen) == 1


def test_the_price_of_now_decides_and_a_stop_that_it_has_passed_refuses(house):
    house.run(BUY)
    house.market.price = D(97_000)
    house.later(30)
    answered = house.approve()
    assert answered.decision is not None
    assert (answered.decision.verdict, house.entries(), house.cycles()) == ("refused", 0, ["done"])
    assert "stop.side" in answered.decision.rule_ids
    assert answered.text.startswith("Refused at the price of now: The stop")


def test_limits_of_today_decide(house):
    house.run(BUY)
    limits = house.account.limits
    limits.max_leverage = 1
    limits.save()
    answered = house.approve()
    assert answered.decision is not None
    assert answered.decision.rule_ids == ["leverage.cap"]


def test_what_is_smaller_now_is_reduced(house):
    house.run(BUY)
    limits = house.account.limits
    limits.risk_per_trade = D("0.002")  # 20 USDT over a distance of about 2,000
    limits.save()
    answered = house.approve()
    assert answered.decision is not None
    assert answered.decision.verdict == "reduced"
    assert 0 < house.held() < D("0.02")


def test_no_more_than_what_was_allowed_at_first_ever_comes_out(house):
    limits = house.account.limits
    limits.risk_per_trade = D("0.002")
    limits.save()
    house.run(BUY)
    allowed = Decision.objects.get().quantity
    limits.risk_per_trade = D("0.01")
    limits.save()
    answered = house.approve()
    assert allowed is not None
    assert allowed < D("0.02")
    assert answered.decision is not None
    assert answered.decision.asked_quantity == D("0.02"), "it is the original proposal that is ruled"
    assert (answered.decision.quantity, house.held()) == (allowed, allowed)
    assert answered.decision.rule_ids == ["approval.size"]


def test_it_is_used_once(house):
    house.run(BUY)
    decision = house.asked()
    house.approve(decision)
    with pytest.raises(Rejected, match="approved already, by paper@example") as refused:
        house.approve(decision)
    assert refused.value.code == "approved"
    with pytest.raises(Rejected, match="approved already"):
        decision_reject(decision=decision, actor=house.owner)
    assert house.entries() == 1


def test_a_rejected_one_is_not_done_and_can_be_approved_no_more(house):
    house.run(BUY)
    decision_reject(decision=house.asked(), actor=house.owner, reason="too late in the day")
    assert (house.states(), house.cycles()) == (["rejected"], ["done"])
    with pytest.raises(Rejected, match="rejected already"):
        house.approve()
    assert house.entries() == 0
    entry = AuditEntry.objects.get(action="decision-reject")
    assert (entry.actor, entry.after) == (house.owner, {"reason": "too late in the day"})
    assert DiaryEntry.objects.filter(text__contains="too late in the day").exists()


@pytest.mark.parametrize("late", [timedelta(minutes=3), timedelta(minutes=3, seconds=40)])
def test_after_its_time_nothing_is_done_also_when_nobody_swept(house, late):
    house.run(BUY)
    house.clock.move_to(NOON + late)
    with pytest.raises(Rejected, match="Nobody answered before 12:03:00") as refused:
        house.approve()
    assert refused.value.code == "expired"
    assert (house.states(), house.cycles(), house.entries()) == (["expired"], ["done"], 0)


def test_the_last_second_is_in_time(house):
    house.run(BUY)
    house.clock.move_to(NEXT - timedelta(seconds=1))
    house.approve()
    assert house.held() == D("0.02")


def test_a_sweep_ends_what_nobody_answered(house):
    house.run(BUY)
    assert approvals_sweep() == 0
    house.clock.move_to(NEXT)
    assert approvals_sweep() == 1
    assert (house.states(), house.cycles()) == (["expired"], ["done"])
    assert approvals_sweep() == 0


def test_the_next_decision_ends_what_waits_from_the_one_before(house):
    house.run(BUY)
    house.run(BUY, at=NEXT)
    assert (house.states(), house.cycles()) == (["expired", "awaiting"], ["done", "awaiting"])
    first = Decision.objects.order_by("pk")[0]
    with pytest.raises(Rejected, match="before the next decision"):
        house.approve(first)
    house.approve()
    assert house.held() == D("0.02")


def test_one_that_a_newer_cycle_has_overtaken_is_not_used_even_if_it_was_left_waiting(house):
    house.run(BUY)
    Cycle.objects.create(
        bot=house.bot,
        account=house.bot.account,
        scheduled_for=NOON + timedelta(minutes=1),
        status="skipped",
        lease_until=NOON,
    )
    with pytest.raises(Rejected, match="decided again since"):
        house.approve()
    assert house.entries() == 0


@pytest.mark.parametrize(
    ("act", "told"), [(bot_pause, "The bot was paused"), (bot_stop, "The bot was stopped")], ids=["pause", "stop"]
)
def test_pausing_or_stopping_the_bot_voids_what_waits(house, act, told):
    house.run(BUY)
    act(bot=house.bot, actor=house.owner)
    assert (house.states(), house.cycles()) == (["void"], ["done"])
    bot_start(bot=house.bot, actor=house.owner)
    with pytest.raises(Rejected, match=told):
        house.approve()
    assert house.entries() == 0


@pytest.mark.parametrize("act", [bot_pause, bot_stop], ids=["pause", "stop"])
def test_a_bot_that_was_paused_or_stopped_since_is_noticed_also_when_nothing_was_voided(house, monkeypatch, act):
    house.run(BUY)
    monkeypatch.setattr("trading.services.schedule.approvals_void", lambda **_: 0)
    act(bot=house.bot, actor=house.owner)
    assert house.states() == ["awaiting"]
    with pytest.raises(Rejected, match="The bot was"):
        house.approve()
    assert (house.states(), house.entries()) == (["void"], 0)


def test_a_stopped_bot_that_a_person_lets_decide_can_be_approved(monkeypatch):
    house = asking_house(monkeypatch, status="stopped")
    house.run(BUY)
    house.approve()
    assert house.held() == D("0.02")


def test_a_halt_voids_what_waits(house):
    house.run(BUY)
    halt_latch(account=house.account, reason="enough")
    assert (house.states(), house.cycles()) == (["void"], ["done"])
    with pytest.raises(Rejected, match="halted") as refused:
        house.approve()
    assert refused.value.code == "void"


@pytest.mark.parametrize("state", [Account.State.HALTED, Account.State.ACTIVE])
def test_a_halt_is_noticed_also_when_nothing_was_voided_and_it_was_lifted_again(house, monkeypatch, state):
    house.run(BUY)
    monkeypatch.setattr("trading.services.halt.approvals_void", lambda **_: 0)
    halt_latch(account=house.account, reason="enough")
    Account.objects.update(state=state)
    assert house.states() == ["awaiting"]
    with pytest.raises(Rejected, match="halted"):
        house.approve()
    assert (house.states(), house.entries()) == (["void"], 0)


def test_what_the_account_may_not_do_now_is_ruled_so(house):
    house.run(BUY)
    account_reduce(account=house.account, reason="a difference")
    answered = house.approve()
    assert answered.decision is not None
    assert answered.decision.rule_ids == ["account.state"]


def test_only_the_owner_answers_or_staff_with_the_permission(house):
    house.run(BUY)
    stranger = User.objects.create_user("stranger@example.com", "correct horse battery")
    clerk = staff("clerk@example.com", may=False)
    for person in (stranger, clerk):
        with pytest.raises(Rejected, match="Only the owner") as refused:
            house.approve(actor=person)
        assert refused.value.code == "not_yours"
        with pytest.raises(Rejected):
            decision_reject(decision=house.asked(), actor=person)
    house.approve(actor=staff("operator@example.com", may=True))
    assert house.held() == D("0.02")


def test_a_decision_that_never_waited_cannot_be_approved(house):
    house.run(CLOSE)
    with pytest.raises(Rejected, match="does not wait"):
        house.approve(Decision.objects.get())


def test_closes_never_wait(house):
    house.run(BUY)
    house.approve()
    run = house.run(CLOSE, at=NEXT)
    assert (run.status, house.held()) == ("done", 0)
    assert Approval.objects.count() == 1


def test_of_a_reversal_the_close_is_done_and_the_entry_waits(house):
    house.run(BUY)
    house.approve()
    run = house.run(CLOSE, SELL, at=NEXT)
    assert (run.status, house.held()) == ("awaiting", 0)
    assert house.states() == ["approved", "awaiting"]
    house.later(30)
    house.approve()
    assert house.held() == D("-0.02")


def test_an_entry_after_a_close_that_failed_does_not_wait(house, monkeypatch):
    house.run(BUY)
    house.approve()
    monkeypatch.setattr("trading.services.execution.flatten", lambda *_, **__: False)
    run = house.run(CLOSE, SELL, at=NEXT)
    assert (run.status, house.cycles(), house.states()) == ("done", ["done", "done"], ["approved", "void"])
    assert "could not be closed" in run.text


def test_what_risk_refuses_or_holds_waits_for_nobody(house):
    run = house.run(replace(BUY, leverage=9))
    assert (run.status, house.states()) == ("done", [])


def test_a_bot_that_does_not_ask_enters_at_once(monkeypatch):
    house = asking_house(monkeypatch, approval=False)
    assert house.run(BUY).status == "done"
    assert (house.states(), house.held()) == ([], D("0.02"))


def test_a_waiting_cycle_is_in_nobodys_way(house):
    house.run(BUY)
    assert house.run(replace(BUY, leverage=9), at=NEXT).status == "done"


def test_while_another_cycle_of_the_account_runs_nothing_is_used_up(house):
    house.run(BUY)
    running = Cycle.objects.create(
        bot=house.bot,
        account=house.bot.account,
        scheduled_for=NOON - timedelta(minutes=3),
        lease_until=NOON + timedelta(days=999),
    )
    with pytest.raises(Rejected, match="at work just now") as refused:
        house.approve()
    assert (refused.value.code, house.states()) == ("busy", ["awaiting"])
    Cycle.objects.filter(pk=running.pk).update(status="done")
    house.approve()
    assert house.held() == D("0.02")


def test_several_entries_wait_each_for_itself(monkeypatch):
    house = asking_house(monkeypatch, symbols=["BTCUSDT", "ETHUSDT"])
    eth = replace(BUY, symbol="ETHUSDT")
    house.run(BUY, eth)
    first, second = Decision.objects.order_by("sequence")
    house.approve(first)
    assert (house.states(), house.cycles()) == (["approved", "awaiting"], ["awaiting"])
    decision_reject(decision=second, actor=house.owner)
    assert (house.states(), house.cycles()) == (["approved", "rejected"], ["done"])
    assert [row.sequence for row in Decision.objects.order_by("pk")] == [0, 1, 2]


def test_a_market_that_does_not_answer_uses_the_approval_up_and_says_so(house, monkeypatch):
    def silent(**_: object):
        raise Retryable("the feed is silent")

    house.run(BUY)
    monkeypatch.setattr(house.market, "snapshot", silent)
    answered = house.approve()
    assert (answered.decision, house.states(), house.cycles()) == (None, ["approved"], ["failed"])
    assert "the feed is silent" in answered.text
    assert house.entries() == 0


def test_a_market_that_does_not_answer_takes_nothing_from_the_other_entries(monkeypatch):
    house = asking_house(monkeypatch, symbols=["BTCUSDT", "ETHUSDT"])
    house.run(BUY, replace(BUY, symbol="ETHUSDT"))
    first, second = Decision.objects.order_by("sequence")
    with monkeypatch.context() as patch:
        patch.setattr(house.market, "quote", lambda *_, **__: (_ for _ in ()).throw(Retryable("silent")))
        house.approve(first)
    assert house.cycles() == ["awaiting"]
    house.approve(second)
    assert house.cycles() in (["done"], ["failed"])


def test_a_cycle_that_broke_off_leaves_nothing_to_approve(house, monkeypatch):
    def broken(*_: object, **__: object):
        raise Retryable("gone")

    monkeypatch.setattr("trading.services.cycle._after", broken)
    assert house.run(BUY).status == "failed"
    assert house.states() == ["void"]
    assert not Alert.objects.filter(type="approval-waiting").exists()


def test_a_cycle_that_was_abandoned_leaves_nothing_to_approve(house):
    house.run(BUY)
    Cycle.objects.update(status="abandoned")
    with pytest.raises(Rejected, match="ended as abandoned"):
        house.approve()
    assert house.states() == ["void"]


def test_the_model_is_told_what_became_of_what_it_asked_for(house):
    house.run(BUY)
    decision_reject(decision=house.asked(), actor=house.owner, reason="not before the news")
    house.run(BUY, at=NEXT)
    house.run(BUY, at=NEXT + timedelta(minutes=3))
    assert "outcome: waited for approval: not answered yet" in feedback_for(house.bot)[-1].reasons
    house.approve()
    told = [one.reasons[0] for one in feedback_for(house.bot)]
    assert told[0] == "outcome: waited for approval: rejected: not before the news"
    assert told[1].startswith("outcome: waited for approval: expired: Nobody answered")
    assert told[2] == "outcome: waited for approval: approved and accepted at the price of that moment"
    assert told[3].startswith("outcome: long 0.02 at")
    assert len(told) == 4


def test_the_model_is_told_when_what_was_approved_was_refused(house):
    house.run(BUY)
    house.market.price = D(97_000)
    house.approve()
    first, again = feedback_for(house.bot)
    assert first.reasons[0].startswith(
        "outcome: waited for approval: approved and refused at the price of that moment: The stop"
    )
    assert again.verdict == "refused"


def test_a_cycle_of_another_account_changes_nothing(house, monkeypatch):
    house.run(BUY)
    other = make_account("other")
    waiting.approvals_void(account=other, reason="not ours")
    assert house.states() == ["awaiting"]


def test_a_person_lets_a_bot_decide_again_and_what_waited_is_over(house):
    house.run(BUY)
    cycle_run(bot_id=house.bot.pk, scheduled_for=NOON + timedelta(microseconds=1))
    assert house.states() == ["expired", "awaiting"]


def test_a_backtest_carries_it_out_as_if_it_was_approved_at_once():
    """The journal of a backtest has nobody to ask, and counts what would have waited."""
    desk = make_desk(lambda question: (BUY,) if not question.portfolio.positions else ())
    run_cycle(desk.world, replace(RUN, approval=True))
    assert desk.exchange.inner.account().position("BTCUSDT") is not None
    assert desk.journal.unasked == 1
    assert "1 entries would have waited" in next(unasked_told(desk.journal))
