"""How candles get into their table: what is new goes in, what differs is changed, what was closed is noted before.

Plain SQL: the ORM takes ten times as long for a history, and cannot make a change depend on the row it meets. Mostly
all rows are new, and those go in the shortest way there is. Otherwise an unchanged row is not written again, a closed
one never becomes forming, and a closed one that comes closed again with other values leaves a CandleCorrection.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import datetime
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from django.db import IntegrityError, connection, transaction

from marketdata.models import Candle, CandleCorrection
from vibex.lib.clock import from_ms

if TYPE_CHECKING:
    from marketdata.domain.candles import Candles

TABLE: Final = Candle._meta.db_table
KEY: Final = ("venue", "symbol", "interval", "open_time")
VALUE_NAMES: Final = ("open", "high", "low", "close", "volume")
COLUMNS: Final = (*KEY, *VALUE_NAMES, "closed")
TYPES: Final = ("text",) * 3 + ("timestamptz",) + ("float8",) * 5 + ("boolean",)
SMALL: Final = 50
"""Up to so many rows one array per column costs less than a table to stage them in (PostgreSQL)."""
STAGING: Final = "candle_staging"
EPOCH_2000_US: Final = 946_684_800_000_000
"""PostgreSQL counts microseconds from 2000, Unix from 1970."""
COPY_HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
COPY_TRAILER: Final = struct.pack(">h", -1)

type Row = tuple[Any, ...]


def _names(names: Sequence[str], alias: str = "") -> str:
    return ", ".join(f"{alias}.{name}" if alias else name for name in names)


def _pairs(left: str, right: str, names: Sequence[str], joint: str) -> str:
    return joint.join(f"{left}{name} = {right}.{name}" for name in names)


def _json_of(alias: str) -> str:
    return f"jsonb_build_object({', '.join(f"'{name}', {alias}.{name}" for name in VALUE_NAMES)})"


INSERT: Final = f"INSERT INTO {TABLE} ({_names(COLUMNS)}) "
STAGE: Final = (
    f"DROP TABLE IF EXISTS pg_temp.{STAGING}; CREATE TEMP TABLE {STAGING} "
    f"({', '.join(f'{name} {kind}' for name, kind in zip(COLUMNS, TYPES, strict=True))}) ON COMMIT DROP"
)
COPY: Final = f"COPY {{table}} ({_names(COLUMNS)}) FROM STDIN (FORMAT BINARY)"
UNNEST: Final = f"unnest({', '.join(f'%s::{kind}[]' for kind in TYPES)}) AS s ({_names(COLUMNS)})"
STAGED: Final = f"pg_temp.{STAGING} AS s"
DIFFERS: Final = (
    f"({_names((*VALUE_NAMES, 'closed'), '{left}')}) {{unlike}} ({_names((*VALUE_NAMES, 'closed'), '{right}')})"
)
MEETS: Final = (
    f" ON CONFLICT ({_names(KEY)}) DO UPDATE SET {_pairs('', 'excluded', (*VALUE_NAMES, 'closed'), ', ')} "
    f"WHERE (excluded.closed OR NOT {TABLE}.closed) AND "
)
UPSERT: Final = f"{INSERT}SELECT {_names(COLUMNS, 's')} FROM {{source}}{MEETS}" + DIFFERS.format(  # noqa: S608
    left=TABLE, unlike="IS DISTINCT FROM", right="excluded"
)
NOTE: Final = (
    f"INSERT INTO {CandleCorrection._meta.db_table} ({_names(KEY)}, before, after) "  # noqa: S608
    f"SELECT {_names(KEY, 's')}, {_json_of('c')}, {_json_of('s')} FROM {{source}} CROSS JOIN LATERAL "
    f"(SELECT {_names(VALUE_NAMES, 'c')} FROM {TABLE} AS c WHERE {_pairs('c.', 's', KEY, ' AND ')} AND c.closed AND "
    + DIFFERS.format(left="c", unlike="IS DISTINCT FROM", right="s")
    + " LIMIT 1) AS c WHERE s.closed"
)
"""Row by row through the key's index whatever the planner believes of the table: it was wrong by a factor of 200."""
ONE_ROW: Final = f"VALUES ({', '.join(['%s'] * len(COLUMNS))})"
NEW_ROW: Final = f"{INSERT}{ONE_ROW} ON CONFLICT DO NOTHING"
CHANGE_ROW: Final = f"{INSERT}{ONE_ROW}{MEETS}" + DIFFERS.format(left=TABLE, unlike="IS NOT", right="excluded")


def candles_write(venue: str, batch: Sequence[Candles], *, closed: bool) -> int:
    """Write possible candles in one transaction and return how many rows are new or changed.

    Every candle is in the batch once.
    """
    ordered = sorted((candles for candles in batch if len(candles)), key=lambda one: (one.symbol, one.interval))
    if not ordered:
        return 0
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            return _write_arrays(cursor, venue, ordered, closed=closed)
        return _write_rows(cursor, venue, ordered, closed=closed)


def copy_bytes(venue: str, batch: Sequence[Candles], *, closed: bool) -> bytes:
    """Return the candles as a binary COPY of COLUMNS, computed by column: rows of one series have one length."""
    blocks = [_copy_block(venue, candles, closed=closed) for candles in batch]
    return b"".join((COPY_HEADER, *blocks, COPY_TRAILER))


def rows_of(venue: str, candles: Candles, *, closed: bool) -> list[Row]:
    """Return COLUMNS of each candle as SQLite keeps them: times as text."""
    texts = np.datetime_as_string(candles.open_time.astype("datetime64[ms]"), unit="s").tolist()
    columns = [getattr(candles, name).tolist() for name in VALUE_NAMES]
    symbol, interval = candles.symbol, candles.interval
    return [
        (venue, symbol, interval, at.replace("T", " "), *values, closed)
        for at, *values in zip(texts, *columns, strict=True)
    ]


