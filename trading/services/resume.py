"""Lifting a halt, or the state in which an account only lowers its exposure: a person, a reason, and books that agree."""

from __future__ import annotations

from datetime import UTC, datetime

from django.db import transaction

from accounts.models import Account, User
from trading.models import Halt
from trading.selectors.halts import RESUME, halt_in_force
from trading.services.reconcile import reconcile
from trading.services.standing import account_activate
from vibex.lib.errors import Rejected


def account_resume(*, account: Account, actor: User, reason: str) -> None:
    """Let an account open positions again.

    Raises Rejected for a person without the permission, without a reason, for an account that is active, for one whose
    halt has not been proved, and while anything differs from the exchange; Retryable when the exchange does not answer,
    NeedsOperator when only a person can make it answer.
    """
    if not actor.has_perm(RESUME):
        raise Rejected(
            f"{actor} may not let an account open positions again: it takes a permission.", code="permission"
        )
    if not reason.strip():
        raise Rejected("Say why the account may open positions again.", code="reason")
    if account.state == Account.State.ACTIVE:
        raise Rejected(f"{account.name} is active already.", code="active")
    _proved(account)
    found = reconcile(account, trigger="resume")
    if found.left:
        raise Rejected(f"Not yet, for books and exchange differ: {'; '.join(found.left[:5])}.", code="differs")
    with transaction.atomic():
        account_activate(account=account, actor=actor, reason=reason)
        Account.objects.filter(pk=account.pk).update(halt_keeps_positions=False)
        held = Halt.objects.filter(account=account, lifted__isnull=True)
        held.update(lifted=datetime.now(UTC), lifted_by=actor)


def _proved(account: Account) -> None:
    """Refuse while the exchange has not shown that the halt did its work: the guard, or who halted, is still at it."""
    halt = halt_in_force(account)
    if halt is not None and halt.flat_at is None:
        why = f" ({halt.problem})" if halt.problem else ""
        text = f"Not yet: {account.name} is halted and the exchange has not shown it flat{why}. The guard goes on; halting again tries at once."
        raise Rejected(text, code="not-flat")
