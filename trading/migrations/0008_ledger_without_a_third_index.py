"""The ledger of an account is found by account and time, or by what a line is: the index on the account alone is in the way.

PostgreSQL took it, because it is the smallest, and read all of an account's lines where the newest were asked for.
"""

from __future__ import annotations

from typing import Any

import django.db.models.deletion
from django.db import migrations, models

TABLE, COLUMN = "trading_incomeentry", "account_id"


def drop(apps: Any, schema_editor: Any) -> None:
    """Drop it without a lock that anybody waits for. Done again after a break, it finds nothing to do."""
    for name in _indexes(schema_editor):
        _execute(schema_editor, f"DROP INDEX {_concurrently(schema_editor)} IF EXISTS {name}")


def make(apps: Any, schema_editor: Any) -> None:
    if not _indexes(schema_editor):
        _execute(schema_editor, f"CREATE INDEX {_concurrently(schema_editor)} {TABLE}_{COLUMN} ON {TABLE} ({COLUMN})")


def _indexes(schema_editor: Any) -> list[str]:
    connection = schema_editor.connection
    with connection.cursor() as cursor:
        found = connection.introspection.get_constraints(cursor, TABLE)
    return [
        schema_editor.quote_name(name)
        for name, one in found.items()
        if one["index"] and not one["unique"] and one["columns"] == [COLUMN]
    ]


def _concurrently(schema_editor: Any) -> str:
    return "CONCURRENTLY" if schema_editor.connection.vendor == "postgresql" else ""


def _execute(schema_editor: Any, statement: str) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(statement)


class Migration(migrations.Migration):
    atomic = False  # for CONCURRENTLY

    dependencies = [
        ("trading", "0007_indexes_of_what_is_at_work"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(drop, make)],
            state_operations=[
                migrations.AlterField(
                    model_name="incomeentry",
                    name="account",
                    field=models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="income",
                        to="accounts.account",
                    ),
                ),
            ],
        ),
    ]
