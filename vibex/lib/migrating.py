"""Operations of migrations that take no lock which holds up a running installation."""

from __future__ import annotations

from typing import Any

from django.db import NotSupportedError
from django.db.migrations.operations import AddIndex, RunSQL

INVALID = """
SELECT 1 FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
WHERE c.relname = %s AND pg_table_is_visible(c.oid) AND NOT i.indisvalid
"""


class AddIndexSafely(AddIndex):
    """Add an index beside running writers: CONCURRENTLY on PostgreSQL, as always elsewhere.

    The migration has to say `atomic = False` and to hold nothing else but more of these. Broken off in the middle,
    PostgreSQL leaves an index that is maintained and never used; it is dropped when the migration runs again.
    """

    atomic = False

    def describe(self) -> str:
        return f"{super().describe()} beside running writers"

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)
            return
        if schema_editor.connection.in_atomic_block:
            raise NotSupportedError("An index is added beside running writers outside of a transaction: atomic = False")
        model = to_state.apps.get_model(app_label, self.model_name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        if not schema_editor.collect_sql:
            self._make_way(schema_editor)
        schema_editor.add_index(model, self.index, concurrently=True)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor != "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
            return
        model = from_state.apps.get_model(app_label, self.model_name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.remove_index(model, self.index, concurrently=True)

    def _make_way(self, schema_editor: Any) -> None:
        """Wait as long as it takes: writers wait for nothing meanwhile. Drop what an earlier try left."""
        name = self.index.name
        with schema_editor.connection.cursor() as cursor:
            cursor.execute("SET lock_timeout = 0")
            cursor.execute(INVALID, [name])
            if cursor.fetchone():
                cursor.execute(f"DROP INDEX CONCURRENTLY {schema_editor.quote_name(name)}")


class OnPostgres(RunSQL):
    """A statement that PostgreSQL alone knows; elsewhere nothing is done."""

    def database_forwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any) -> None:
        if schema_editor.connection.vendor == "postgresql":
            super().database_backwards(app_label, schema_editor, from_state, to_state)
