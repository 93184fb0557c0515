"""Lifting a halt, or the state in which an account only lowers its exposure: a person, a reason, and books that agree."""

from __future__ import annotations

from accounts.models import Account, User
from trading.services.reconcile import reconcile
from trading.services.standing import account_activate
from vibex.lib.errors import Rejected


def account_resume(*, account: Account, actor: User, reason: str) -> None:
    """Let an account open positions again.

    Raises Rejected without a reason, for one that is active, and while anything differs from the exchange; Retryable
    when the exchange does not answer, NeedsOperator when only a person can make it answer.
    """
    if not reason.strip():
        raise Rejected("Say why the account may open positions again.", code="reason")
    if account.state == Account.State.ACTIVE:
        raise Rejected(f"{account.name} is active already.", code="active")
    found = reconcile(account, trigger="resume")
    if found.left:
        raise Rejected(f"Not yet, for books and exchange differ: {'; '.join(found.left[:5])}.", code="differs")
    account_activate(account=account, actor=actor, reason=reason)
