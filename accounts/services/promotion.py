"""From paper to live: the live account that follows from a paper one, and that a person has looked at its limits."""

from __future__ import annotations

from django.db import transaction

from accounts.models import Account, AuditEntry, RiskLimits, User
from accounts.services.audit import audit_write, stored_state, validation_told
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit, publish_to_person_on_commit

COPIED = ("owner", "venue", "network", "starting_balance", "time_zone", "foreign_positions")
"""What a live account has of its paper account, besides the limits. Bots are made anew, by a person."""


def account_promote(*, paper: Account, name: str, actor: User) -> Account:
    """Create the live account of a paper account, with a copy of its limits. It may not trade by that alone.

    Raises Rejected for an account that is live already, for one that is not at a venue with real orders, and when its
    owner has one of that name.
    """
    if paper.live:
        raise Rejected(f"{paper.name} is live already: only a paper account is promoted.", code="live")
    copied = {field: getattr(paper, field) for field in COPIED}
    account = Account(name=name, mode=Account.Mode.LIVE, promoted_from=paper, **copied)
    with transaction.atomic(), validation_told():
        account.full_clean()
        account.save()
        limits = _limits_of(paper)
        limits.pk, limits.account, limits._state.adding = None, account, True
        limits.save()
        audit_write(actor=actor, action="account-promote", obj=account, after=stored_state(account))
        audit_write(actor=actor, action="limits-create", obj=limits, after=stored_state(limits))
        publish_to_person_on_commit(user_id=account.owner_id, kind="access")
    return account


def limits_confirm(*, account: Account, actor: User) -> AuditEntry:
    """Put on record that a person has looked at the limits and leaves them as they are. Raises Rejected without any."""
    with transaction.atomic():
        limits = _limits_of(account)
        entry = audit_write(actor=actor, action="limits-confirm", obj=limits, after=stored_state(limits))
        publish_on_commit(account_id=account.pk, kind="limits")
    return entry


def _limits_of(account: Account) -> RiskLimits:
    limits = RiskLimits.objects.filter(account=account).first()
    if limits is None:
        raise Rejected(f"{account.name} has no limits: set them on its page.", code="limits")
    return limits
