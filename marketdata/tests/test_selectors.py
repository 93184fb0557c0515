"""What others read of a market: its clock, its rules, candles for charts, and how old everything is."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import time_machine

from marketdata.domain.resample import resample
from marketdata.models import Feed, Instrument
from marketdata.selectors import (
    base_interval,
    candle_series,
    freshness,
    instrument_specs,
    market_clock,
    market_for,
    plain,
)
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from marketdata.tests.build import recording, same, walk
from marketdata.tests.stored import HOUR, NOW, VENUE, prices, venue_of
from vibex.lib.clock import ReplayClock, SimulatedClock, WallClock
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
WALL = datetime(2026, 3, 2, 12, tzinfo=UTC)


def feed(**values):
    return Feed.objects.create(**{"venue": "x", "market_at": NOW, "wall_at": WALL, "running": True, **values})


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ({"kind": "live"}, WallClock),
        ({"kind": "live", "running": False}, WallClock),
        ({"kind": "simulated"}, WallClock),
        ({"kind": "simulated", "running": False}, WallClock),
        ({"kind": "simulated", "speed": 10.0}, ReplayClock),
        ({"kind": "recorded"}, ReplayClock),
        ({"kind": "recorded", "running": False}, SimulatedClock),
    ],
)
def test_each_kind_of_market_has_its_clock(values, kind):
    feed(**values)
    assert type(market_clock("x")) is kind


def test_the_clock_of_a_replay_runs_at_its_speed():
    feed(kind="recorded", speed=60.0)
    with time_machine.travel(WALL + timedelta(seconds=10), tick=False):
        assert market_clock("x").now() == NOW + timedelta(minutes=10)
    assert market_clock("x").speed == 60.0


def test_a_stopped_replay_stands_still():
    feed(kind="recorded", speed=60.0, running=False)
    with time_machine.travel(WALL + timedelta(days=10), tick=False):
        assert market_clock("x").now() == NOW
    assert market_clock("x").speed == 60.0


@pytest.mark.parametrize("reader", [market_clock, market_for, base_interval, freshness])
def test_a_market_that_is_not_there_is_refused(reader):
    with pytest.raises(Rejected, match="there is no market 'moon' here"):
        reader("moon")


def test_the_base_interval_is_that_of_the_stored_candles():
    venue_of()
    assert base_interval(VENUE) == "1h"


def test_where_nothing_is_stored_the_base_interval_is_the_shortest():
    feed(kind="recorded")
    assert base_interval("x") == "1m"


def test_rules_come_back_as_they_were_stored_and_are_brought_up_to_date():
    spec = recording(walk(1)).spec
    instruments_upsert(specs=[spec])
    instruments_upsert(specs=[spec])
    assert instrument_specs(VENUE) == {"BTCUSDT": spec}
    assert Instrument.objects.count() == 1


@pytest.mark.parametrize("interval", ["1h", "4h", "1d"])
def test_a_chart_gets_the_newest_closed_candles_of_any_interval(interval):
    venue_of(walk(500))
    candles_upsert(venue=VENUE, candles=walk(501).slice(500, 501), closed=False)
    whole = resample(walk(500), interval)
    series = candle_series(venue=VENUE, symbol="BTCUSDT", interval=interval, limit=10)
    assert same(series, whole.slice(len(whole) - 10, len(whole)))


def test_a_chart_without_candles_is_empty():
    venue_of()
    assert len(candle_series(venue=VENUE, symbol="ETHUSDT", interval="1h")) == 0


@pytest.mark.parametrize("interval", ["15m", "2h", ""])
def test_a_chart_of_an_impossible_interval_is_refused(interval):
    venue_of()
    with pytest.raises(Rejected, match="choose 1h, 4h, 1d"):
        candle_series(venue=VENUE, symbol="BTCUSDT", interval=interval)


def test_freshness_tells_the_age_of_prices_and_candles():
    venue_of()
    instruments_upsert(specs=[recording(walk(1, symbol="ETHUSDT")).spec])
    Feed.objects.update(running=False, market_at=NOW + 3 * HOUR)
    ticker_put(venue=VENUE, quotes=[prices(NOW + HOUR)])
    bitcoin, ether = freshness(VENUE)
    assert (bitcoin.symbol, bitcoin.quote_age, bitcoin.candle_age) == ("BTCUSDT", 2 * HOUR, 3 * HOUR)
    assert (ether.symbol, ether.quote_age, ether.candle_age) == ("ETHUSDT", None, None)


@pytest.mark.parametrize(
    ("stored", "short"),
    [("100.0000000000", "100"), ("0.1000000000", "0.1"), ("0E-10", "0"), ("1E+3", "1000"), ("-2.50", "-2.5")],
)
def test_decimals_are_shown_without_the_columns_zeros(stored, short):
    assert str(plain(Decimal(stored))) == short
