"""The audit trail, and what the other writers share: what a row holds, and validation told in one sentence."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import ValidationError
from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, models
from django.forms.models import model_to_dict

from accounts.models import Account, Alert, AuditEntry, Bot, User
from vibex.lib.errors import Rejected
from vibex.lib.requests import acting

type Actor = User | None
"""Who did it; None is Vibex itself."""


def audit_write(
    *,
    actor: Actor,
    action: str,
    obj: models.Model,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> AuditEntry:
    """Add who did what to which object, and by what way. Values are plain JSON and never hold a secret."""
    way = acting()
    account_id, bot_id = about(obj)
    return AuditEntry.objects.create(
        actor=actor,
        via=way.via,
        address=way.address,
        request_id=way.request_id,
        action=action,
        object_type=obj._meta.label_lower,
        object_id=str(obj.pk),
        account_id=account_id,
        bot_id=bot_id,
        before=before or {},
        after=after or {},
    )


def call_record(
    *, actor: Actor, object_type: str, object_id: str, obj: models.Model | None, told: dict[str, Any]
) -> AuditEntry:
    """Add that the API was asked to act, and how it answered. `obj`: the row that was found. `told` never holds what was sent."""
    way = acting()
    account_id, bot_id = (None, None) if obj is None else about(obj)
    return AuditEntry.objects.create(
        actor=actor,
        via=way.via,
        address=way.address,
        request_id=way.request_id,
        action="call",
        object_type=object_type[:60],
        object_id=object_id[:60],
        account_id=account_id,
        bot_id=bot_id,
        after=told,
    )


def about(obj: models.Model) -> tuple[int | None, int | None]:
    """Return the keys of the account and of the bot that a row is about, as its columns say.

    One query at most, and none unless the row knows its account only by a bot that is not loaded. An alert is about
    neither: it is the copy of one person, and what they do with it is nobody else's business.
    """
    if isinstance(obj, Alert):
        return None, None
    if isinstance(obj, Account):
        return obj.pk, None
    bot_id: int | None = obj.pk if isinstance(obj, Bot) else getattr(obj, "bot_id", None)
    account_id: int | None = getattr(obj, "account_id", None)
    if account_id is None and bot_id is not None:
        bot = obj._state.fields_cache.get("bot")
        account_id = bot.account_id if bot is not None else _account_of_bot(bot_id)
    return account_id, bot_id


def _account_of_bot(bot_id: int) -> int | None:
    return Bot.objects.filter(pk=bot_id).values_list("account_id", flat=True).first()


def stored_state(row: models.Model) -> dict[str, Any]:
    """Return what is stored of a row as plain JSON: decimals and times as text, as the database gives them back."""
    stored = type(row)._default_manager.filter(pk=row.pk).first()
    if stored is None:
        return {}
    plain: dict[str, Any] = json.loads(json.dumps(model_to_dict(stored), cls=DjangoJSONEncoder))
    return plain


@contextmanager
def validation_told() -> Iterator[None]:
    """Turn what the model's validation says into one Rejected that a person can read."""
    try:
        yield
    except ValidationError as error:
        errors = error.message_dict if hasattr(error, "error_dict") else None
        raise Rejected(_readable(error), code="invalid", errors=errors) from error
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
