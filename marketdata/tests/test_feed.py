"""A feed writes everything that is due, goes on where it was, and never mixes two markets."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
import time_machine

from accounts.models import Incident
from marketdata.database_market import DatabaseMarket
from marketdata.domain.candles import floor_to
from marketdata.domain.quality import faults, gaps
from marketdata.models import Candle, Feed, FundingRate, Instrument, QuarantinedCandle, Ticker
from marketdata.selectors import market_clock, market_for
from marketdata.services import feed_advance, feed_catch_up, feed_configure, feed_start, feed_stop
from marketdata.stored import ROW, candles_of
from marketdata.tests.build import START, rows_of, same, walk, write_csv
from vibex.lib.clock import SimulatedClock, WallClock, from_ms, to_ms
from vibex.lib.errors import Rejected

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 3, 2, 12, 0, 20, tzinfo=UTC)
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)


@pytest.fixture
def wall():
    with time_machine.travel(NOON, tick=False) as traveller:
        yield traveller


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "candles" / "made"
    write_csv(path / "BTCUSDT-1h.csv.gz", rows_of(walk(1_000)))
    stamps = [to_ms(START) + interval * 8 * 3_600_000 for interval in range(125)]
    write_csv(
        tmp_path / "funding/made/BTCUSDT-funding.csv.gz", [f"{at + 3},0.0001" for at in stamps], "ts_ms,funding_rate"
    )
    return path


def sim(symbols=("BTCUSDT",), **options):
    feed_configure(venue="sim", kind="simulated", symbols=symbols, **options)
    feed_start(venue="sim")
    return feed_advance(venue="sim")


def replay(folder, **options):
    feed_configure(venue="recorded", kind="recorded", source=folder, **options)
    feed_start(venue="recorded")
    return feed_advance(venue="recorded")


def stored(venue="sim", interval="1m", symbol="BTCUSDT", **filters):
    rows = Candle.objects.filter(venue=venue, symbol=symbol, **filters).order_by("open_time")
    return candles_of(symbol, interval, rows.values_list(*ROW))


# -- the simulated market --------------------------------------------------------------------------------------------


def test_the_first_start_writes_a_history_without_holes(wall):
    sim(("BTCUSDT", "XRPUSDT"))
    for symbol in ("BTCUSDT", "XRPUSDT"):
        candles = stored(symbol=symbol, closed=True)
        assert len(candles) == 14 * 1440
        assert faults(candles) == []
        assert gaps(candles) == []
        assert from_ms(int(candles.open_time[-1])) == NOON - 20 * SECOND - MINUTE


def test_the_first_start_is_enough_for_every_indicator(wall):
    sim()
    view = market_for("sim").snapshot(symbols=["BTCUSDT"], timeframes=("3m", "15m", "1h", "4h"), at=NOON)
    for timeframe in view.symbols["BTCUSDT"].timeframes.values():
        assert all(np.isfinite(array[-1]) for array in timeframe.indicators.values())
    assert view.symbols["BTCUSDT"].problem is None


def test_the_present_minute_is_forming_and_no_further_than_now(wall):
    sim()
    forming = stored(closed=False)
    assert from_ms(int(forming.open_time[0])) == NOON - 20 * SECOND
    first = forming
    wall.shift(30)
    feed_advance(venue="sim")
    later = stored(closed=False)
    assert later.high[0] >= first.high[0]
    assert later.low[0] <= first.low[0]
    wall.shift(10)
    feed_advance(venue="sim")
    closed = stored(closed=True, open_time=NOON - 20 * SECOND)
    assert (closed.high[0], closed.low[0]) == (max(closed.high[0], later.high[0]), min(closed.low[0], later.low[0]))


def test_the_ticker_is_of_now_and_next_funding_ahead(wall):
    sim()
    ticker = Ticker.objects.get()
    assert ticker.at == NOON
    assert ticker.bid < ticker.last < ticker.ask
    assert float(ticker.mark) == float(ticker.last) == stored(closed=False).close[0]
    assert ticker.next_funding_at == datetime(2026, 3, 2, 16, tzinfo=UTC)


def test_twice_at_one_moment_changes_nothing(wall):
    sim()
    before = (stored(), list(FundingRate.objects.values_list("at", "rate")), Ticker.objects.values().get())
    feed_advance(venue="sim")
    after = (stored(), list(FundingRate.objects.values_list("at", "rate")), Ticker.objects.values().get())
    assert same(before[0], after[0])
    assert before[1:] == after[1:]


def test_hours_of_downtime_are_caught_up_as_if_it_had_never_stopped(wall):
    sim()
    seen = stored(closed=True)
    wall.shift(3 * 3600)
    feed_advance(venue="sim")
    caught_up = stored(closed=True)
    Candle.objects.filter(open_time__gte=from_ms(int(seen.open_time[-1]) + 60_000)).delete()
    for _ in range(12):
        feed_advance(venue="sim")
    assert len(caught_up) == len(seen) + 180
    assert same(stored(closed=True), caught_up)


@pytest.mark.parametrize("batches", [0, 1, 3])
def test_stopped_between_two_batches_it_goes_on_without_a_hole(wall, batches):
    asked = iter([False] * batches)
    feed_configure(venue="sim", kind="simulated", symbols=["BTCUSDT"])
    feed_advance(venue="sim", stopping=lambda: next(asked, True))
    assert len(stored(closed=True)) == batches * 5_000
    feed_advance(venue="sim")
    whole = stored(closed=True)
    assert len(whole) == 14 * 1440
    assert gaps(whole) == []


def test_settlements_are_written_before_they_are_due_and_seen_when_they_are(wall):
    sim()
    of = DatabaseMarket("sim", WallClock())
    due = datetime(2026, 3, 2, 16, tzinfo=UTC)
    assert [one.at for one in of.funding("BTCUSDT", since=NOON, until=due + HOUR)] == [due]
    assert of.funding("BTCUSDT", since=NOON, until=due - SECOND) == []
    assert FundingRate.objects.filter(at__lte=NOON).count() == 14 * 3


def test_a_new_symbol_gets_its_history_and_the_others_stay(wall):
    sim(("BTCUSDT",))
    before = stored()
    sim(("BTCUSDT", "DOGEUSDT"))
    assert same(stored(), before)
    assert len(stored(symbol="DOGEUSDT", closed=True)) == 14 * 1440


def test_the_symbols_are_those_of_the_settings(wall, settings):
    settings.ASSETS = ("BTC", "WIF")
    feed_configure(venue="sim", kind="simulated")
    assert set(Instrument.objects.values_list("symbol", flat=True)) == {"BTCUSDT", "WIFUSDT"}


def test_an_unhurried_simulated_market_follows_the_wall_clock(wall):
    sim()
    assert isinstance(market_clock("sim"), WallClock)


def test_a_hurried_simulated_market_has_a_clock_of_its_own(wall):
    sim(speed=60.0)
    wall.shift(10)
    assert market_clock("sim").now() == NOON + 10 * MINUTE
    assert feed_advance(venue="sim") == NOON + 10 * MINUTE


def test_a_changed_speed_is_no_jump_in_time(wall):
    sim(speed=60.0)
    wall.shift(10)
    feed_advance(venue="sim")
    feed_configure(venue="sim", kind="simulated", symbols=["BTCUSDT"], speed=2.0)
    assert market_clock("sim").now() == NOON + 10 * MINUTE
    wall.shift(10)
    assert market_clock("sim").now() == NOON + 10 * MINUTE + 20 * SECOND


# -- a replay --------------------------------------------------------------------------------------------------------


def test_a_replay_begins_after_its_warm_up_with_everything_before(wall, folder):
    now = replay(folder)
    assert now == START + 240 * HOUR
    assert same(stored("recorded", "1h"), walk(240))


def test_a_short_recording_begins_in_its_middle(wall, tmp_path):
    write_csv(tmp_path / "BTCUSDT-1h.csv.gz", rows_of(walk(100)))
    assert replay(tmp_path) == START + 50 * HOUR


def test_a_replay_begins_where_it_is_told(wall, folder):
    assert replay(folder, start=START + timedelta(hours=500, minutes=20)) == START + 500 * HOUR


@pytest.mark.parametrize("start", [START - HOUR, START + 1_000 * HOUR])
def test_a_start_outside_of_the_recording_is_refused(folder, start):
    with pytest.raises(Rejected, match=r"start between 2025-03-03 00:00 and 2025-04-13 16:00 UTC"):
        replay(folder, start=start)
    assert not Feed.objects.exists()


def test_a_replay_runs_at_its_speed_and_reveals_no_more_than_has_happened(wall, folder):
    replay(folder, speed=600.0)
    wall.shift(9)
    now = feed_advance(venue="recorded")
    assert now == START + 240 * HOUR + 90 * MINUTE
    recorded = walk(1_000)
    assert same(stored("recorded", "1h", closed=True), recorded.slice(0, 241))
    forming = stored("recorded", "1h", closed=False)
    assert recorded.low[241] <= forming.low[0] <= forming.high[0] <= recorded.high[241]
    assert forming.volume[0] == pytest.approx(recorded.volume[241] / 2)
    assert Ticker.objects.get().at == now


def test_a_stopped_replay_stands_still_and_goes_on_from_there(wall, folder):
    replay(folder, speed=600.0)
    wall.shift(9)
    feed_advance(venue="recorded")
    feed_stop(venue="recorded")
    stood = START + 240 * HOUR + 90 * MINUTE
    wall.shift(10_000)
    clock = market_clock("recorded")
    assert isinstance(clock, SimulatedClock)
    assert clock.now() == stood
    assert feed_catch_up(venue="recorded") == stood
    feed_start(venue="recorded")
    wall.shift(1)
    assert market_clock("recorded").now() == stood + 10 * MINUTE


def test_after_a_crash_a_replay_goes_on_where_it_last_wrote(wall, folder):
    replay(folder, speed=600.0)
    wall.shift(9)
    wrote = feed_advance(venue="recorded")
    wall.shift(10_000)
    feed_start(venue="recorded")
    assert market_clock("recorded").now() == wrote


def test_a_recording_that_ends_says_so_and_stands_still(wall, folder):
    replay(folder, speed=36_000.0)
    wall.shift(1_000)
    end = START + 1_000 * HOUR
    assert feed_advance(venue="recorded") == end
    feed = Feed.objects.get()
    assert feed.problem == "The recording ended at 2025-04-13 16:00 UTC: choose another one, with another data folder."
    assert (feed.running, market_clock("recorded").now()) == (False, end)
    assert same(stored("recorded", "1h", closed=True), walk(1_000))
    view = market_for("recorded").snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=end)
    assert view.symbols["BTCUSDT"].problem == feed.problem


def test_a_recording_that_has_ended_stays_ended(wall, folder):
    replay(folder, speed=36_000.0)
    wall.shift(1_000)
    feed_advance(venue="recorded")
    assert not feed_start(venue="recorded").running
    feed_advance(venue="recorded")
    assert "ended" in Feed.objects.get().problem


def test_recorded_funding_is_seen_when_it_settles(wall, folder):
    replay(folder)
    of = market_for("recorded")
    start = START + 240 * HOUR
    assert [one.at for one in of.funding("BTCUSDT", since=start - 8 * HOUR, until=start)] == [start]
    assert of.funding("BTCUSDT", since=start, until=start + HOUR) == []
    assert Ticker.objects.get().next_funding_at == start + 8 * HOUR


def test_impossible_recorded_candles_are_put_aside_at_once(wall, tmp_path):
    rows = rows_of(walk(100))
    rows[60] = f"{to_ms(START + 60 * HOUR)},5,4,3,2,1"
    write_csv(tmp_path / "BTCUSDT-1h.csv.gz", rows)
    replay(tmp_path)
    assert QuarantinedCandle.objects.get().reason == "high is below open (BTCUSDT-1h.csv.gz, line 62)"
    assert Incident.objects.get().kind == "impossible-candle"
    replay(tmp_path)
    assert Incident.objects.count() == 1


def test_in_a_hole_of_the_recording_the_price_grows_old(wall, tmp_path):
    rows = rows_of(walk(100))
    write_csv(tmp_path / "BTCUSDT-1h.csv.gz", rows[:50] + rows[55:])
    replay(tmp_path, start=START + 49 * HOUR, speed=600.0)
    wall.shift(9)
    feed_advance(venue="recorded")
    assert Ticker.objects.get().at == START + 49 * HOUR
    view = market_for("recorded").snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=START + 50 * HOUR + 45 * MINUTE)
    assert view.symbols["BTCUSDT"].problem is None
    wall.shift(30)
    feed_advance(venue="recorded")
    late = market_clock("recorded").now()
    view = market_for("recorded").snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=late)
    assert "1h candle closed" in view.symbols["BTCUSDT"].problem


def test_real_candles_are_replayed_with_their_mark(wall, shared_data):
    replay(shared_data / "candles/binance_um_2025_1h", symbols=["BTCUSDT", "SOLUSDT"], speed=3600.0)
    wall.shift(101)
    now = feed_advance(venue="recorded")
    view = market_for("recorded").snapshot(symbols=["BTCUSDT", "SOLUSDT"], timeframes=("1h", "4h"), at=now)
    assert {one.problem for one in view.symbols.values()} == {None}
    bitcoin, solana = (view.symbols[symbol].quote for symbol in ("BTCUSDT", "SOLUSDT"))
    assert bitcoin.mark != bitcoin.last
    assert solana.mark == solana.last
    assert floor_to(to_ms(now), "1h") == to_ms(now)
    assert now == datetime(2025, 2, 11, tzinfo=UTC) + 101 * HOUR


# -- what is refused -------------------------------------------------------------------------------------------------


def test_another_recording_at_the_same_venue_is_refused(wall, folder, tmp_path):
    replay(folder)
    other = tmp_path / "other"
    write_csv(other / "BTCUSDT-1h.csv.gz", rows_of(walk(100, seed=9)))
    with pytest.raises(Rejected, match="prices of two markets must not mix"):
        feed_configure(venue="recorded", kind="recorded", source=other)
    with pytest.raises(Rejected, match="prices of two markets must not mix"):
        feed_configure(venue="recorded", kind="simulated")


def test_another_seed_at_the_same_venue_is_refused(wall):
    sim()
    with pytest.raises(Rejected, match="the simulated market of seed 0"):
        feed_configure(venue="sim", kind="simulated", seed=4)


def test_a_folder_that_cannot_be_read_leaves_nothing_behind(tmp_path):
    with pytest.raises(Rejected, match="no such folder"):
        feed_configure(venue="recorded", kind="recorded", source=tmp_path / "nowhere")
    assert not Feed.objects.exists()
    assert not Instrument.objects.exists()


@pytest.mark.parametrize("options", [{"speed": 0.0}, {"speed": -1.0}, {"kind": "guessed"}, {"venue": "v" * 30}])
def test_a_feed_that_makes_no_sense_is_refused(options):
    with pytest.raises(Rejected, match="cannot be set up"):
        feed_configure(**{"venue": "sim", "kind": "simulated", **options})
    assert not Feed.objects.exists()


def test_a_live_feed_is_never_made_up(wall):
    Feed.objects.create(venue="aster", kind="live", market_at=NOON)
    with pytest.raises(Rejected, match="live prices"):
        feed_advance(venue="aster")
    with pytest.raises(Rejected, match="choose simulated or recorded"):
        feed_configure(venue="binance", kind="live")


def test_a_market_that_is_not_there_is_refused():
    with pytest.raises(Rejected, match="there is no market 'sim' here: start one with"):
        feed_catch_up(venue="sim")
