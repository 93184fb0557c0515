"""A person's answer to an entry that waits: once, in time, and by everything that is known now.

Using an approval up is one transaction in our own database. What follows reaches the exchange after its commit, by the
steps and under the lease of any cycle: a crash in between leaves the approval used, and the order machine finds out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import Account, Bot, User
from accounts.services import audit_write
from decisions.approvals import may_answer_for_others
from decisions.models import Approval, Cycle, Decision
from trading.domain.approval import over
from trading.selectors.approvals import market_now
from trading.services.execution import Done
from trading.services.lease import cycle_retake, cycles_abandon
from trading.services.live import CycleRun, approval_run
from trading.services.waiting import (
    approval_end,
    approval_note,
    cycle_settle,
    facts_of,
    waiting_rows,
)
from vibex.lib.errors import Rejected

State = Approval.State


@dataclass(frozen=True, slots=True)
class Answered:
    """What an approval came to. `decision` is the new ruling; None when it ended before it was ruled again."""

    approval: Approval
    decision: Decision | None
    done: tuple[Done, ...]
    text: str


def decision_approve(*, decision: Decision, actor: User) -> Answered:
    """Let an entry that waits be ruled again at the price of now and, as far as risk allows it, be carried out.

    Raises Rejected when somebody else has to answer, and when it can be approved no more: it was answered or has ended,
    the account was halted, the bot paused or stopped, or it has decided again. The code says which.
    """
    _refuse_strangers(decision, actor)
    cycles_abandon(account_id=decision.bot.account_id, before=datetime.now(UTC))
    approval, bot, cycle = _use_up(decision, actor)
    run = approval_run(approval=approval, bot=bot, cycle=cycle)
    again = Decision.objects.filter(approved_from=approval).first()
    done = tuple(run.result.done) if run.result else ()
    return Answered(approval, again, done, _told(run, again))


def decision_reject(*, decision: Decision, actor: User, reason: str = "") -> Approval:
    """Let an entry that waits not be done. Raises Rejected as above."""
    _refuse_strangers(decision, actor)
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=decision.bot.account_id)
        approval = _waiting(decision)
        _answer(approval, State.REJECTED, actor, reason.strip())
        cycle_settle(approval)
        approval_note(approval, f"rejected by {actor}{f': {reason.strip()}' if reason.strip() else '.'}")
    return approval


def _refuse_strangers(decision: Decision, actor: User) -> None:
    if decision.bot.account.owner_id != actor.pk and not may_answer_for_others(actor):
        raise Rejected("Only the owner of the account answers for it, or staff who may lift a halt.", code="not_yours")


def _use_up(decision: Decision, actor: User) -> tuple[Approval, Bot, Cycle]:
    """Use the approval up and take the lease of its cycle, both or neither."""
    with transaction.atomic():
        account = Account.objects.select_for_update(no_key=True).get(pk=decision.bot.account_id)
        Bot.objects.select_for_update(no_key=True).get(pk=decision.bot_id)
        approval = _waiting(decision)
        ended = over(facts_of(approval, now=market_now(account.market)))
        if ended is not None:
            approval_end(approval, ended)
        else:
            _answer(approval, State.APPROVED, actor, "")
            _retake(approval.decision.cycle)
            approval_note(approval, f"given by {actor}: ruled again at the price of now.")
    if ended is not None:
        raise Rejected(ended.text, code=ended.state)
    cycle = approval.decision.cycle
    cycle.bot = Bot.objects.select_related("account__limits").get(pk=decision.bot_id)
    return approval, cycle.bot, cycle


def _waiting(decision: Decision) -> Approval:
    """Return the approval of a decision that waits. Raises Rejected that says what became of one that does not."""
    approval = waiting_rows().filter(decision=decision).select_related("decision__interaction").first()
    if approval is not None:
        return approval
    past = Approval.objects.filter(decision=decision).select_related("by").first()
    if past is None:
        raise Rejected("This decision does not wait for anybody.", code="not_waiting")
    if past.state in (State.APPROVED, State.REJECTED):
        raise Rejected(f"It was {past.state} already, by {past.by} at {past.at:%H:%M:%S} UTC.", code=past.state)
    raise Rejected(past.reason or f"It is {past.state}.", code=past.state)


def _answer(approval: Approval, state: str, actor: User, reason: str) -> None:
    """Compare and swap: of two answers the first one counts."""
    waiting = Approval.objects.filter(pk=approval.pk, state=State.AWAITING)
    approval.state, approval.by, approval.at, approval.reason = state, actor, timezone.now(), reason[:300]
    if waiting.update(state=state, by=actor, at=approval.at, reason=approval.reason) != 1:
        raise Rejected("Somebody has just answered it.", code="answered")
    audit_write(actor=actor, action=f"decision-{_DEEDS[state]}", obj=approval.decision, after={"reason": reason})


_DEEDS = {State.APPROVED.value: "approve", State.REJECTED.value: "reject"}


def _retake(cycle: Cycle) -> None:
    """Take the lease. Raises Rejected while another cycle of the account runs; then nothing is used up."""
    try:
        with transaction.atomic():
            taken = cycle_retake(cycle=cycle)
    except IntegrityError:
        taken = False
    if not taken:
        raise Rejected("A cycle of this account is at work just now: try again in a moment.", code="busy")
    if Cycle.objects.filter(bot=cycle.bot_id, scheduled_for__gt=cycle.scheduled_for).exists():
        raise Rejected(
            "The bot has decided again since.", code="expired"
        )  # in the very moment before the lease was taken


def _told(run: CycleRun, again: Decision | None) -> str:
    """Return in a sentence what an approval came to."""
    if again is None:
        return f"Approved, but not carried out: {run.text}"
    if again.quantity is None:
        return "Refused at the price of now: " + " ".join(hit["text"] for hit in again.hits)
    if run.result is None:
        return f"Approved and {again.verdict}, but it ended early: {run.text}"
    return f"Approved and {again.verdict}: {run.text}."