def _write_arrays(cursor: Any, venue: str, batch: Sequence[Candles], *, closed: bool) -> int:
    """Write on PostgreSQL, all rows at once: into the table itself, by a staging table, or from arrays."""
    count = sum(map(len, batch))
    if count > SMALL and len(batch) == 1 and _write_straight(cursor, venue, batch[0], closed=closed):
        return count
    source, arrays = STAGED, list[Any]()
    if count <= SMALL:
        source, arrays = UNNEST, _columns(venue, batch, closed=closed)
    else:
        cursor.execute(STAGE)
        _copy(cursor, f"pg_temp.{STAGING}", copy_bytes(venue, batch, closed=closed))
    if closed:
        cursor.execute(NOTE.format(source=source), arrays)
    cursor.execute(UPSERT.format(source=source), arrays)
    return int(cursor.rowcount)


def _write_straight(cursor: Any, venue: str, candles: Candles, *, closed: bool) -> bool:
    """Copy a series into a span that is empty, and tell whether it was: three times as fast as by a staging table.

    Somebody may fill the span meanwhile; then nothing is written.
    """
    first, last = _reach([candles])
    rows = Candle.objects.filter(venue=venue, symbol=candles.symbol, interval=candles.interval)
    if rows.filter(open_time__gte=first, open_time__lte=last).exists():
        return False
    try:
        with transaction.atomic():
            _copy(cursor, TABLE, copy_bytes(venue, [candles], closed=closed))
    except IntegrityError:
        return False
    return True


def _copy(cursor: Any, table: str, rows: bytes) -> None:
    with connection.wrap_database_errors, cursor.copy(COPY.format(table=table)) as copy:
        copy.write(rows)  # Django's cursor does not know COPY, so it would raise psycopg's own errors


def _write_rows(cursor: Any, venue: str, batch: Sequence[Candles], *, closed: bool) -> int:
    """Write on SQLite, row by row. The first statement locks the database, so nothing changes between them."""
    rows = [row for candles in batch for row in rows_of(venue, candles, closed=closed)]
    cursor.executemany(NEW_ROW, rows)
    new = int(cursor.rowcount)
    if new == len(rows):
        return new
    if closed:
        CandleCorrection.objects.bulk_create(chain.from_iterable(_corrections(venue, candles) for candles in batch))
    cursor.executemany(CHANGE_ROW, rows)
    return new + int(cursor.rowcount)


def _corrections(venue: str, candles: Candles) -> list[CandleCorrection]:
    """Return a correction for each closed stored candle that differs from the one that comes.

    Written down here and not by SQLite, whose JSON rounds a float to 15 digits.
    """
    first, last = _reach([candles])
    key = {"venue": venue, "symbol": candles.symbol, "interval": candles.interval}
    stored = Candle.objects.filter(**key, closed=True, open_time__gte=first, open_time__lte=last)
    before = {at: values for at, *values in stored.values_list("open_time", *VALUE_NAMES)}
    after = {from_ms(at): list(values) for at, *values in _plain(candles)}
    return [
        CandleCorrection(**key, open_time=at, before=_named(before[at]), after=_named(values))
        for at, values in after.items()
        if at in before and before[at] != values
    ]


def _named(values: Sequence[float]) -> dict[str, float]:
    return dict(zip(VALUE_NAMES, values, strict=True))


def _plain(candles: Candles) -> zip[Row]:
    """Iterate over open time in ms and the five values."""
    columns = (candles.open_time, *(getattr(candles, name) for name in VALUE_NAMES))
    return zip(*(column.tolist() for column in columns), strict=True)


def _columns(venue: str, batch: Sequence[Candles], *, closed: bool) -> list[Any]:
    """Return COLUMNS as one list each."""
    count = sum(map(len, batch))
    names = [(candles.symbol, candles.interval) for candles in batch for _ in range(len(candles))]
    times = [from_ms(at) for candles in batch for at in candles.open_time.tolist()]
    values = [[value for candles in batch for value in getattr(candles, name).tolist()] for name in VALUE_NAMES]
    symbols, intervals = (list(column) for column in zip(*names, strict=True))
    return [[venue] * count, symbols, intervals, times, *values, [closed] * count]


def _copy_block(venue: str, candles: Candles, *, closed: bool) -> bytes:
    """Return the rows of one series: a count of fields, then length and bytes of each, big-endian."""
    texts = {name: text.encode() for name, text in zip(KEY, (venue, candles.symbol, candles.interval), strict=False)}
    kinds = {name: f"S{len(text)}" for name, text in texts.items()} | {"open_time": ">i8"}
    kinds |= dict.fromkeys(VALUE_NAMES, ">f8") | {"closed": "?"}
    layout = [("fields", ">i2")]
    for name in COLUMNS:
        layout += [(f"{name}_length", ">i4"), (name, kinds[name])]
    block = np.empty(len(candles), dtype=layout)
    block["fields"] = len(COLUMNS)
    for name in COLUMNS:
        block[f"{name}_length"] = block.dtype[name].itemsize
    for name, text in texts.items():
        block[name] = text
    block["open_time"] = candles.open_time * 1_000 - EPOCH_2000_US
    for name in VALUE_NAMES:
        block[name] = getattr(candles, name)
    block["closed"] = closed
    return block.tobytes()


def _reach(batch: Sequence[Candles]) -> tuple[datetime, datetime]:
    """Return the first and the last open time."""
    first = min(int(candles.open_time[0]) for candles in batch)
    return from_ms(first), from_ms(max(int(candles.open_time[-1]) for candles in batch))
