"""A cycle of a real bot: assemble the world from the database, hold the lease, run the nine steps, keep what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from decimal import Decimal

from django.conf import settings
from django.db import DatabaseError, InterfaceError, transaction
from django.db.models import Max

from accounts.domain.limits import Limits
from accounts.models import Account, Bot, RiskLimits
from accounts.selectors import incidents_on
from decisions.approvals import proposal_of
from decisions.deciders.base import BotView, Decider, Outcome
from decisions.deciders.registry import decider_for
from decisions.deciders.rules import RulesDecider
from decisions.domain.question import Asking
from decisions.models import Approval, Cycle
from decisions.selectors import feedback_for, invocations_of, outside_of, prompt_template_text
from decisions.selectors.catalogue import catalogue_known
from decisions.services import diary_write
from decisions.services.budget import purse_of
from marketdata.domain.intervals import interval_ms
from marketdata.selectors import market_clock
from marketdata.services.books import market_for
from trading.domain.approval import Approved
from trading.domain.protection import Foreign
from trading.domain.risk import Standing
from trading.models import Lock
from trading.selectors.opening import opening_of
from trading.services.cycle import CycleResult, run_cycle
from trading.services.exchanges import exchange_for
from trading.services.journal.base import IntentVoid, Stage
from trading.services.journal.orm import OrmJournal
from trading.services.lease import cycle_acquire, cycle_finish, cycle_skip
from trading.services.model_cost import budget_refused, budget_tell, budget_used
from trading.services.model_trust import replies_judge
from trading.services.ready import account_ready, clock_check
from trading.services.restored import orders_find_again
from trading.services.settle import settle
from trading.services.standing import locks_of
from trading.services.terms import termed
from trading.services.waiting import approvals_expire, approvals_void, cycle_await, cycle_rest
from trading.services.world import Care, Run, World
from vibex.lib import spans
from vibex.lib.errors import NeedsOperator, Rejected, Retryable, VibexError
from vibex.lib.installation import installation_tag
from vibex.lib.logging import bound

log = logging.getLogger(__name__)

NOBODY = BotView(name="guard", model="rules/hold", symbols=(), interval="3m", timeframes=())
"""Who decides in a world that only guards: nobody asks for anything."""


@dataclass(frozen=True, slots=True)
class CycleRun:
    """How a cycle of a bot ended. `result` is there when it went through all nine steps."""

    status: str
    text: str
    cycle_id: int | None = None
    result: CycleResult | None = None


def cycle_run(*, bot_id: int, scheduled_for: datetime, deadline_seconds: float | None = None) -> CycleRun:
    """Run the cycle of a bot for the candle that closed at `scheduled_for`, once; its deadline is the bot's, unless given.

    Ordinary faults of the market, the exchange or the model end the cycle with a reason that is stored and shown.
    """
    bot = Bot.objects.select_related("account__limits").get(pk=bot_id)
    if bot.approval:
        approvals_expire(bot=bot, before=scheduled_for)
    cycle = cycle_acquire(bot=bot, scheduled_for=scheduled_for)
    if cycle is None:
        return _not_run(bot, scheduled_for)
    with _watched(bot, cycle):
        return _run(bot, cycle, deadline_seconds)


def approval_run(*, approval: Approval, bot: Bot, cycle: Cycle) -> CycleRun:
    """Go through the steps again with what a person said yes to, under the lease of its cycle. Errors as above."""
    with _watched(bot, cycle):
        return _run(bot, cycle, None, approval)


@contextmanager
def _watched(bot: Bot, cycle: Cycle) -> Iterator[None]:
    """Let log and trace say whose cycle it is."""
    whose = {"account": bot.account_id, "bot": bot.pk, "cycle": cycle.pk}
    with bound(**whose), spans.span("cycle", **whose):
        yield


def _run(bot: Bot, cycle: Cycle, deadline_seconds: float | None, approval: Approval | None = None) -> CycleRun:
    try:
        account_ready(bot.account, bot.symbols)
        world = world_for(bot.account, bot=bot, cycle=cycle, approval=approval)
        orders_find_again(account=bot.account, world=world)
        wanted = run_for(bot, cycle.scheduled_for, deadline_seconds=deadline_seconds, approval=approval)
        result = run_cycle(world, wanted)
    except IntentVoid as void:
        return _ended(cycle, Cycle.Status.ABANDONED, str(void), approval)
    except (Retryable, Rejected, NeedsOperator) as fault:
        return _ended(cycle, Cycle.Status.FAILED, f"{type(fault).__name__}: {fault}", approval)
    except Exception as bug:
        with suppress(
            DatabaseError, InterfaceError
        ):  # a database that is gone cannot keep this; the lease runs out by itself
            _ended(cycle, Cycle.Status.FAILED, f"{type(bug).__name__}: {bug}", approval)
        raise
    finally:
        if cycle.stage == Stage.EXECUTE.value:
            _look_after(bot.account_id)
    if spent := wanted.budget_used or budget_refused(result.answer):
        budget_tell(bot=bot, text=spent)
    if result.reading.outcome is Outcome.REJECTED:
        replies_judge(bot=bot)
    return _finished(cycle, result, again=approval is not None)


def _finished(cycle: Cycle, result: CycleResult, *, again: bool) -> CycleRun:
    """Store that a cycle went through: as done, or as awaiting when an entry of it waits for a person."""
    waiting = {deed.symbol for deed in result.done if deed.waits}
    if again:
        cycle_rest(cycle=cycle)
    elif cycle.bot.approval:
        cycle_await(cycle=cycle, symbols=waiting, timings=result.timings)
    else:
        cycle_finish(cycle=cycle, status=Cycle.Status.DONE, timings=result.timings)
    status = Cycle.Status.AWAITING if waiting else Cycle.Status.DONE
    run = CycleRun(status.value, _summary(result), cycle.pk, result)
    spans.note(status=run.status)
    log.info("cycle %s: %s", run.status, run.text, extra={"timings": result.timings})
    return run


def cycle_run_now(*, bot: Bot) -> CycleRun:
    """Run a cycle of a bot because a person asks for it, also a second one on a market that stands still."""
    now = market_clock(bot.account.market).now()
    newest = Cycle.objects.filter(bot=bot, scheduled_for__gte=now).aggregate(at=Max("scheduled_for"))["at"]
    return cycle_run(bot_id=bot.pk, scheduled_for=now if newest is None else newest + timedelta(microseconds=1))


def _look_after(account_id: int) -> None:
    """Settle an account whose cycle broke off among its orders: a position may lack its stop."""
    try:
        settle(world_for(Account.objects.get(pk=account_id)))
    except (VibexError, DatabaseError, InterfaceError) as fault:
        log.critical("account %s could not be looked at after its cycle broke off: %s", account_id, fault)


def world_for(
    account: Account, *, bot: Bot | None = None, cycle: Cycle | None = None, approval: Approval | None = None
) -> World:
    """Return the five ports of an account; without a bot, those of the guard. With an `approval` nobody is asked anew."""
    clock, market = market_clock(account.market), market_for(account.market)
    return World(
        clock=clock,
        market=termed(market, account),
        decider=_said_yes(approval) if approval else _decider_of(bot),
        exchange=exchange_for(account, market, clock),
        journal=OrmJournal(
            account, cycle, interaction=approval.decision.interaction if approval else None, approval=approval
        ),
        care=care_of(account),
        installation=installation_tag(),
    )


def _decider_of(bot: Bot | None) -> Decider:
    """Return who decides for a bot, with its money of the day and what is known of models; for the guard nobody does."""
    if bot is None:
        return decider_for(NOBODY)
    return decider_for(bot_view(bot), purse=purse_of(bot), known=catalogue_known(), soon=True)


def care_of(account: Account) -> Care:
    """Return how what is open on an account is looked after."""
    return Care(Foreign(account.foreign_positions), account.limits.trailing_stop)


def run_for(
    bot: Bot,
    scheduled_for: datetime,
    *,
    deadline_seconds: float | None = None,
    approval: Approval | None = None,
) -> Run:
    """Return what is run for a bot and a candle, or for an entry of that candle which a person approved."""
    view = bot_view(bot)
    started_at, decided = invocations_of(bot)
    return Run(
        bot=view,
        limits=limits_of(bot.account.limits),
        standing=standing_of(bot.account, bot),
        scheduled_for=scheduled_for,
        next_decision_at=scheduled_for + timedelta(milliseconds=interval_ms(bot.interval)),
        started_at=started_at or scheduled_for,
        starting_balance=opening_of(bot.account).equity,
        invocation=decided,
        feedback=feedback_for(bot),
        template=prompt_template_text(bot.prompt_template, bot.prompt_version),
        template_version=bot.prompt_version,
        outside=outside_of(bot),
        approval=bot.approval,
        approved=_approved(approval) if approval else None,
        budget_used=budget_used(bot) if approval is None else "",
        deadline_seconds=bot.deadline_seconds if deadline_seconds is None else deadline_seconds,
    )


def _approved(approval: Approval) -> Approved:
    return Approved(proposal_of(approval.decision), approval.decision.quantity or Decimal(0))


def _said_yes(approval: Approval) -> RulesDecider:
    """Return who decides when a person has: it proposes what was approved, and asks nobody."""
    return RulesDecider("approval", lambda _: (proposal_of(approval.decision),))


def bot_view(bot: Bot) -> BotView:
    """Return a bot row as plain data."""
    return BotView(
        name=bot.name,
        model=bot.model,
        symbols=tuple(bot.symbols),
        interval=bot.interval,
        timeframes=tuple(bot.timeframes),
        fallback_models=tuple(bot.fallback_models),
        capital=bot.capital,
        prompt_template=bot.prompt_template,
        asking=Asking(
            effort=bot.reasoning_effort,
            temperature=bot.temperature,
            max_tokens=bot.max_tokens,
            layout=bot.layout,
            served=tuple(bot.served_models),
            ensemble=tuple(bot.ensemble_models) if settings.FEATURE_ENSEMBLE else (),
            ensemble_rule=bot.ensemble_rule,
            shadows=tuple(bot.shadow_models),
        ),
    )


def limits_of(row: RiskLimits) -> Limits:
    """Return a limits row as plain data."""
    return Limits(**{name.name: getattr(row, name.name) for name in fields(Limits)})


def standing_of(account: Account, bot: Bot) -> Standing:
    """Return what else bears on the entries of a bot: its status, its account's state, locks and incidents that are open."""
    reasons = [(lock.symbol, _told(lock)) for lock in locks_of(account).order_by("since", "pk")]
    reasons += incidents_on(account, bot.symbols)
    if problem := clock_check(account):
        reasons.append(("", problem))
    blocked = {name: "; ".join(reason for symbol, reason in reasons if symbol == name) for name, _ in reasons}
    return Standing(state=account.state, blocked=blocked, bot=bot.status)


