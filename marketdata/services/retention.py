"""What is older than an installation wants to keep goes: candles, snapshots and open interest. Nothing else ever does.

Age is market time: a replay of an old month keeps what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from marketdata.domain.intervals import interval_ms
from marketdata.models import Candle, Feed, OpenInterest, Snapshot
from marketdata.selectors import clock_of

BATCH: Final = 10_000
"""Rows of one transaction, so that nobody waits long for a lock."""
TABLE: Final = Candle._meta.db_table
HYPERTABLES: Final = "SELECT to_regclass('timescaledb_information.hypertables')"
IS_HYPERTABLE: Final = "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = %s"
DROP_CHUNKS: Final = "SELECT drop_chunks(%s::regclass, older_than => %s::timestamptz)"
NEXT_SERIES: Final = (
    f"SELECT venue, symbol, interval FROM {TABLE} WHERE (venue, symbol, interval) > (%s, %s, %s) "  # noqa: S608
    "ORDER BY venue, symbol, interval LIMIT 1"
)
"""From one series to the next along the key: as many steps as there are series, whatever the number of candles."""


@dataclass(frozen=True, slots=True)
class Expired:
    """How many rows went. Of a hypertable whole chunks go: their number."""

    candles: int = 0
    chunks: int = 0
    snapshots: int = 0
    open_interest: int = 0


def market_data_expire() -> Expired:
    """Remove what is older than CANDLE_RETENTION_DAYS and SNAPSHOT_RETENTION_DAYS, in batches. Can be stopped at any point."""
    keep = timedelta(days=settings.CANDLE_RETENTION_DAYS)
    short = timedelta(days=settings.SNAPSHOT_RETENTION_DAYS)
    candles, chunks = 0, 0
    if candles_are_hypertable():
        chunks = _chunks_drop(min(_now_of(venue) for venue in {*_venues(Candle), ""}) - keep)
    else:
        candles = sum(_series_expire(*series, before=_now_of(series[0]) - keep) for series in _series())
    return Expired(
        candles=candles,
        chunks=chunks,
        snapshots=sum(_rows_expire(Snapshot, venue, _now_of(venue) - short) for venue in _venues(Snapshot)),
        open_interest=sum(_rows_expire(OpenInterest, venue, _now_of(venue) - short) for venue in _venues(OpenInterest)),
    )


def candles_are_hypertable() -> bool:
    """Whether TimescaleDB keeps the candles."""
    if connection.vendor != "postgresql":
        return False
    with connection.cursor() as cursor:
        cursor.execute(HYPERTABLES)
        if cursor.fetchone()[0] is None:
            return False
        cursor.execute(IS_HYPERTABLE, [TABLE])
        return cursor.fetchone() is not None


def _chunks_drop(before: datetime) -> int:
    """Drop the chunks that end before; the venue whose clock is furthest back decides, since a chunk holds all of them."""
    with connection.cursor() as cursor:
        cursor.execute(DROP_CHUNKS, [TABLE, before])
        return len(cursor.fetchall())


def _now_of(venue: str) -> datetime:
    """Return the market time of a venue; wall time where nobody feeds it."""
    feed = Feed.objects.filter(venue=venue).first()
    return clock_of(feed).now() if feed else timezone.now()


def _venues(model: type[models.Model]) -> list[str]:
    if model is Candle:
        return sorted({venue for venue, _, _ in _series()})
    return sorted(model._default_manager.order_by().values_list("venue", flat=True).distinct())


def _series() -> Iterator[tuple[str, str, str]]:
    """Yield venue, symbol and interval of every series of candles."""
    last = ("", "", "")
    while True:
        with connection.cursor() as cursor:
            cursor.execute(NEXT_SERIES, last)
            row = cursor.fetchone()
        if row is None:
            return
        last = tuple(row)
        yield last


def _series_expire(venue: str, symbol: str, interval: str, *, before: datetime) -> int:
    """Remove the old candles of a series, oldest first, each batch by a stretch of its key."""
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval, open_time__lt=before)
    stretch, removed = timedelta(milliseconds=BATCH * interval_ms(interval)), 0
    while True:
        oldest = rows.order_by("open_time").values_list("open_time", flat=True).first()
        if oldest is None:
            return removed
        with transaction.atomic():
            removed += rows.filter(open_time__lt=oldest + stretch).delete()[0]


def _rows_expire(model: type[models.Model], venue: str, before: datetime) -> int:
    rows = model._default_manager.filter(venue=venue, at__lt=before)
    removed = 0
    while keys := list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            removed += rows.filter(pk__in=keys).delete()[0]
    return removed
