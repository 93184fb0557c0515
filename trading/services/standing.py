"""What an account may do: its state, the locks on it, and who lifts them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.db.models import QuerySet

from accounts.models import Account, User
from accounts.services import audit_write
from trading.models import Lock
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit


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

    One of the same kind that holds already is returned.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        held = locks_of(account).filter(symbol=symbol, kind=kind).first()
        if held is not None:
            return held
        lock = Lock.objects.create(
            account=account, symbol=symbol, kind=kind, reason=reason[:300], until=until, data=dict(data or {})
        )
        publish_on_commit(account_id=account.pk, kind="lock")
    return lock


def lock_lift(*, lock: Lock, actor: User) -> bool:
    """Lift a lock. Returns False when somebody else has done so already."""
    with transaction.atomic():
        held = Lock.objects.filter(pk=lock.pk, lifted__isnull=True)
        if held.update(lifted=datetime.now(UTC), lifted_by=actor) != 1:
            return False
        audit_write(actor=actor, action="lock-lift", obj=lock, before={"reason": lock.reason})
        publish_on_commit(account_id=lock.account_id, kind="lock")
    return True


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
