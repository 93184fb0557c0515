"""The writer of accounts and their limits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction

from accounts.domain.limit_clashes import clashes
from accounts.models import Account, Credentials, RiskLimits, User
from accounts.models.limits import as_error
from accounts.services.audit import Actor, audit_write, stored_state, validation_told
from accounts.services.history import history_refused
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit, publish_to_person_on_commit

CHANGEABLE = ("time_zone", "foreign_positions")
"""What may become another once an account is made; the name too while it trades on paper: variables of keys end with it."""


def account_create(
    *,
    owner: User,
    name: str,
    venue: str,
    mode: str = Account.Mode.PAPER,
    network: str = Account.Network.MAINNET,
    promoted_from: Account | None = None,
    starting_balance: Decimal | int = 10_000,
    time_zone: str = "UTC",
    foreign_positions: str = Account.Foreign.ADOPT,
    actor: Actor = None,
) -> Account:
    """Create an account with the default risk limits.

    Raises Rejected for a name that its owner has used, and for a live account that does not follow from a paper one.
    """
    account = Account(
        owner=owner,
        name=name,
        venue=venue,
        mode=mode,
        network=network,
        promoted_from=promoted_from,
        starting_balance=Decimal(starting_balance),
        time_zone=time_zone,
        foreign_positions=foreign_positions,
    )
    with transaction.atomic(), validation_told():
        account.full_clean()
        account.save()
        limits = RiskLimits.objects.create(account=account)
        audit_write(actor=actor, action="account-create", obj=account, after=stored_state(account))
        audit_write(actor=actor, action="limits-create", obj=limits, after=stored_state(limits))
        publish_to_person_on_commit(user_id=account.owner_id, kind="access")
    return account


def account_change(*, account: Account, actor: Actor, **values: Any) -> Account:
    """Change what may be changed of an account. Raises Rejected for values it cannot have."""
    changeable = CHANGEABLE if account.live else (*CHANGEABLE, "name")
    if fixed := sorted(set(values) - set(changeable)):
        raise Rejected(f"{', '.join(fixed)}: decided when the account was made. Make another account.", code="fixed")
    with transaction.atomic(), validation_told():
        before = stored_state(account)
        for name, value in values.items():
            setattr(account, name, value)
        account.full_clean()
        account.save(update_fields=list(values))
        after = stored_state(account)
        if changed := [name for name in values if before[name] != after[name]]:
            audit_write(
                actor=actor,
                action="account-change",
                obj=account,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )
            publish_on_commit(account_id=account.pk, kind="account")
    return account


def account_delete(*, account: Account, actor: Actor) -> None:
    """Delete an account that nothing was ever done on, with its limits and keys. Raises Rejected for one that has a history."""
    with transaction.atomic():
        # Held against everybody who is about to hang something on it.
        held = Account.objects.select_for_update().filter(pk=account.pk).first()
        if held is None:
            raise Rejected("The account is gone already.", code="not-found")
        history_refused(held, held.name, "Stop its bots and leave it.")
        keys = Credentials.objects.filter(account=held).values("kind", "public").first()
        before = stored_state(held) | ({"credentials": keys} if keys else {})
        audit_write(actor=actor, action="account-delete", obj=held, before=before)
        publish_to_person_on_commit(user_id=held.owner_id, kind="access")
        held.delete()


def limits_set(*, account: Account, actor: Actor, equity: Decimal | None = None, **values: Any) -> RiskLimits:
    """Set some limits of an account, or all of them, and leave the rest. Two who do so at once do not undo each other.

    Raises Rejected as `limits_change` does.
    """
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()
        limits = RiskLimits.objects.filter(account=account).first() or RiskLimits(account=account)
        for name, value in values.items():
            setattr(limits, name, value)
        return limits_change(limits=limits, actor=actor, equity=equity)


def limits_change(*, limits: RiskLimits, actor: Actor, equity: Decimal | None = None) -> RiskLimits:
    """Save changed limits; the fields that changed are on record with what they were.

    Raises Rejected for limits that contradict themselves, and for a new equity floor above the `equity` of now, where
    the caller knows it.
    """
    with transaction.atomic(), validation_told():
        before = stored_state(limits)
        limits.full_clean()
        _floor_checked(limits, before, equity)
        limits.save()
        after = stored_state(limits)
        changed = [name for name, value in after.items() if before.get(name) != value]
        if not before:
            audit_write(actor=actor, action="limits-create", obj=limits, after=after)
        elif changed:
            audit_write(
                actor=actor,
                action="limits-change",
                obj=limits,
                before={name: before[name] for name in changed},
                after={name: after[name] for name in changed},
            )
        if changed:
            publish_on_commit(account_id=limits.account_id, kind="limits")
    return limits


def _floor_checked(limits: RiskLimits, before: dict[str, Any], equity: Decimal | None) -> None:
    """Refuse a new floor above the equity of now. One that was set before may stay: it has fired."""
    stated, known = limits.stated(), before.get("equity_floor")
    if stated is None or (known is not None and Decimal(known) == stated.equity_floor):
        return
    if found := clashes(stated, equity=equity):
        raise as_error(found)
