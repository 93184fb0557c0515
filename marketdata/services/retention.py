"""What goes of market data after its time: candles and what was wrong with them, snapshots, open interest.

Age is market time: a replay of an old month keeps what it needs.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from django.db import connection, models, transaction
from django.utils import timezone

from marketdata.domain.intervals import interval_ms
from marketdata.models import Candle, CandleCorrection, CandleHole, Feed, OpenInterest, QuarantinedCandle, Snapshot
from marketdata.selectors import clock_of
from vibex.lib.retention import Rule, each_batch

CANDLE_DAYS, SNAPSHOT_DAYS = "CANDLE_RETENTION_DAYS", "SNAPSHOT_RETENTION_DAYS"
BATCH = 10_000
"""Candles of one transaction, so that nobody waits long for a lock."""
TABLE: Final = Candle._meta.db_table
HYPERTABLES: Final = "SELECT to_regclass('timescaledb_information.hypertables')"
IS_HYPERTABLE: Final = "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = %s"
SHOW_CHUNKS: Final = "SELECT show_chunks(%s::regclass, older_than => %s::timestamptz)"
DROP_CHUNKS: Final = "SELECT drop_chunks(%s::regclass, older_than => %s::timestamptz)"
NEXT_SERIES: Final = (
    f"SELECT venue, symbol, interval FROM {TABLE} WHERE (venue, symbol, interval) > (%s, %s, %s) "  # noqa: S608
    "ORDER BY venue, symbol, interval LIMIT 1"
)
"""From one series to the next along the key: as many steps as there are series, whatever the number of candles."""


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


def _candles_count() -> int:
    if candles_are_hypertable():
        with connection.cursor() as cursor:
            cursor.execute(SHOW_CHUNKS, [TABLE, _furthest_back()])
            return len(cursor.fetchall())
    return sum(_old_candles(*series).count() for series in _series())


def _candles_expire() -> Iterator[int]:
    """Of a hypertable drop the chunks that are too old, and count those; else delete, series by series."""
    if candles_are_hypertable():
        with connection.cursor() as cursor:
            cursor.execute(DROP_CHUNKS, [TABLE, _furthest_back()])
            yield len(cursor.fetchall())
        return
    for series in _series():
        yield from _series_expire(*series)


def _furthest_back() -> datetime:
    """Return the moment that ends what may go of a chunk: it holds all venues, so the clock that is furthest back decides."""
    return min(_before(CANDLE_DAYS, venue) for venue in {*_venues(Candle), ""})


def _before(days: str, venue: str) -> datetime:
    """Return the market time of a venue before which things go."""
    return _now_of(venue) - timedelta(days=getattr(settings, days))


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


def _old_candles(venue: str, symbol: str, interval: str) -> models.QuerySet[Candle]:
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval)
    return rows.filter(open_time__lt=_before(CANDLE_DAYS, venue))


def _series_expire(venue: str, symbol: str, interval: str) -> Iterator[int]:
    """Remove the old candles of a series, oldest first, each batch by a stretch of its key."""
    rows = _old_candles(venue, symbol, interval)
    stretch = timedelta(milliseconds=BATCH * interval_ms(interval))
    while (oldest := rows.order_by("open_time").values_list("open_time", flat=True).first()) is not None:
        with transaction.atomic():
            removed = rows.filter(open_time__lt=oldest + stretch).delete()[0]
        yield removed


def _by_venue(model: type[models.Model], what: str, days: str, column: str) -> Rule:
    """Return the rule of a table whose rows name their venue and, in `column`, their market time."""

    def old(venue: str) -> models.QuerySet[models.Model]:
        return model._default_manager.filter(**{"venue": venue, f"{column}__lt": _before(days, venue)})

    def batches() -> Iterator[int]:
        for venue in _venues(model):
            yield from each_batch(lambda venue=venue: old(venue), lambda rows: rows.delete())  # type: ignore[misc]

    return Rule(model._meta.label, what, days, lambda: sum(old(venue).count() for venue in _venues(model)), batches)


RULES: Final = (
    Rule(Candle._meta.label, "candles (of a hypertable: chunks of them)", CANDLE_DAYS, _candles_count, _candles_expire),
    _by_venue(QuarantinedCandle, "candles that cannot be true", CANDLE_DAYS, "open_time"),
    _by_venue(CandleCorrection, "corrections of candles", CANDLE_DAYS, "open_time"),
    _by_venue(CandleHole, "spans without candles", CANDLE_DAYS, "stop"),
    _by_venue(Snapshot, "snapshots", SNAPSHOT_DAYS, "at"),
    _by_venue(OpenInterest, "open interest", SNAPSHOT_DAYS, "at"),
)
"""Of each table what goes, in the order in which it goes."""
