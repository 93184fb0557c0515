"""Old market data goes, by the clock of its own market; nothing else does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from marketdata.domain.candles import Candles
from marketdata.models import (
    Candle,
    CandleCorrection,
    CandleHole,
    Feed,
    FundingRate,
    OpenInterest,
    QuarantinedCandle,
    Snapshot,
)
from marketdata.services import candles_upsert, retention
from marketdata.services.retention import RULES, candles_are_hypertable
from marketdata.tests.build import START, walk
from vibex.lib import retention as machinery
from vibex.lib.retention import rules_carried_out, rules_counted

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _days(settings):
    settings.CANDLE_RETENTION_DAYS, settings.SNAPSHOT_RETENTION_DAYS = 60, 20


def expired() -> dict[str, int]:
    """Carry out what is due; what was counted before is what goes."""
    before = {one.rule.table: one.rows for one in rules_counted(RULES) if one.rows}
    after = {one.rule.table.removeprefix("marketdata."): one.rows for one in rules_carried_out(RULES, seconds=60)}
    gone = {table: rows for table, rows in after.items() if rows}
    assert {f"marketdata.{table}": rows for table, rows in gone.items()} == before
    return gone


def feed(venue: str, now: datetime) -> None:
    """Make a replay that stands still at `now`."""
    Feed.objects.create(venue=venue, kind="recorded", market_at=now, wall_at=now, running=False, interval="1h")


def put(venue: str, candles: Candles) -> None:
    candles_upsert(venue=venue, candles=candles, closed=True)


def test_candles_beyond_the_limit_go_in_batches_and_younger_ones_stay(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 24)
    monkeypatch.setattr(machinery, "BATCH", 7)
    feed("recorded", START + 100 * DAY)
    put("recorded", walk(100 * 24))
    put("recorded", walk(100 * 24, symbol="ETHUSDT"))
    put("recorded", walk(100, "1d"))
    assert expired() == {"Candle": 2 * 40 * 24 + 40}
    assert Candle.objects.earliest("open_time").open_time == START + 40 * DAY
    assert Candle.objects.count() == 2 * 60 * 24 + 60
    assert expired() == {}


def test_a_replay_of_old_days_keeps_what_it_needs():
    long_ago = datetime(2017, 11, 1, tzinfo=UTC)
    feed("recorded", long_ago + 10 * DAY)
    put("recorded", walk(240, start=long_ago))
    assert expired() == {}
    assert Candle.objects.count() == 240


def test_a_market_that_nobody_feeds_is_measured_by_the_wall_clock():
    put("gone", walk(10))
    assert expired() == {"Candle": 10}


def test_snapshots_and_open_interest_go_after_their_own_time_and_nothing_else_does():
    feed("recorded", START + 30 * DAY)
    for day in range(30):
        at = START + day * DAY
        Snapshot.objects.create(venue="recorded", symbol="BTCUSDT", at=at, digest=f"{day}", values={})
        OpenInterest.objects.create(venue="recorded", symbol="BTCUSDT", at=at, value=1)
        FundingRate.objects.create(venue="recorded", symbol="BTCUSDT", at=at, rate=0)
    QuarantinedCandle.objects.create(
        venue="recorded", symbol="BTCUSDT", interval="1h", open_time=START, values={}, reason="broken"
    )
    assert expired() == {"Snapshot": 10, "OpenInterest": 10}
    assert Snapshot.objects.earliest("at").at == START + 10 * DAY
    assert (FundingRate.objects.count(), QuarantinedCandle.objects.count()) == (30, 1)


def test_what_was_wrong_with_candles_goes_with_them():
    feed("recorded", START + 61 * DAY)
    for day in range(3):
        row = {"venue": "recorded", "symbol": "BTCUSDT", "interval": "1h", "open_time": START + day * DAY}
        QuarantinedCandle.objects.create(**row, values={}, reason="broken")
        CandleCorrection.objects.create(**row, before={}, after={})
        start = row.pop("open_time")
        CandleHole.objects.create(**row, start=start, stop=start + timedelta(hours=1))
    assert expired() == {"QuarantinedCandle": 1, "CandleCorrection": 1, "CandleHole": 1}


@pytest.mark.postgres
def test_of_a_hypertable_whole_chunks_are_dropped_by_the_clock_that_is_furthest_back():
    feed("recorded", START + 100 * DAY)
    put("recorded", walk(24))
    put("gone", walk(24))
    with connection.cursor() as cursor:
        cursor.execute(
            "CREATE SCHEMA timescaledb_information; CREATE TABLE dropped (what regclass, before timestamptz)"
        )
        cursor.execute(
            "CREATE TABLE timescaledb_information.hypertables AS SELECT 'marketdata_candle' AS hypertable_name"
        )
        cursor.execute(
            "CREATE FUNCTION drop_chunks(relation regclass, older_than timestamptz) RETURNS SETOF int LANGUAGE sql AS "
            "$$ INSERT INTO dropped VALUES (relation, older_than); SELECT generate_series(1, 2) $$"
        )
        cursor.execute(
            "CREATE FUNCTION show_chunks(relation regclass, older_than timestamptz) RETURNS SETOF int LANGUAGE sql AS "
            "$$ SELECT generate_series(1, 2) $$"
        )
        assert candles_are_hypertable()
        assert expired() == {"Candle": 2}
        cursor.execute("SELECT what::text, before FROM dropped")
        assert cursor.fetchall() == [("marketdata_candle", START + 40 * DAY)]
    assert Candle.objects.count() == 48
