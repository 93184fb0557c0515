"""The running cycle row as lock and lease. The database decides; workers, beats and clocks may do what they like."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import IntegrityError, transaction

from accounts.models import Bot
from decisions.models import Cycle
from trading.services.claims import claims_clear
from vibex.lib.alive import gets_on
from vibex.lib.events import publish_on_commit

LEASE = timedelta(seconds=90)
"""Three times the longest single step, the ask. Wall time."""


def cycle_acquire(*, bot: Bot, scheduled_for: datetime) -> Cycle | None:
    """Start the cycle of a bot for a candle. None when it has run already or another one of the account is running."""
    cycle = _begun(bot, scheduled_for)
    if cycle is None and cycles_abandon(account_id=bot.account_id, before=datetime.now(UTC)):
        cycle = _begun(bot, scheduled_for)  # what stood in the way had ended without a word
    return cycle


def _begun(bot: Bot, scheduled_for: datetime) -> Cycle | None:
    """Put a running cycle on record. None where the candle has one already, or another of the account is running."""
    now = datetime.now(UTC)
    try:
        with transaction.atomic():
            cycle = Cycle.objects.create(
                bot=bot,
                account_id=bot.account_id,
                scheduled_for=scheduled_for,
                epoch=bot.account.epoch,
                lease_until=now + LEASE,
                began=now,
                stage="snapshot",
            )
            _tell(cycle)
            return cycle
    except IntegrityError:
        return None


def cycle_retake(*, cycle: Cycle) -> bool:
    """Let a cycle that awaits an approval run again, under a lease of its own. False when it awaits nothing any more.

    Raises IntegrityError while another cycle of the account is running.
    """
    now = datetime.now(UTC)
    awaits = Cycle.objects.filter(pk=cycle.pk, status=Cycle.Status.AWAITING)
    return awaits.update(status=Cycle.Status.RUNNING, lease_until=now + LEASE, ended=None) == 1


def cycle_renew(*, cycle: Cycle) -> bool:
    """Renew the lease and store step and snapshot. False when it is lost: then nothing may be done any more.

    What the cycle saw is large, and there are renewals with every order: what is stored already is not written again.
    """
    gets_on()
    now, so_far = datetime.now(UTC), _so_far(cycle)
    stored = cycle.stored or {}
    fresh = {name: value for name, value in so_far.items() if name not in stored or stored[name] is not value}
    held = Cycle.objects.filter(pk=cycle.pk, status=Cycle.Status.RUNNING, lease_until__gte=now)
    renewed = held.update(lease_until=now + LEASE, **fresh) == 1
    if renewed:
        transaction.on_commit(lambda: setattr(cycle, "stored", so_far))  # an intent that is refused takes it back
    return renewed


def cycle_finish(*, cycle: Cycle, status: Cycle.Status, **changes: object) -> bool:
    """End a running cycle in the step it is in. False when it was abandoned meanwhile: its record is left as it is."""
    running = Cycle.objects.filter(pk=cycle.pk, status=Cycle.Status.RUNNING)
    ended = running.update(status=status, ended=datetime.now(UTC), **_so_far(cycle), **changes) == 1
    if ended:
        _tell(cycle)
    return ended


def _tell(cycle: Cycle) -> None:
    publish_on_commit(account_id=cycle.account_id, kind="cycle", data={"id": cycle.pk})


def _so_far(cycle: Cycle) -> dict[str, Any]:
    """Return what a cycle has come to know of itself: stored with whatever is stored of it anyway."""
    return {"stage": cycle.stage, "digest": cycle.digest, "seen": cycle.seen, "kept": cycle.kept}


def cycle_skip(*, bot: Bot, scheduled_for: datetime, reason: str) -> Cycle | None:
    """Record that a cycle did not run, and why. None when the candle has a cycle already."""
    now = datetime.now(UTC)
    try:
        with transaction.atomic():
            cycle = Cycle.objects.create(
                bot=bot,
                account_id=bot.account_id,
                scheduled_for=scheduled_for,
                status=Cycle.Status.SKIPPED,
                epoch=bot.account.epoch,
                lease_until=now,
                began=now,
                ended=now,
                error=reason,
            )
            _tell(cycle)
            return cycle
    except IntegrityError:
        return None


def cycles_abandon(*, account_id: int | None = None, before: datetime | None = None) -> int:
    """Mark running cycles whose lease ended before `before` as abandoned; all of them, with all claims, without a bound.

    That is for a process that knows itself to be the only one: nobody else can be running a cycle then.
    """
    running = Cycle.objects.filter(status=Cycle.Status.RUNNING)
    if account_id is not None:
        running = running.filter(account_id=account_id)
    if before is not None:
        running = running.filter(lease_until__lt=before)
    else:
        claims_clear(account_id=account_id)
    return running.update(
        status=Cycle.Status.ABANDONED,
        ended=datetime.now(UTC),
        error="the process that ran it ended before it was done",
    )
