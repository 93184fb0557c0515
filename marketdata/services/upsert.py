"""Rows written in one statement that may depend on the row it meets, which the ORM cannot say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import connection, models, transaction


def upsert(
    model: type[models.Model],
    rows: Iterable[models.Model],
    *,
    key: Sequence[str],
    updates: Mapping[str, str],
    where: str = "",
) -> None:
    """Insert rows; where one of the same `key` is stored, set its columns as `updates` says.

    An update is SQL that both databases understand: `excluded` is the row that came, `stored` the one that is there.
    `where` decides per row whether it is updated at all.
    """
    fields = [field for field in model._meta.concrete_fields if not field.primary_key]
    table = [[field.get_db_prep_save(getattr(row, field.attname), connection) for field in fields] for row in rows]
    if not table:
        return
    names, places = ", ".join(f'"{field.column}"' for field in fields), ", ".join(["%s"] * len(fields))
    changes = ", ".join(f'"{name}" = {value}' for name, value in updates.items())
    statement = (
        f'INSERT INTO "{model._meta.db_table}" AS stored ({names}) VALUES ({places}) '  # noqa: S608
        f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET {changes}{f' WHERE {where}' if where else ''}"
    )
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        cursor.executemany(statement, table)
