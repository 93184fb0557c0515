"""What an account may do: its state, the locks on it, and who lifts them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models import QuerySet

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, RiskLimits, User
from accounts.services import alert_raise, audit_write
from accounts.services.alerts import never_in_the_way
from trading.domain.losses import DAY, FLOOR, KINDS, amount, day_anew, peak_anew
from trading.models import Lock, LossWatch
from trading.selectors.losses import watch_from
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit

RESTORED: Final = "restored"
"""Kind of the lock that a restore leaves on each account (`restored.py`)."""


def locks_of(account: Account) -> QuerySet[Lock]:
    """Return the locks that hold now."""
    return Lock.objects.filter(account=account, lifted__isnull=True).exclude(until__lt=datetime.now(UTC))


def lock_put(
    *,
    account: Account,
    symbol: str,
    reason: str,
    until: datetime | None = None,
    kind: str = "",
    data: Mapping[str, Any] | None = None,
) -> Lock:
    """Let nothing be opened on a symbol ("" = all) until `until`, or until a person lifts it.

    One of the same kind that holds already is returned. Of a loss limit that is reached (`kind`) the owner is told.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        held = locks_of(account).filter(symbol=symbol, kind=kind).first()
        if held is not None:
            return held
        lock = Lock.objects.create(
            account=account, symbol=symbol, kind=kind, reason=reason[:300], until=until, data=dict(data or {})
        )
        if kind in KINDS:
            _limit_tell(account, kind, reason)
        publish_on_commit(account_id=account.pk, kind="lock", data={"id": lock.pk})
    return lock


@never_in_the_way
def _limit_tell(account: Account, kind: str, reason: str) -> None:
    text = f"{account.name} opens nothing any more until you lift the lock: {reason}"
    alert_raise(account=account, type=EventType.LIMIT_REACHED, severity=Severity.CRITICAL, subject=kind, message=text)


def lock_lift(*, lock: Lock, actor: User) -> bool:
    """Lift a lock. Returns False when somebody else has done so already.

    What a loss limit counts from begins anew with it: the day with the equity of now, the drawdown with the value of a
    unit of now. Raises Rejected for the floor while the equity is still below it, and for what a restore has left: that
    ends with a reconcile that is clean.
    """
    if lock.kind == RESTORED:
        raise Rejected(
            "The database was restored: the lock ends by itself once `manage.py reconcile` finds that books and exchange agree.",
            code="restored",
        )
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=lock.account_id)
        held = Lock.objects.filter(pk=lock.pk, lifted__isnull=True)
        if held.update(lifted=datetime.now(UTC), lifted_by=actor) != 1:
            return False
        after = _count_anew(lock)
        audit_write(
            actor=actor,
            action="lock-lift",
            obj=lock,
            before={"reason": lock.reason, "kind": lock.kind, **lock.data},
            after=after,
        )
        publish_on_commit(account_id=lock.account_id, kind="lock", data={"id": lock.pk})
    return True


def _count_anew(lock: Lock) -> dict[str, str]:
    """Let the loss limit of a lock count from now on; return from what. Nothing for a lock that no loss limit put."""
    row = LossWatch.objects.select_for_update().filter(account=lock.account_id).first() if lock.kind in KINDS else None
    if row is None:
        return {}
    watch = watch_from(row)
    if lock.kind == FLOOR:
        _refuse_below_floor(lock.account_id, watch.equity)
        return {"equity": str(watch.equity)}
    anew = day_anew(watch) if lock.kind == DAY else peak_anew(watch)
    changed = {name: value for name, value in anew.stored().items() if value != getattr(watch, name)}
    LossWatch.objects.filter(pk=row.pk).update(**changed)
    return {name: str(value) for name, value in changed.items()}


def _refuse_below_floor(account_id: int, equity: Decimal) -> None:
    floor = RiskLimits.objects.values_list("equity_floor", flat=True).get(account=account_id)
    if floor is not None and equity < floor:
        raise Rejected(
            f"The equity of {amount(equity)} is still below the floor of {amount(floor)}: "
            "lower the floor in the limits of the account first, or lift it once the equity is above.",
            code="floor",
        )


def account_reduce(*, account: Account, reason: str) -> bool:
    """Let an active account only lower its exposure from now on. Returns False for one that is no longer active."""
    with transaction.atomic():
        active = Account.objects.filter(pk=account.pk, state=Account.State.ACTIVE)
        if active.update(state=Account.State.REDUCING, state_reason=reason[:300], state_since=datetime.now(UTC)) != 1:
            return False
        audit_write(actor=None, action="account-reduce", obj=account, after={"reason": reason})
        publish_on_commit(account_id=account.pk, kind="account")
    return True


def account_activate(*, account: Account, actor: User, reason: str) -> None:
    """Let an account open positions again, after its books have been found to agree.

    Raises Rejected without a reason, and for one that was halted since it was read: nobody has looked at that halt.
    """
    if not reason.strip():
        raise Rejected("Say why the account may open positions again.", code="reason")
    with transaction.atomic():
        before = Account.objects.select_for_update().get(pk=account.pk)
        if before.epoch != account.epoch:
            raise Rejected(f"{account.name} was halted meanwhile: {before.state_reason}", code="halted")
        held = Account.objects.filter(pk=account.pk).exclude(state=Account.State.ACTIVE)
        now = {"state": Account.State.ACTIVE, "state_reason": reason[:300], "state_since": datetime.now(UTC)}
        if held.update(**now, halted_at=None) != 1:
            raise Rejected(f"{account.name} is active already.", code="active")
        told = {"state": before.state, "reason": before.state_reason}
        audit_write(actor=actor, action="account-activate", obj=account, before=told, after={"reason": reason})
        publish_on_commit(account_id=account.pk, kind="account")
