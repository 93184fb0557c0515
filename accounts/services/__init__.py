"""The only writers of people, accounts, limits, bots, incidents and the audit trail."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, models, transaction
from django.forms.models import model_to_dict
from django.utils import timezone

from accounts.models import Account, AuditEntry, Bot, Incident, RiskLimits, User
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_on_commit

PASSWORD_BYTES = 15
"""120 random bits: 20 characters that can be typed."""

type Actor = User | None
"""Who did it; None is Vibex itself."""


def password_generate() -> str:
    """Return a random password. It is shown once and kept by nobody."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def user_create(*, email: str, password: str, operator: bool = False, actor: Actor = None) -> User:
    """Create a person; an operator may open the admin. Raises Rejected for a taken address or a weak password."""
    with transaction.atomic(), _faults_told():
        validate_password(password, User(email=email))
        create = User.objects.create_superuser if operator else User.objects.create_user
        user = create(email, password)
        audit_write(actor=actor, action="user-create", obj=user, after={"email": user.email, "operator": operator})
    return user


def account_create(
    *,
    owner: User,
    name: str,
    venue: str,
    network: str = Account.Network.MAINNET,
    starting_balance: Decimal | int = 10_000,
    time_zone: str = "UTC",
    actor: Actor = None,
) -> Account:
    """Create a paper account with the default risk limits. Raises Rejected when the owner has one of that name."""
    account = Account(
        owner=owner,
        name=name,
        venue=venue,
        network=network,
        starting_balance=Decimal(starting_balance),
        time_zone=time_zone,
    )
    with transaction.atomic(), _faults_told():
        account.full_clean()
        account.save()
        limits = RiskLimits.objects.create(account=account)
        audit_write(actor=actor, action="account-create", obj=account, after=_state(account))
        audit_write(actor=actor, action="limits-create", obj=limits, after=_state(limits))
    return account


def limits_change(*, limits: RiskLimits, actor: Actor) -> RiskLimits:
    """Save changed limits together with what they were. Raises Rejected for limits that contradict themselves."""
    with transaction.atomic(), _faults_told():
        limits.full_clean()
        before = _state(limits)
        limits.save()
        after = _state(limits)
        if before != after:
            action = "limits-change" if before else "limits-create"
            audit_write(actor=actor, action=action, obj=limits, before=before, after=after)
            publish_on_commit(account_id=limits.account_id, kind="limits")
    return limits


def bot_create(
    *,
    account: Account,
    name: str,
    model: str,
    symbols: Sequence[str],
    interval: str,
    timeframes: Sequence[str],
    fallback_models: Iterable[str] = (),
    capital: Decimal | None = None,
    prompt_template: str = "arena",
    actor: Actor = None,
) -> Bot:
    """Create a stopped bot. Raises Rejected for a taken name, an unknown interval or a bot without symbols."""
    bot = Bot(
        account=account,
        name=name,
        model=model,
        fallback_models=list(fallback_models),
        symbols=list(symbols),
        interval=interval,
        timeframes=list(timeframes),
        capital=capital,
        prompt_template=prompt_template,
    )
    with transaction.atomic(), _faults_told():
        bot.full_clean()
        bot.save()
        audit_write(actor=actor, action="bot-create", obj=bot, after=_state(bot))
    return bot


def audit_write(
    *,
    actor: Actor,
    action: str,
    obj: models.Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Add who did what to which object. Values are plain JSON and never hold a secret."""
    return AuditEntry.objects.create(
        actor=actor,
        action=action,
        object_type=obj._meta.label_lower,
        object_id=str(obj.pk),
        before=before or {},
        after=after or {},
    )


def incident_open(
    *,
    account: Account | None,
    kind: str,
    text: str,
    severity: str = Incident.Severity.ERROR,
    data: dict[str, Any] | None = None,
) -> Incident:
    """Open an incident, or return the one that is open with the same account, kind and text."""
    with transaction.atomic():
        _queue_behind_others(account)
        known = Incident.objects.filter(account=account, kind=kind, text=text, resolved__isnull=True).first()
        if known:
            return known
        incident = Incident.objects.create(account=account, kind=kind, text=text, severity=severity, data=data or {})
        _announce(incident)
    return incident


def incident_resolve(*, incident: Incident, actor: Actor = None, at: datetime | None = None) -> bool:
    """Resolve an incident. Returns False when somebody else has done so already."""
    with transaction.atomic():
        open_one = Incident.objects.filter(pk=incident.pk, resolved__isnull=True)
        if open_one.update(resolved=at or timezone.now()) != 1:
            return False
        if actor is not None:
            audit_write(actor=actor, action="incident-resolve", obj=incident)
        _announce(incident)
    return True


def _announce(incident: Incident) -> None:
    if incident.account_id is not None:
        publish_on_commit(account_id=incident.account_id, kind="incident", data={"id": incident.pk})


def _queue_behind_others(account: Account | None) -> None:
    """Let two openers of one account's incident go one after the other (SQLite does so by itself)."""
    if account is not None:
        Account.objects.select_for_update(no_key=True).filter(pk=account.pk).values_list("pk").first()


def _state(row: models.Model) -> dict[str, Any]:
    """Return what is stored of a row as plain JSON: decimals and times as text, as the database gives them back."""
    stored = type(row)._default_manager.filter(pk=row.pk).first()
    if stored is None:
        return {}
    plain: dict[str, Any] = json.loads(json.dumps(model_to_dict(stored), cls=DjangoJSONEncoder))
    return plain


@contextmanager
def _faults_told() -> Iterator[None]:
    """Turn what the model's validation says into one Rejected that a person can read."""
    try:
        yield
    except ValidationError as error:
        raise Rejected(_readable(error), code="invalid") from error
    except IntegrityError as error:
        # Validation has passed, so somebody else was faster between the look and the write.
        raise Rejected("Somebody has just stored one like it. Load the page again.", code="conflict") from error


def _readable(error: ValidationError) -> str:
    if not hasattr(error, "error_dict"):
        return " ".join(error.messages)
    return " ".join(
        " ".join(messages) if field == "__all__" else f"{field}: {' '.join(messages)}"
        for field, messages in error.message_dict.items()
    )
