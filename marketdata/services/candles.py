"""Writers of candles. What cannot be true is put aside with an incident and never stored beside the others."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any, Final

import numpy as np
from django.db import connection, transaction

from accounts.services import incident_open
from marketdata.domain.candles import Candles
from marketdata.domain.quality import Fault, faults, without
from marketdata.domain.recording import Quarantined
from marketdata.models import Candle, QuarantinedCandle
from vibex.lib.clock import from_ms

BATCH: Final = 5_000
"""Rows of one transaction: a kill loses at most so many, and the next start writes them."""
KEY: Final = ["venue", "symbol", "interval", "open_time"]
VALUES: Final = ["open", "high", "low", "close", "volume", "closed"]
VALUE_NAMES: Final = VALUES[:-1]
TYPES: Final = ["text"] * 3 + ["timestamptz"] + ["float8"] * 5 + ["boolean"]
ROW_BY_ROW: Final = f"VALUES ({', '.join(['%s'] * len(TYPES))})"
COLUMNS_AT_ONCE: Final = f"SELECT * FROM unnest({', '.join(f'%s::{kind}[]' for kind in TYPES)})"  # noqa: S608
"""PostgreSQL takes a batch as one array per column, several times as fast as row by row."""

type Row = tuple[Any, ...]


def candles_upsert(*, venue: str, candles: Candles, closed: bool) -> int:
    """Store candles of one symbol and interval and return how many were stored.

    A stored candle is corrected by a later one. A closed candle never becomes forming again: a forming one that comes
    too late is dropped. Impossible candles are quarantined with an incident. Batches are committed one after the
    other, oldest first, so a kill leaves no hole.
    """
    broken = faults(candles)
    candles_quarantine(venue=venue, quarantined=[_quarantined(candles, fault) for fault in broken])
    sound = without(candles, broken)
    return sum(
        _put(_rows(venue, sound.slice(start, min(start + BATCH, len(sound))), closed=closed))
        for start in range(0, len(sound), BATCH)
    )


def candles_quarantine(*, venue: str, quarantined: Iterable[Quarantined]) -> None:
    """Put impossible candles aside, each once, and open one incident per candle. A forming row of it is removed."""
    for candle in quarantined:
        with transaction.atomic():
            key: dict[str, Any] = {
                "venue": venue,
                "symbol": candle.symbol,
                "interval": candle.interval,
                "open_time": from_ms(candle.open_time),
            }
            values = {"values": candle.values, "reason": candle.reason[:200]}
            _, new = QuarantinedCandle.objects.update_or_create(**key, defaults=values)
            Candle.objects.filter(**key, closed=False).delete()
            if new:
                text = f"{venue} {candle.symbol} {candle.interval} at {key['open_time']:%F %H:%M} UTC: {candle.reason}"
                incident_open(account=None, kind="impossible-candle", text=text, severity="warning", data=candle.values)


def _put(rows: Iterable[Row]) -> int:
    """Write one batch in one transaction and return how many rows it touched.

    Plain SQL, for two reasons: the ORM takes ten times as long for a first history, and it cannot make an update
    depend on the row it meets. A row that is closed stays closed.
    """
    adapt = connection.ops.adapt_datetimefield_value
    table = [(*row[:3], adapt(row[3]), *row[4:]) for row in rows]
    with transaction.atomic(savepoint=False), connection.cursor() as cursor:
        if connection.vendor == "postgresql" and len(table) > 1:
            cursor.execute(_statement(COLUMNS_AT_ONCE), [list(column) for column in zip(*table, strict=True)])
        else:
            cursor.executemany(_statement(ROW_BY_ROW), table)
        return int(cursor.rowcount)


@cache
def _statement(rows: str) -> str:
    table = Candle._meta.db_table
    updates = ", ".join(f"{name} = excluded.{name}" for name in VALUES)
    return (
        f"INSERT INTO {table} ({', '.join(KEY + VALUES)}) {rows} "
        f"ON CONFLICT ({', '.join(KEY)}) DO UPDATE SET {updates} WHERE excluded.closed OR NOT {table}.closed"
    )


def _rows(venue: str, candles: Candles, *, closed: bool) -> Iterator[Row]:
    """Yield KEY and VALUES of each candle."""
    columns = (candles.open_time, candles.open, candles.high, candles.low, candles.close, candles.volume)
    for at, *values in zip(*(column.tolist() for column in columns), strict=True):
        yield venue, candles.symbol, candles.interval, from_ms(at), *values, closed


def _quarantined(candles: Candles, fault: Fault) -> Quarantined:
    values = {name: float(getattr(candles, name)[fault.index]) for name in VALUE_NAMES}
    known = {name: value if np.isfinite(value) else None for name, value in values.items()}
    return Quarantined(candles.symbol, candles.interval, fault.open_time, known, fault.reason)
