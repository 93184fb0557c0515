"""Candles become a hypertable where TimescaleDB is there. It is not here: its functions are stood in for, the server is real."""

from importlib import import_module

import pytest
from django.db import connection, transaction

from marketdata.models import Candle
from marketdata.services import candles_upsert
from marketdata.tests.build import walk

migration = import_module("marketdata.migrations.0004_candle_storage")
vacuumed = import_module("marketdata.migrations.0007_vacuumed_in_steps")
EVERY = (migration.MAKE_HYPERTABLE, *migration.COLUMNSTORE, *migration.COMPRESSION)


def sql(text: str, *values: object) -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute(text, values or None)
        return cursor.fetchall() if cursor.description else []


@pytest.fixture
def stubs(db):
    """Stand in for what TimescaleDB would bring; what was called is in the table `called`."""
    sql("CREATE TABLE called (what text)")
    sql("CREATE FUNCTION by_range(name, interval) RETURNS text LANGUAGE sql AS $$ SELECT $1 || ' by ' || $2 $$")
    sql(
        "CREATE FUNCTION create_hypertable(relation regclass, dimension text, create_default_indexes boolean, "
        "if_not_exists boolean, migrate_data boolean) RETURNS void LANGUAGE sql AS "
        "$$ INSERT INTO called VALUES (relation || ' ' || dimension) $$"
    )
    yield
    sql("DROP FUNCTION by_range; DROP FUNCTION create_hypertable; DROP TABLE called")


def still_a_sound_table() -> bool:
    candles_upsert(venue="sim", candles=walk(60), closed=True)
    return Candle.objects.count() == 60


def test_what_is_told_to_timescale():
    hypertable, (columnstore, policy), (compress, old_policy) = EVERY[0], EVERY[1:3], EVERY[3:5]
    assert "'marketdata_candle', by_range('open_time', INTERVAL '7 days')" in hypertable
    assert "migrate_data => TRUE" in hypertable
    for enabled in (columnstore, compress):
        assert "segmentby = 'venue, symbol, \"interval\"'" in enabled
        assert "orderby = 'open_time'" in enabled
    assert policy.startswith("CALL add_columnstore_policy('marketdata_candle', after => INTERVAL '14 days'")
    assert old_policy.startswith(
        "SELECT add_compression_policy('marketdata_candle', compress_after => INTERVAL '14 days'"
    )
    assert all("if_not_exists => TRUE" in statement for statement in (hypertable, policy, old_policy))


def test_the_key_of_a_candle_holds_the_time_as_a_hypertable_needs_it():
    names = [field.name for field in Candle._meta.pk_fields]
    assert names == ["venue", "symbol", "interval", "open_time"]


@pytest.mark.parametrize(
    ("version", "number"), [("2.23.1", (2, 23)), ("2.18.0-dev", (2, 18)), ("3.0", (3, 0)), ("2.13-rc1", (2, 13))]
)
def test_a_version_is_read(version, number):
    assert migration.numbers(version) == number


@pytest.mark.postgres
@pytest.mark.django_db
@pytest.mark.parametrize("statement", [*EVERY, *migration.PLAIN_AGAIN, migration.IS_HYPERTABLE])
def test_every_statement_is_one_that_the_server_can_parse(statement):
    body = statement.replace("SELECT", "PERFORM", 1) if statement.startswith("SELECT") else statement
    sql(f"DO $body$ BEGIN RETURN; {body}; END $body$")


@pytest.mark.postgres
@pytest.mark.django_db
def test_without_the_extension_candles_stay_in_a_plain_table():
    assert migration.extension(connection) is None
    assert still_a_sound_table()


@pytest.mark.postgres
@pytest.mark.django_db
def test_an_extension_that_is_not_preloaded_is_left_alone(monkeypatch):
    monkeypatch.setattr(migration, "AVAILABLE", "SELECT 1")
    monkeypatch.setattr(migration, "EXTENSION", "SELECT 1 / 0")
    assert migration.extension(connection) is None
    monkeypatch.setattr(migration, "PRELOADED", "SELECT 1")
    assert migration.extension(connection) is None  # it may not be installed: the fault is told, the table is sound
    assert still_a_sound_table()


@pytest.mark.postgres
def test_an_edition_that_does_not_compress_leaves_a_hypertable(stubs):
    assert migration.make_hypertable(connection, "2.23.1") == "hypertable"
    assert sql("SELECT what FROM called") == [("marketdata_candle open_time by 7 days",)]
    assert still_a_sound_table()


@pytest.mark.postgres
@pytest.mark.parametrize(("version", "policy"), [("2.23.1", "columnstore"), ("2.14.2", "compression")])
def test_each_version_is_told_in_its_own_words(stubs, monkeypatch, version, policy):
    told = []
    monkeypatch.setattr(migration, "run", lambda _, statements, why: told.extend(statements) or True)
    assert migration.make_hypertable(connection, version) == "compressed"
    assert told[0] == migration.MAKE_HYPERTABLE
    assert f"add_{policy}_policy" in told[-1]
    assert told.index(told[-1]) == 2


@pytest.mark.postgres
@pytest.mark.django_db
def test_a_version_that_is_too_old_or_a_refusal_leaves_a_plain_table():
    assert migration.make_hypertable(connection, "2.11.0") == "plain"
    assert migration.make_hypertable(connection, "2.23.1") == "plain"  # there is no create_hypertable
    assert still_a_sound_table()


@pytest.mark.postgres
@pytest.mark.django_db
def test_the_way_back_keeps_rows_key_and_constraints():
    candles_upsert(venue="sim", candles=walk(60), closed=True)
    sql(f"ALTER TABLE {migration.TABLE} RESET ({vacuumed.RESET_GROWS})")  # a later step, so it is gone back first
    with connection.cursor() as cursor:
        before = connection.introspection.get_constraints(cursor, migration.TABLE)
    for statement in migration.PLAIN_AGAIN:
        sql(statement)
    with connection.cursor() as cursor:
        assert connection.introspection.get_constraints(cursor, migration.TABLE) == before
    assert candles_upsert(venue="sim", candles=walk(61), closed=True) == 1
    with pytest.raises(Exception, match="candle_is_possible"), transaction.atomic():
        sql(f"UPDATE {migration.TABLE} SET low = -1")


@pytest.mark.django_db
def test_on_a_plain_table_nothing_happens_however_often():
    class Editor:
        pass

    Editor.connection = connection
    for _ in range(2):
        migration.choose(None, Editor)
        migration.back(None, Editor)
    assert still_a_sound_table()
