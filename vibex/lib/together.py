"""Rows of several tables in one query: for pages that show a little of much, so that each does not cost a way of its own.

Every row comes as one JSON object and is made an instance of its model again, with what was annotated. Decimals travel as
text, so that they arrive as they were stored.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Any, Final

from django.core.exceptions import FieldDoesNotExist
from django.db import connections, models
from django.db.models import F, QuerySet, TextField, Value
from django.db.models.functions import Cast, JSONObject

MOST_COLUMNS: Final = 50
"""PostgreSQL builds an object of at most 100 arguments, a name and a value for each column."""


def read_together(**asked: QuerySet[Any]) -> dict[str, list[Any]]:
    """Return the rows of each query under its name, in its order, by one query for all of them.

    What is annotated is on the rows; what is deferred is not, and costs a query when it is read after all. Orders go by
    columns of the row itself. Raises ValueError for a table with more columns than fit.
    """
    if not asked:
        return {}
    connection = connections[next(iter(asked.values())).db]
    parts: list[str] = []
    given: list[Any] = []
    for name, rows in asked.items():
        sql, values = _as_json(name, rows).query.sql_with_params()
        parts.append(f"SELECT * FROM ({sql}) AS part{len(parts)}")  # noqa: S608  # made by the ORM; values go apart
        given.extend(values)
    found: dict[str, list[Any]] = {name: [] for name in asked}
    with connection.cursor() as cursor:
        cursor.execute(" UNION ALL ".join(parts), given)
        for name, row in cursor.fetchall():
            found[name].append(_instance(asked[name], row if isinstance(row, dict) else json.loads(row)))
    return {name: _ordered(rows, asked[name]) for name, rows in found.items()}


def _as_json(name: str, rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return the query with two columns: its name, and each row as an object."""
    columns = {field.attname: field for field in _fields(rows)}
    added = {key: found.output_field for key, found in rows.query.annotations.items()}
    if len(columns) + len(added) > MOST_COLUMNS:
        raise ValueError(f"{rows.model.__name__} has more than {MOST_COLUMNS} columns: defer what is not shown")
    told = {key: _told(key, field) for key, field in (columns | added).items()}
    # Under names that no model has: an order by a column of the table must not find these.
    called = {"together_name": Value(name, TextField()), "together_row": JSONObject(**told)}
    told_rows: QuerySet[Any] = rows.annotate(**called).values_list("together_name", "together_row")
    return told_rows


def _fields(rows: QuerySet[Any]) -> list[Any]:
    names, defer = rows.query.deferred_loading
    fields = rows.model._meta.concrete_fields
    if not names:
        return list(fields)
    return [field for field in fields if (field.name not in names) == defer or (field.primary_key and not defer)]


def _told(name: str, field: models.Field[Any, Any]) -> Any:
    return Cast(name, TextField()) if isinstance(field, models.DecimalField) else F(name)


def _instance(rows: QuerySet[Any], told: dict[str, Any]) -> Any:
    model: type[models.Model] = rows.model
    fields = {field.attname: _value(field, told[field.attname]) for field in _fields(rows)}
    made = model.from_db(rows.db, list(fields), list(fields.values()))
    for name, found in rows.query.annotations.items():
        setattr(made, name, _value(found.output_field, told[name]))
    return made


def _value(field: models.Field[Any, Any], told: Any) -> Any:
    """Return a value as the model has it."""
    if told is None:
        return None
    if isinstance(field, models.JSONField):
        return json.loads(told) if isinstance(told, str) else told
    if isinstance(field, models.DecimalField):
        return Decimal(told)
    if isinstance(field, models.DateTimeField):
        at = datetime.fromisoformat(told)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    return field.to_python(told)


def _ordered(rows: list[Any], asked: QuerySet[Any]) -> list[Any]:
    """Return rows in the order of their query: what several queries give together has none."""
    for column in reversed(list(_order(asked))):
        name = column.lstrip("-")
        try:
            name = asked.model._meta.get_field("id" if name == "pk" else name).attname
        except FieldDoesNotExist:
            if name not in asked.query.annotations:
                raise
        rows.sort(key=partial(_key, name), reverse=column.startswith("-"))
    return rows


def _key(name: str, row: Any) -> tuple[bool, Any]:
    value = getattr(row, name)
    return value is None, value


def _order(asked: QuerySet[Any]) -> Iterable[str]:
    query = asked.query
    return query.order_by or (asked.model._meta.ordering if query.default_ordering else ())  # type: ignore[return-value]
