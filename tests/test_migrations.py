"""The tables are what the models say, and their history is one line per app."""

from __future__ import annotations

import pytest
from django.core.management import call_command
from django.db import connection
from django.db.migrations.loader import MigrationLoader

APPS = ("accounts", "marketdata", "decisions", "trading")


@pytest.mark.django_db
def test_no_model_waits_for_a_migration() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("app", APPS)
def test_each_migration_follows_the_one_before_it(app: str) -> None:
    history = MigrationLoader(connection=None).disk_migrations
    names = sorted(name for label, name in history if label == app)
    for before, name in zip([None, *names], names, strict=False):
        parents = [parent for label, parent in history[app, name].dependencies if label == app]
        assert parents == ([before] if before else []), f"{app}.{name} does not follow {before}"


@pytest.mark.parametrize("app", APPS)
def test_migrations_are_named_for_people(app: str) -> None:
    assert [
        name for label, name in MigrationLoader(connection=None).disk_migrations if label == app and "auto_" in name
    ] == []


@pytest.mark.django_db
def test_every_constraint_of_the_models_is_in_the_database() -> None:
    from django.apps import apps

    missing = []
    for model in apps.get_models():
        if model._meta.app_label in APPS:
            with connection.cursor() as cursor:
                known = connection.introspection.get_constraints(cursor, model._meta.db_table)
            missing += [rule.name for rule in model._meta.constraints if rule.name not in known]
    assert missing == []
