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

from accounts.models import AuditEntry, User
from vibex.lib.errors import Rejected

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
    """Add who did what to which object. Values are plain JSON and never hold a secret."""
    return AuditEntry.objects.create(
        actor=actor,
        action=action,
        object_type=obj._meta.label_lower,
        object_id=str(obj.pk),
        before=before or {},
        after=after or {},
    )


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
