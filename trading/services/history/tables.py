"""Many rows into a table in one go: COPY on PostgreSQL, executemany on SQLite. Plain SQL: the ORM takes ten times as long.

Columns that are not told have the default of their field, so that a column that is added later needs nothing here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import batched, islice
from typing import Any, Final

from django.db import connection
from django.db.models import NOT_PROVIDED, Field, Max, Model
from django.db.models.expressions import Value

from trading.services.history.rows import Row

AT_ONCE: Final = 20_000
"""Rows between two times that somebody is told how far it is."""

type Told = Callable[[int], None]


def rows_put(model: type[Model], columns: Sequence[str], rows: Iterable[Row], told: Told) -> None:
    """Write rows, in the transaction of the caller; `told` is called with the number of each some that are written."""
    rest = [field for field in model._meta.concrete_fields if field.column not in columns]
    constants = tuple(_default(field) for field in rest)
    names = [*columns, *(str(field.column) for field in rest)]
    with connection.cursor() as cursor:
        put = _copied if connection.vendor == "postgresql" else _inserted
        put(cursor, model._meta.db_table, names, rows, constants, told)


def keys_reserve(model: type[Model], count: int) -> int:
    """Return the first of `count` keys that nobody else is given any more."""
    table, newest = model._meta.db_table, model._default_manager.aggregate(newest=Max("pk"))["newest"] or 0
    if connection.vendor != "postgresql":
        return int(newest) + 1  # SQLite counts on from the highest key that it sees
    with connection.cursor() as cursor:
        cursor.execute("SELECT nextval(pg_get_serial_sequence(%s, 'id'))", [table])
        first = max(int(cursor.fetchone()[0]), int(newest) + 1)
        cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, first + count - 1])
    return first


def settle() -> None:
    """Let the database know what it holds, as it does by itself in time."""
    with connection.cursor() as cursor:
        vacuums = connection.vendor == "postgresql" and not connection.in_atomic_block  # where it is not allowed
        cursor.execute("VACUUM ANALYZE" if vacuums else "ANALYZE")


def _copied(cursor: Any, table: str, names: Sequence[str], rows: Iterable[Row], constants: Row, told: Told) -> None:
    statement = f"COPY {_quoted(table)} ({', '.join(map(_quoted, names))}) FROM STDIN"
    with connection.wrap_database_errors, cursor.copy(statement) as copy:
        for some in batched(rows, AT_ONCE):
            for row in some:
                copy.write_row(row + constants)
            told(len(some))


def _inserted(cursor: Any, table: str, names: Sequence[str], rows: Iterable[Row], constants: Row, told: Told) -> None:
    values = ", ".join(["%s"] * len(names))
    statement = f"INSERT INTO {_quoted(table)} ({', '.join(map(_quoted, names))}) VALUES ({values})"  # noqa: S608 - our own names
    following = iter(rows)
    while some := [_as_text(row) + constants for row in islice(following, AT_ONCE)]:
        cursor.executemany(statement, some)
        told(len(some))


def _as_text(row: Row) -> Row:
    """Return a row as SQLite keeps it: times without their zone, which is UTC."""
    return tuple(str(value.replace(tzinfo=None)) if isinstance(value, datetime) else value for value in row)


def _default(field: Field[Any, Any]) -> Any:
    """Return what a row has in a column that is not told, as the database takes it."""
    value: Any = field.get_default()
    if not field.has_default() and field.db_default is not NOT_PROVIDED:
        value = field.db_default.value if isinstance(field.db_default, Value) else field.db_default
    prepared = field.get_db_prep_save(value, connection)
    return prepared.dumps(prepared.obj) if hasattr(prepared, "obj") else prepared  # JSON comes wrapped for psycopg


def _quoted(name: str) -> str:
    return connection.ops.quote_name(name)
