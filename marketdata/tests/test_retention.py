"""Old market data goes, by the clock of its own market; nothing else does."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from marketdata.domain.candles import Candles
from marketdata.models import Candle, Feed, FundingRate, OpenInterest, QuarantinedCandle, Snapshot
from marketdata.services import candles_upsert, retention
from marketdata.services.retention import Expired, candles_are_hypertable, market_data_expire
from marketdata.tests.build import START, walk
from trading.services.periodic import SYSTEM
from vibex.celery import app

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
def _days(settings):
    settings.CANDLE_RETENTION_DAYS, settings.SNAPSHOT_RETENTION_DAYS = 60, 20


def feed(venue: str, now: datetime) -> None:
    """Make a replay that stands still at `now`."""
    Feed.objects.create(venue=venue, kind="recorded", market_at=now, wall_at=now, running=False, interval="1h")


def put(venue: str, candles: Candles) -> None:
    candles_upsert(venue=venue, candles=candles, closed=True)


def test_candles_beyond_the_limit_go_in_batches_and_younger_ones_stay(monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 24)
    feed("recorded", START + 100 * DAY)
    put("recorded", walk(100 * 24))
    put("recorded", walk(100 * 24, symbol="ETHUSDT"))
    put("recorded", walk(100, "1d"))
    assert market_data_expire() == Expired(candles=2 * 40 * 24 + 40)
    assert Candle.objects.earliest("open_time").open_time == START + 40 * DAY
    assert Candle.objects.count() == 2 * 60 * 24 + 60
    assert market_data_expire() == Expired()


def test_a_replay_of_old_days_keeps_what_it_needs():
    long_ago = datetime(2017, 11, 1, tzinfo=UTC)
    feed("recorded", long_ago + 10 * DAY)
    put("recorded", walk(240, start=long_ago))
    assert market_data_expire() == Expired()
    assert Candle.objects.count() == 240


def test_a_market_that_nobody_feeds_is_measured_by_the_wall_clock():
    put("gone", walk(10))
    assert market_data_expire().candles == 10


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
    assert market_data_expire() == Expired(snapshots=10, open_interest=10)
    assert Snapshot.objects.earliest("at").at == START + 10 * DAY
    assert (FundingRate.objects.count(), QuarantinedCandle.objects.count()) == (30, 1)


def test_the_scheduler_knows_it():
    task, seconds = SYSTEM["system:retention"]
    app.loader.import_default_modules()
    assert task in app.tasks
    assert seconds == 86_400


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
        assert candles_are_hypertable()
        assert market_data_expire() == Expired(chunks=2)
        cursor.execute("SELECT what::text, before FROM dropped")
        assert cursor.fetchall() == [("marketdata_candle", START + 40 * DAY)]
    assert Candle.objects.count() == 48
