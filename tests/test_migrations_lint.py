"""New migrations hold no lock for long on a database that is in use: squawk reads the statements that PostgreSQL would get.

What was released before stays as it is; from these on every migration is looked at.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations import Migration, RunPython, RunSQL
from django.db.migrations.operations import AddIndex, RemoveIndex

from tests.oracles.environments import environment, newest_day, uv
from vibex.lib.env import ROOT
from vibex.lib.migrating import AddIndexSafely

RELEASED = {
    "accounts": "0005_access_and_figures",
    "marketdata": "0006_told_to_be_silent",
    "decisions": "0005_access_and_figures",
    "trading": "0004_access_and_figures",
}
SQUAWK = "squawk-cli==2.70.0"
LEFT_OUT = {
    "prefer-text-field": "Django writes varchar; a longer one needs no rewrite",
    "require-lock-timeout": "the session has one (vibex/settings/database.py)",
    "require-statement-timeout": "the session has none on purpose: a migration takes what it takes",
    "transaction-nesting": "sqlmigrate writes BEGIN and COMMIT itself",
    "prefer-robust-stmts": "Django runs a migration in one transaction, and once",
    "prefer-bigint-over-int": "the models say what is enough",
}


def new_migrations() -> list[tuple[str, str]]:
    return [
        (app, file.stem)
        for app, released in RELEASED.items()
        for file in sorted((ROOT / app / "migrations").glob("0*.py"))
        if file.stem > released
    ]


def migration(app: str, name: str) -> type[Migration]:
    return importlib.import_module(f"{app}.migrations.{name}").Migration


def squawked(*files: Path) -> list[dict]:
    """Return what squawk says of files with statements."""
    command = [uv(), "run", "--quiet", "--no-project", "--isolated", "--exclude-newer", newest_day(), "--python",
               sys.executable, "--with", SQUAWK, "squawk", "--reporter", "json", "--pg-version", "15"]  # fmt: skip
    command += [part for rule in LEFT_OUT for part in ("--exclude", rule)]
    done = subprocess.run(
        [*command, *files], capture_output=True, text=True, env=environment(), timeout=180, check=False
    )
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout)


@pytest.mark.ci
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_new_migration_holds_up_a_database_that_is_in_use(tmp_path):
    files = []
    for app, name in new_migrations():
        out = StringIO()
        call_command("sqlmigrate", app, name, stdout=out)
        files.append(tmp_path / f"{app}.{name}.sql")
        files[-1].write_text(out.getvalue())
    assert files
    found = [f"{Path(one['file']).stem}: {one['rule_name']}: {one['message']}" for one in squawked(*files)]
    assert found == []


@pytest.mark.ci
def test_the_linter_does_object_to_what_locks(tmp_path):
    file = tmp_path / "bad.sql"
    file.write_text(
        "BEGIN;\nCREATE INDEX a ON trading_order (created);\nALTER TABLE trading_order ALTER COLUMN filled TYPE bigint;\n"
        "ALTER TABLE trading_order ADD CONSTRAINT c CHECK (filled > 0);\nCOMMIT;\n"
    )
    rules = {one["rule_name"] for one in squawked(file)}
    assert {"require-concurrent-index-creation", "changing-column-type", "constraint-missing-not-valid"} <= rules


@pytest.mark.parametrize(("app", "name"), new_migrations())
def test_new_indexes_are_added_beside_running_writers_and_every_step_has_a_way_back(app, name):
    found = migration(app, name)
    made_here = {one.name_lower for one in found.operations if type(one).__name__ == "CreateModel"}
    for operation in found.operations:
        if isinstance(operation, AddIndex | RemoveIndex) and operation.model_name_lower not in made_here:
            assert isinstance(operation, AddIndexSafely), f"{app}.{name}: use AddIndexSafely (vibex/lib/migrating.py)"
            assert found.atomic is False
        if isinstance(operation, RunPython | RunSQL):
            assert operation.reversible, f"{app}.{name}: a step has no way back; say noop where there is nothing to do"


@pytest.mark.ci
@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_an_index_that_broke_off_is_made_again(monkeypatch):
    from django.db.migrations.state import ProjectState
    from django.db.models import Index

    operation = AddIndexSafely("claim", Index(fields=["holder"], name="claim_of_holder"))
    before = ProjectState.from_apps(__import__("django.apps", fromlist=["apps"]).apps)
    after = before.clone()
    operation.state_forwards("trading", after)

    def valid() -> list[bool]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('claim_of_holder')")
            return [row[0] for row in cursor.fetchall()]

    with connection.cursor() as cursor:  # what a CREATE INDEX CONCURRENTLY that was cancelled leaves
        cursor.execute("CREATE INDEX claim_of_holder ON trading_claim (holder)")
        cursor.execute("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'claim_of_holder'::regclass")
    assert valid() == [False]
    with connection.schema_editor(atomic=False) as editor:
        operation.database_forwards("trading", editor, before, after)
    assert valid() == [True]
    with connection.schema_editor(atomic=False) as editor:
        operation.database_backwards("trading", editor, after, before)
    assert valid() == []
