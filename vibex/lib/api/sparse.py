"""Sparse fields: `?fields=id,name` leaves out the rest."""

from __future__ import annotations

from typing import Any, Final

from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.serializers import BaseSerializer, ListSerializer

FIELDS: Final = "fields"


def wanted_fields(request: Request, known: list[str]) -> list[str]:
    """Return those of `known` that `fields` asks for, in their own order; all without it. Raises ValidationError (400)."""
    given = request.query_params.get(FIELDS, "")
    names = [name.strip() for name in given.split(",") if name.strip()]
    if unknown := sorted(set(names) - set(known)):
        text = f"There is no field {', '.join(unknown)}. There is {', '.join(known)}."
        raise ValidationError({FIELDS: [text]})
    return [name for name in known if name in names] if names else known


def fields_narrowed[S: BaseSerializer[Any]](serializer: S, request: Request) -> S:
    """Leave out of what a serializer tells, of one row or of many, the fields that were not asked for."""
    row: Any = serializer.child if isinstance(serializer, ListSerializer) else serializer
    wanted = wanted_fields(request, list(row.fields))
    for name in set(row.fields) - set(wanted):
        row.fields.pop(name)
    return serializer
