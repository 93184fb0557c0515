"""Candles as a hypertable with compression where TimescaleDB is there, as a plain table everywhere else.

Nothing depends on which it became. The plain table needs no further index: newest candles and gaps are read off the
primary key. Open interest stays plain: its key does not hold the time. Old candles are removed by
`marketdata.services.retention`, which follows the setting; a policy in the database would keep today's value for ever.
"""

import logging
import re

from django.db import DatabaseError, migrations, transaction

log = logging.getLogger(__name__)

TABLE = "marketdata_candle"
INSTALLED = "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
AVAILABLE = "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
# An extension that is not preloaded ends the connection instead of raising; who may not see the setting cannot tell.
PRELOADED = "SELECT 1 FROM pg_settings WHERE name = 'shared_preload_libraries' AND setting LIKE '%timescaledb%'"
EXTENSION = "CREATE EXTENSION IF NOT EXISTS timescaledb"
MAKE_HYPERTABLE = (
    f"SELECT create_hypertable('{TABLE}', by_range('open_time', INTERVAL '7 days'), "
    "create_default_indexes => FALSE, if_not_exists => TRUE, migrate_data => TRUE)"
)
# Since 2.18 compression is called columnstore; both belong to the Community edition only.
SERIES = 'venue, symbol, "interval"'
ENABLE_COLUMNSTORE = (
    f"ALTER TABLE {TABLE} SET (timescaledb.enable_columnstore, "
    f"timescaledb.segmentby = '{SERIES}', timescaledb.orderby = 'open_time')"
)
ENABLE_COMPRESSION = (
    f"ALTER TABLE {TABLE} SET (timescaledb.compress, "
    f"timescaledb.compress_segmentby = '{SERIES}', timescaledb.compress_orderby = 'open_time')"
)
COLUMNSTORE = (
    ENABLE_COLUMNSTORE,
    f"CALL add_columnstore_policy('{TABLE}', after => INTERVAL '14 days', if_not_exists => TRUE)",
)
COMPRESSION = (
    ENABLE_COMPRESSION,
    f"SELECT add_compression_policy('{TABLE}', compress_after => INTERVAL '14 days', if_not_exists => TRUE)",
)
COLUMNSTORE_SINCE, BY_RANGE_SINCE = (2, 18), (2, 13)
HYPERTABLES = "to_regclass('timescaledb_information.hypertables')"
IS_HYPERTABLE = f"SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = '{TABLE}'"  # noqa: S608
PLAIN_AGAIN = (
    f"CREATE TABLE {TABLE}_plain (LIKE {TABLE} INCLUDING ALL)",
    f"INSERT INTO {TABLE}_plain SELECT * FROM {TABLE}",  # noqa: S608
    f"DROP TABLE {TABLE}",
    f"ALTER TABLE {TABLE}_plain RENAME TO {TABLE}",
    f"ALTER INDEX {TABLE}_plain_pkey RENAME TO {TABLE}_pkey",
)


def choose(apps, schema_editor):
    """Make a hypertable where that is possible. Safe to run twice."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    version = extension(connection)
    if version:
        make_hypertable(connection, version)


def extension(connection):
    """Return the version of the extension, installed here where that is allowed; None where it cannot be used."""
    installed = one(connection, INSTALLED)
    if installed is None and one(connection, AVAILABLE):
        if not one(connection, PRELOADED):
            log.warning("TimescaleDB is there but not in shared_preload_libraries: candles stay in a plain table")
        elif run(connection, (EXTENSION,), "the extension cannot be installed: candles stay in a plain table"):
            installed = one(connection, INSTALLED)
    return installed


def make_hypertable(connection, version):
    """Turn the table into a hypertable, and compress it where the edition can. Returns how far that went."""
    number = numbers(version)
    if number < BY_RANGE_SINCE:
        log.warning("TimescaleDB %s is older than 2.13: candles stay in a plain table", version)
        return "plain"
    if not run(connection, (MAKE_HYPERTABLE,), "no hypertable can be made: candles stay in a plain table"):
        return "plain"
    statements = COLUMNSTORE if number >= COLUMNSTORE_SINCE else COMPRESSION
    return "compressed" if run(connection, statements, "this edition does not compress") else "hypertable"


def back(apps, schema_editor):
    """Turn a hypertable into a plain table with the same rows, constraints and key."""
    connection = schema_editor.connection
    if connection.vendor != "postgresql" or not one(connection, f"SELECT {HYPERTABLES}"):
        return
    if one(connection, IS_HYPERTABLE):
        with connection.cursor() as cursor:
            for statement in PLAIN_AGAIN:
                cursor.execute(statement)


def numbers(version):
    """Return (2, 18) of "2.18.0-dev"."""
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else (0, 0)


def one(connection, question):
    with connection.cursor() as cursor:
        cursor.execute(question)
        row = cursor.fetchone()
    return row[0] if row else None


def run(connection, statements, otherwise):
    """Run all of them or none, and say whether they ran."""
    try:
        with transaction.atomic(using=connection.alias), connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    except DatabaseError as fault:
        log.warning("TimescaleDB: %s (%s)", otherwise, str(fault).strip().partition("\n")[0])
        return False
    return True


class Migration(migrations.Migration):
    dependencies = [
        ("marketdata", "0003_snapshot_per_symbol"),
    ]

    operations = [migrations.RunPython(choose, back)]
