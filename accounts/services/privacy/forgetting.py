"""Taking a person out of the tables. What was traded stays, under a pseudonym; it can be done again where it broke off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from django.db import transaction
from django.db.models import CharField, Field, JSONField, Model, Q, QuerySet, TextField
from django.db.models.functions import Cast
from rest_framework_simplejwt.token_blacklist.models import OutstandingToken

from accounts.models import (
    Alert,
    AlertChannel,
    ApiKey,
    AuditEntry,
    Credentials,
    IdempotentCall,
    SecondFactor,
    SignIn,
    User,
)
from accounts.services.audit import Actor, audit_write
from accounts.services.privacy.about import objects_of, tables
from accounts.services.sign_ins import sign_ins_end

TRACES: Final = (
    (SignIn, "user"),
    (OutstandingToken, "user"),
    (ApiKey, "user"),
    (SecondFactor, "user"),
    (IdempotentCall, "user"),
    (Alert, "user"),
    (AlertChannel, "user"),
    (Credentials, "account__owner"),
)
"""What goes whole: how the person got in, what they were told, and the keys of their accounts."""
BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was done."""

    pseudonym: str
    mentions: dict[str, int]
    """Rows in which the address stood and now the pseudonym does, by table."""
    deleted: dict[str, int]


def pseudonym_of(user: User) -> str:
    """Return the address under which a person's history stays. It belongs to a domain that can never exist (RFC 2606)."""
    return f"person-{user.pk}@forgotten.invalid"


def person_forget(*, user: User, actor: Actor) -> Forgotten:
    """Let nobody in as this person any more, then take their address out of every text, then all else that is theirs.

    The row of the person changes last, in one transaction with what goes: killed before that, it is done again.
    """
    User.objects.filter(pk=user.pk).update(is_active=False)
    sign_ins_end(user=user, actor=actor, reason="forgotten")
    mentions = {model._meta.label: _unmention(model, user) for model in tables() if model is not User}
    mentions = {label: count for label, count in mentions.items() if count}
    deleted: dict[str, int] = {}
    with transaction.atomic():
        _entries_from(user).update(address=None)  # first: it asks for their sign-ins
        for model, path in TRACES:
            if count := model._default_manager.filter(**{path: user}).delete()[1].get(model._meta.label, 0):
                deleted[model._meta.label] = count
        _pseudonymise(user)
        audit_write(actor=actor, action="person-forget", obj=user, after={"mentions": mentions, "deleted": deleted})
    return Forgotten(pseudonym_of(user), mentions, deleted)


def _entries_from(user: User) -> QuerySet[AuditEntry]:
    """Return what they did, and what was done for who was not signed in yet but acted as them: a link for a new password."""
    return AuditEntry.objects.filter(Q(actor=user) | Q(objects_of(user), actor=None))


def _pseudonymise(user: User) -> None:
    user.email, user.time_zone, user.last_login = pseudonym_of(user), "UTC", None
    user.is_staff = user.is_superuser = user.is_active = False
    user.set_unusable_password()
    user.save()
    user.groups.clear()
    user.user_permissions.clear()


def _unmention(model: type[Model], user: User) -> int:
    """Write the pseudonym wherever a text of this table has the address, in any spelling. Returns how many rows.

    Only columns that change are written: beside them a row may hold a state that somebody else is just changing.
    """
    fields = [field for field in model._meta.concrete_fields if isinstance(field, (CharField, TextField, JSONField))]
    fields = [field for field in fields if not field.primary_key]
    if not fields:
        return 0
    spelling, count = _spelling_of(user.email), 0
    for key, values in _mentioning(model, fields, user.email):
        told = {
            name: _replaced(model._meta.get_field(name), value, spelling, pseudonym_of(user))
            for name, value in values.items()
        }
        if changed := {name: value for name, value in told.items() if value != values[name]}:
            model._default_manager.filter(pk=key).update(**changed)
            count += 1
    return count


def _spelling_of(email: str) -> re.Pattern[str]:
    """Return what finds an address, and not the end or beginning of somebody else's: bob@x.org stands in jimbob@x.org.uk.

    A dot behind it is of the address only where a letter or digit follows: else it ends a sentence.
    """
    return re.compile(rf"(?<![\w.+-]){re.escape(email)}(?![\w-]|\.\w)", re.IGNORECASE)


def _mentioning(
    model: type[Model], fields: Sequence[Field[Any, Any]], email: str
) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield key and texts of the rows in which an address stands. JSON is looked at as text, as the database keeps it."""
    names = [field.name for field in fields]
    rows = model._default_manager.order_by("pk")
    found = Q()
    for field in fields:
        looked_at = f"text_of_{field.name}"
        rows = rows.annotate(**{looked_at: Cast(field.name, TextField())})
        for form in {email, json.dumps(email)[1:-1]}:
            found |= Q(**{f"{looked_at}__icontains": form})
    keys = list(rows.filter(found).values_list("pk", flat=True))
    for start in range(0, len(keys), BATCH):
        for row in model._default_manager.filter(pk__in=keys[start : start + BATCH]).values("pk", *names):
            yield row.pop("pk"), row


def _replaced(field: Any, value: Any, spelling: re.Pattern[str], by: str) -> Any:
    if isinstance(field, JSONField):
        return _replaced_within(value, spelling, by)
    return None if value is None else spelling.sub(by, value)[: field.max_length]


def _replaced_within(value: Any, spelling: re.Pattern[str], by: str) -> Any:
    """Return what JSON holds with the texts and keys in it replaced. Each by itself: written out, a new line ends in an n."""
    if isinstance(value, dict):
        return {spelling.sub(by, key): _replaced_within(held, spelling, by) for key, held in value.items()}
    if isinstance(value, list):
        return [_replaced_within(held, spelling, by) for held in value]
    return spelling.sub(by, value) if isinstance(value, str) else value