def _told(lock: Lock) -> str:
    """Return why a lock bars, and until when where it ends by itself."""
    return f"{lock.reason.rstrip('.')}, until {lock.until:%Y-%m-%d %H:%M} UTC" if lock.until else lock.reason


def _not_run(bot: Bot, scheduled_for: datetime) -> CycleRun:
    """Say why a cycle did not run; a cycle that was in its way is put on record."""
    held = Cycle.objects.filter(bot=bot, scheduled_for=scheduled_for).first()
    if held is not None:
        return CycleRun("skipped", f"the bot has decided on this candle already: cycle {held.pk} is {held.status}")
    running = Cycle.objects.filter(account=bot.account, status=Cycle.Status.RUNNING).first()
    reason = f"cycle {running.pk} of this account was still running" if running else "another cycle was running"
    skipped = cycle_skip(bot=bot, scheduled_for=scheduled_for, reason=reason)
    return CycleRun("skipped", reason, skipped.pk if skipped else None)


def _ended(cycle: Cycle, status: Cycle.Status, text: str, approval: Approval | None = None) -> CycleRun:
    """Store how a cycle failed, tell the bot's diary and those who watch."""
    log.warning("cycle %s: %s", status.value, text)
    spans.note(status=status.value)
    with transaction.atomic():
        if approval is None or status is Cycle.Status.ABANDONED:
            cycle_finish(cycle=cycle, status=status, error=text)
            approvals_void(cycle=cycle, reason=f"Its cycle ended early: {text}")
        else:
            cycle_rest(cycle=cycle, over=status, error=text)
        diary_write(
            bot=cycle.bot,
            cycle=cycle,
            at=cycle.scheduled_for,
            kind="error",
            text=f"The cycle ended early; nothing more was done. {text}",
        )
    return CycleRun(status.value, text, cycle.pk)


def _summary(result: CycleResult) -> str:
    if result.reading.outcome is not Outcome.ANSWERED:
        return f"held everything: {result.reading.reason or result.answer.reason}"
    return "; ".join(f"{deed.symbol}: {deed.text}" for deed in result.done) or "held"
