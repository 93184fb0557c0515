"""Rows of a list as they are told: what their serializer says of each, written by a loop that asks little of every field.

A page has a thousand fields and more. The framework looks each up by its path, step by step, and asks of every moment
anew what the time zone is; that took longer than the database. The serializer stays what says how a row looks.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import attrgetter
from typing import Any, Final

from django.core.exceptions import ObjectDoesNotExist
from django.db.models import ForeignKey
from rest_framework import serializers
from rest_framework.fields import Field, SkipField

type Step = Callable[[Any], Any]

PLAIN: Final[Mapping[type, Step]] = {
    serializers.CharField: str,
    serializers.IntegerField: int,
    serializers.FloatField: float,
}
"""Fields that do nothing else."""
NOT_THERE: Final = (AttributeError, KeyError, ObjectDoesNotExist)


def teller_of(kind: type[Any], context: Mapping[str, Any]) -> Any:
    """Return a serializer that shares its fields with all others of its kind: to make them takes as long as to read a page.

    Its methods see the `context`. One with others nested in it is made anew, as those ask theirs of it.
    """
    if kind not in _MADE:
        _MADE[kind] = _made(kind)
    made = _MADE[kind]
    if made is None:
        return kind(context=context)
    teller = copy.copy(made)
    teller._context = context
    return teller


def _made(kind: type[Any]) -> Any:
    """Return a serializer with its fields; None for one whose fields hang on more than its class."""
    serializer: Any = kind()
    nested = any(isinstance(field, serializers.BaseSerializer) for field in serializer.fields.values())
    return None if nested else serializer


_MADE: Final[dict[type[Any], Any]] = {}


def line_of(serializer: Any) -> Step:
    """Return what tells one row, the same as `serializer.to_representation`; moments are in UTC."""
    if type(serializer).to_representation is not serializers.Serializer.to_representation:
        told: Step = serializer.to_representation
        return told
    parts = [(field.field_name, field, *_steps(serializer, field)) for field in serializer._readable_fields]

    def line(row: Any) -> dict[str, Any]:
        if isinstance(row, Mapping):
            return dict(serializer.to_representation(row))
        found = {}
        for name, field, read, write in parts:
            try:
                value = read(row)
            except NOT_THERE:
                try:
                    value = field.get_attribute(row)  # which knows what stands for it
                except SkipField:
                    continue
            found[name] = None if value is None else write(value)
        return found

    return line


def _steps(serializer: Any, field: Any) -> tuple[Step, Step]:
    """Return how the value of a field is read from a row, and how it is written."""
    write = PLAIN.get(type(field), field.to_representation)
    if isinstance(field, serializers.SerializerMethodField):
        return _itself, getattr(serializer, field.method_name)
    if type(field) is serializers.PrimaryKeyRelatedField and field.pk_field is None:
        if (key := _key_column(serializer, field)) is not None:
            return attrgetter(key), _itself
    elif type(field).get_attribute is Field.get_attribute and field.source_attrs:
        if isinstance(field, serializers.DateTimeField):
            write = _moment(field)
        return _reader(field), write
    return field.get_attribute, write


def _reader(field: Any) -> Step:
    read = attrgetter(field.source)

    def value_of(row: Any) -> Any:
        value = read(row)
        return field.get_attribute(row) if callable(value) else value

    return value_of


def _key_column(serializer: Any, field: Any) -> str | None:
    """Return the column of a row that has the key of another, so that the other need not be read."""
    model = getattr(getattr(serializer, "Meta", None), "model", None)
    if model is None or len(field.source_attrs) != 1:
        return None
    column = next((each for each in model._meta.fields if each.name == field.source), None)
    return column.attname if isinstance(column, ForeignKey) else None


def _moment(field: Any) -> Step:
    def written(value: Any) -> Any:
        if isinstance(value, datetime) and value.tzinfo is UTC:
            return value.isoformat().removesuffix("+00:00") + "Z"
        return field.to_representation(value)

    return written


def _itself(value: Any) -> Any:
    return value
