"""What an acting call was asked to do, read strictly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import Serializer

OF_FORMS = frozenset({"csrfmiddlewaretoken"})
"""Sent along by a browser's form."""


def given(form: type[Serializer[Any]], request: Request, **options: Any) -> dict[str, Any]:
    """Return what the body says, as `form` reads it (`options` are the form's: `partial`, `instance`, `context`).

    Raises ValidationError (400) for what does not fit, and for a name that is not known: a misspelt one must not be
    taken for its default.
    """
    body = request.data
    reading = form(data=body, **options)
    if isinstance(body, Mapping):
        refuse_unknown(set(body) - OF_FORMS, set(reading.fields), "field")
    reading.is_valid(raise_exception=True)
    return dict(reading.validated_data)


def refuse_unknown(names: set[Any], known: set[str], what: str) -> None:
    """Raise ValidationError (400) that tells of each of `names` that is not in `known`."""
    if unknown := sorted(map(str, names - known)):
        there = ", ".join(sorted(known)) or "none"
        raise ValidationError({name: [f"There is no such {what}. There is: {there}."] for name in unknown})
