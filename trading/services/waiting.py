"""What waits for a person: how it is told, and how it ends without one. The database only; no exchange is asked here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.utils import timezone

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, AuditEntry, Bot
from accounts.services import alert_raise
from accounts.services.alerts import never_in_the_way
from decisions.approvals import proposal_of
from decisions.models import Approval, Cycle, Decision, DiaryEntry
from decisions.services import diary_write
from trading.domain.approval import EXPIRED, VOID, Facts, Over, over, wish
from trading.selectors.approvals import market_now
from trading.services.lease import cycle_finish
from vibex.lib.events import publish_on_commit

State = Approval.State


def cycle_await(*, cycle: Cycle, symbols: Collection[str], timings: Mapping[str, float]) -> bool:
    """End a cycle whose entries on these symbols wait for a person, and tell the owner what it wants to do.

    False when it was abandoned meanwhile: then nothing waits.
    """
    with transaction.atomic():
        if not cycle_rest(cycle=cycle, timings=timings):
            return False
        for approval in waiting_rows().filter(decision__cycle=cycle):
            if approval.decision.symbol in symbols:
                _tell(approval)
                publish_on_commit(account_id=cycle.account_id, kind="approval", data={"decision": approval.decision_id})
            else:
                approval_end(approval, Over(VOID, "What came before it failed."))
    return True


def cycle_rest(*, cycle: Cycle, over: Cycle.Status = Cycle.Status.DONE, **changes: object) -> bool:
    """End a running cycle: as awaiting while any of its entries wait, else as `over`. False when it was abandoned."""
    with transaction.atomic():
        _lock(cycle.account_id)
        waits = waiting_rows().filter(decision__cycle=cycle).exists()
        return cycle_finish(cycle=cycle, status=Cycle.Status.AWAITING if waits else over, **changes)


def approvals_void(*, reason: str, **of: Account | Bot | Cycle) -> int:
    """End what waits of an `account`, a `bot` or a `cycle`, because it may not be done any more; return how much that was."""
    paths = {"account": "decision__cycle__account", "bot": "decision__bot", "cycle": "decision__cycle"}
    rows = waiting_rows().filter(**{paths[name]: row for name, row in of.items()})
    return sum(approval_end(approval, Over(VOID, reason)) for approval in rows)


def approvals_expire(*, bot: Bot, before: datetime) -> int:
    """End what waits of a bot's cycles before this candle (market time): it decides anew now."""
    rows = waiting_rows().filter(decision__bot=bot, decision__cycle__scheduled_for__lt=before)
    text = "Nobody answered before the next decision."
    return sum(approval_end(approval, Over(EXPIRED, text)) for approval in rows)


def approvals_sweep() -> int:
    """End whatever can be answered no more, and every cycle that waits for nothing; return how much that was."""
    clocks: dict[str, datetime] = {}
    ended = 0
    for approval in waiting_rows():
        market = approval.decision.bot.account.market
        now = clocks.get(market) or clocks.setdefault(market, market_now(market))
        if found := over(facts_of(approval, now=now)):
            ended += approval_end(approval, found)
    waits = Approval.objects.filter(decision__cycle=OuterRef("pk"), state=State.AWAITING)
    idle = Cycle.objects.filter(~Exists(waits), status=Cycle.Status.AWAITING)
    return ended + idle.update(status=Cycle.Status.DONE)


def waiting_rows() -> QuerySet[Approval]:
    """Return what waits, oldest first, with all that tells whether it still may."""
    newer = Cycle.objects.filter(
        bot=OuterRef("decision__bot"), scheduled_for__gt=OuterRef("decision__cycle__scheduled_for")
    )
    rows = Approval.objects.filter(state=State.AWAITING).annotate(overtaken=Exists(newer))
    return rows.select_related("decision__cycle", "decision__bot__account__owner").order_by("created", "pk")


def facts_of(approval: Approval, *, now: datetime) -> Facts:
    """Return what tells whether an approval, read by `waiting_rows`, may still be used at `now` (market time)."""
    cycle, bot = approval.decision.cycle, approval.decision.bot
    return Facts(
        now=now,
        until=approval.until,
        cycle=cycle.status,
        overtaken=bool(getattr(approval, "overtaken", False)),
        bot="running" if bot.status == Bot.Status.STOPPED and not _stopped_since(approval) else bot.status,
        halted=bot.account.state == Account.State.HALTED or bot.account.epoch != cycle.epoch,
    )


def _stopped_since(approval: Approval) -> bool:
    """Whether the bot was stopped after it asked: one that is stopped decides when a person wants it to."""
    bot = approval.decision.bot
    stops = AuditEntry.objects.filter(object_type=bot._meta.label_lower, object_id=str(bot.pk), action="bot-stopped")
    return stops.filter(at__gte=approval.created).exists()


def approval_end(approval: Approval, ended: Over) -> bool:
    """End what nobody answered, with a line in the diary. False when it has been answered, or ended, already."""
    with transaction.atomic():
        _lock(approval.decision.cycle.account_id)
        waiting = Approval.objects.filter(pk=approval.pk, state=State.AWAITING)
        if waiting.update(state=ended.state, at=timezone.now(), reason=ended.text[:300]) != 1:
            return False
        cycle_settle(approval)
        approval_note(approval, f"{ended.state}: {ended.text}")
    return True


def cycle_settle(approval: Approval) -> None:
    """Let the cycle of an approval be done once none of its entries waits any more."""
    cycle = approval.decision.cycle_id
    if not Approval.objects.filter(decision__cycle=cycle, state=State.AWAITING).exists():
        Cycle.objects.filter(pk=cycle, status=Cycle.Status.AWAITING).update(status=Cycle.Status.DONE)


def approval_note(approval: Approval, text: str) -> None:
    """Write into the bot's diary what became of an approval, and tell those who watch."""
    decision = approval.decision
    diary_write(
        bot=decision.bot,
        cycle=decision.cycle,
        at=min(approval.until, market_now(decision.bot.account.market)),
        kind=DiaryEntry.Kind.DECISION,
        symbol=decision.symbol,
        text=f"Approval {text}",
        data={"decision": decision.pk},
    )
    publish_on_commit(account_id=decision.bot.account_id, kind="approval", data={"decision": decision.pk})


@never_in_the_way
def _tell(approval: Approval) -> None:
    """Alert the owner to what a bot wants to do. Each is told by itself: no two are one and the same."""
    decision, bot = approval.decision, approval.decision.bot
    alert_raise(
        account=bot.account,
        bot=bot,
        type=EventType.APPROVAL_WAITING,
        severity=Severity.WARNING,
        subject=f"{decision.symbol}, decision {decision.pk}",
        message=f"{bot.name} asks: {_wish(decision)} Answer before {approval.until:%H:%M:%S} UTC.",
    )


def _wish(decision: Decision) -> str:
    seen: Mapping[str, Any] = decision.cycle.seen.get(decision.symbol, {})
    price = Decimal(seen["price"]) if seen.get("price") else None
    allowed = decision.quantity or Decimal(0)
    return wish(proposal_of(decision), quantity=allowed, leverage=decision.leverage or 1, price=price)


def _lock(account_id: int) -> None:
    Account.objects.select_for_update(no_key=True).filter(pk=account_id).values_list("pk").first()
