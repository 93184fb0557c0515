"""Candles and indicators are computed once per closed candle of their own interval, the same in every process."""

from __future__ import annotations

import socket
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata import database_market, stored
from marketdata.database_market import DatabaseMarket
from marketdata.domain import indicators
from marketdata.domain.candles import Candles
from marketdata.models import Candle, Feed
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from marketdata.stored import SeriesStore, bars_of, depth_of
from marketdata.tests.build import COLUMNS, START, recording, same, walk
from marketdata.tests.stored import VENUE, prices
from vibex.lib.clock import SimulatedClock, from_ms, to_ms

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
FRAMES = ("1m", "3m", "15m", "1h")


def feed_of_minutes() -> Feed:
    instruments_upsert(specs=[recording(walk(1, "1m")).spec])
    return Feed.objects.create(venue=VENUE, kind="recorded", market_at=START, running=False, interval="1m")


def write(candles: Candles) -> None:
    candles_upsert(venue=VENUE, candles=candles, closed=True)


def taken(store: SeriesStore, feed: Feed, timeframes=FRAMES):
    return store.series(feed, ["BTCUSDT"], "1m", timeframes)["BTCUSDT"].frames


def prints(series) -> dict[str, tuple[int, int]]:
    return {name: (len(frame.candles), frame.fingerprint_at(len(frame.candles))) for name, frame in series.items()}


@pytest.fixture
def computed(monkeypatch) -> list[str]:
    """List the interval of every series of indicators that is computed."""
    done: list[str] = []
    monkeypatch.setattr(indicators, "compute", lambda candles: done.append(candles.interval) or compute(candles))
    return done


compute = indicators.compute


def test_indicators_are_computed_once_however_many_bots_look(computed):
    feed, store = feed_of_minutes(), SeriesStore()
    write(walk(300, "1m"))
    for _ in range(20):
        taken(store, feed)
    assert sorted(computed) == sorted(FRAMES)


def test_a_closed_candle_recomputes_only_the_timeframes_that_it_completes(computed):
    feed, store = feed_of_minutes(), SeriesStore()
    write(walk(300, "1m"))
    before = taken(store, feed)
    for minute, completed in [(301, ["1m"]), (302, ["1m"]), (303, ["1m", "3m"]), (315, ["1m", "3m", "15m"])]:
        computed.clear()
        write(walk(minute, "1m"))
        after = taken(store, feed)
        assert sorted(computed) == sorted(completed), minute
        assert after["1h"] is before["1h"]


def test_another_timeframe_leaves_the_others_as_they_are(computed):
    feed, store = feed_of_minutes(), SeriesStore()
    write(walk(300, "1m"))
    few = taken(store, feed, ("3m", "15m"))
    computed.clear()
    all_four = taken(store, feed)
    assert sorted(computed) == ["1h", "1m"]
    assert all_four["15m"] is few["15m"]


def missing(candles: Candles, *places: int) -> Candles:
    keep = np.isin(np.arange(len(candles)), places, invert=True)
    return Candles(
        candles.symbol, candles.interval, *(getattr(candles, name)[keep] for name in ("open_time", *COLUMNS))
    )


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.integers(1, 150), min_size=2, max_size=6, unique=True).map(sorted),
    holes=st.lists(st.integers(0, 149), max_size=12, unique=True),
    late=st.booleans(),
)
def test_two_processes_with_different_pasts_see_the_same(stops, holes, late, monkeypatch):
    """One has looked all the time, the other just started; candles were missing, and some came late."""
    monkeypatch.setattr(stored, "FRAME_BARS", 20)
    Candle.objects.all().delete()
    Feed.objects.all().delete()
    feed, old = feed_of_minutes(), SeriesStore()
    whole = walk(150, "1m")
    for stop in stops:
        write(missing(whole.slice(0, stop), *holes))
        taken(old, feed)
        if late:  # a hole among the last candles is filled
            write(whole.slice(max(0, stop - 3), stop))
            taken(old, feed)
    assert prints(taken(old, feed)) == prints(taken(SeriesStore(), feed))
    for name, frame in taken(old, feed).items():
        fresh = taken(SeriesStore(), feed)[name]
        assert same(frame.candles, fresh.candles)
        assert np.array_equal(frame.indicators["ema20"], fresh.indicators["ema20"], equal_nan=True)


def test_a_frame_depends_on_its_last_buckets_alone(monkeypatch):
    """A process that once read deeper for another bot has the same frames."""
    monkeypatch.setattr(stored, "FRAME_BARS", 20)
    feed, deep, shallow = feed_of_minutes(), SeriesStore(), SeriesStore()
    write(walk(200, "1m"))
    taken(deep, feed, ("1m", "1h"))
    taken(shallow, feed, ("1m",))
    write(walk(207, "1m"))
    assert (
        prints(taken(deep, feed))["1m"]
        == prints(taken(shallow, feed, ("1m",)))["1m"]
        == prints(taken(SeriesStore(), feed))["1m"]
    )
    assert len(taken(deep, feed)["1m"].candles) == 20


@pytest.mark.parametrize("back", [1, 3, 5])
def test_a_recent_correction_is_seen_at_the_next_look(back):
    feed, store = feed_of_minutes(), SeriesStore()
    whole = walk(300, "1m")
    write(whole)
    taken(store, feed)
    write(replace(whole.slice(300 - back, 301 - back), volume=np.array([9.5])))
    assert prints(taken(store, feed)) == prints(taken(SeriesStore(), feed))
    assert taken(store, feed)["1m"].candles.volume[-back] == 9.5


CHANGES = {
    "corrected": lambda whole: replace(whole.slice(235, 236), volume=np.array([9.5])),
    "filled in": lambda whole: whole.slice(240, 241),
    "older ones": lambda whole: whole.slice(0, 30),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_past_is_seen_in_time_and_costs_only_what_it_changed(monkeypatch, computed, change):
    feed, store, clock = feed_of_minutes(), SeriesStore(), [0.0]
    monkeypatch.setattr(stored.time, "monotonic", lambda: clock[0])
    whole = walk(300, "1m")
    write(missing(whole, *range(30), 240))
    taken(store, feed)
    write(change(whole))
    clock[0] = stored.RELOAD_SECONDS / 2 - 1
    assert prints(taken(store, feed)) != prints(taken(SeriesStore(), feed))
    clock[0] = stored.RELOAD_SECONDS
    assert prints(taken(store, feed)) == prints(taken(SeriesStore(), feed))
    clock[0] = 2 * stored.RELOAD_SECONDS
    computed.clear()
    taken(store, feed)
    assert computed == [], "nothing has changed, so nothing is computed"


def test_a_past_that_has_not_changed_is_not_read_again(monkeypatch):
    feed, store, clock = feed_of_minutes(), SeriesStore(), [0.0]
    monkeypatch.setattr(stored.time, "monotonic", lambda: clock[0])
    write(missing(walk(300, "1m"), 240))
    taken(store, feed)
    write(walk(310, "1m").slice(300, 310))
    taken(store, feed)
    clock[0] = stored.RELOAD_SECONDS
    with monkeypatch.context() as patch:
        patch.setattr(store, "_read", None)
        taken(store, feed)


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_who_changes_the_past_sees_it_at_once(monkeypatch, change, django_capture_on_commit_callbacks):
    monkeypatch.setattr(database_market, "STORE", store := SeriesStore())
    feed, whole = feed_of_minutes(), walk(300, "1m")
    write(missing(whole, *range(30), 240))
    taken(store, feed)
    with django_capture_on_commit_callbacks(execute=True):
        write(change(whole))
    assert prints(taken(store, feed)) == prints(taken(SeriesStore(), feed))


def test_what_is_written_in_order_makes_nobody_look_back(monkeypatch, django_capture_on_commit_callbacks):
    monkeypatch.setattr(database_market, "STORE", store := SeriesStore())
    feed = feed_of_minutes()
    write(walk(300, "1m"))
    taken(store, feed)
    with django_capture_on_commit_callbacks(execute=True):
        write(walk(303, "1m").slice(298, 303))
    monkeypatch.setattr(
        store, "_check", lambda venue, symbols, interval: pytest.fail("looked back") if symbols else None
    )
    taken(store, feed)


def test_the_past_of_one_symbol_is_looked_at_at_a_time_while_there_is_time(monkeypatch):
    feed, store, clock = feed_of_minutes(), SeriesStore(), [0.0]
    monkeypatch.setattr(stored.time, "monotonic", lambda: clock[0])
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    for symbol in symbols:
        write(walk(100, "1m", symbol=symbol))
    store.series(feed, symbols, "1m", FRAMES)
    clock[0] = stored.RELOAD_SECONDS / 2
    looked_at = []
    monkeypatch.setattr(store, "_check", lambda venue, symbols, interval: looked_at.extend(symbols))
    store.series(feed, symbols, "1m", FRAMES)
    assert len(looked_at) == 1


def test_a_dead_symbol_does_not_make_the_others_read_their_past(django_assert_max_num_queries):
    """Its last candle is days old; what is asked for is told apart by symbol."""
    feed, store = feed_of_minutes(), SeriesStore()
    write(walk(50, "1m", symbol="DEADUSDT"))
    write(walk(3000, "1m"))
    store.series(feed, ["BTCUSDT", "DEADUSDT"], "1m", FRAMES)
    read: list[int] = []
    original = stored.candles_of

    def counting(symbol, interval, rows):
        table = list(rows)
        read.append(len(table))
        return original(symbol, interval, table)

    with pytest.MonkeyPatch.context() as patch, django_assert_max_num_queries(1):
        patch.setattr(stored, "candles_of", counting)
        store.series(feed, ["BTCUSDT", "DEADUSDT"], "1m", FRAMES)
    assert read == [stored.OVERLAP, stored.OVERLAP]


def test_days_of_minute_candles_make_enough_daily_ones():
    assert bars_of(24 * 60) >= 60
    assert depth_of(24 * 60) <= stored.MAX_BASE
    assert bars_of(60) == bars_of(1) == stored.FRAME_BARS


def test_what_cannot_be_true_is_left_out_even_where_the_database_holds_it(monkeypatch):
    feed, store = feed_of_minutes(), SeriesStore()
    whole = walk(100, "1m")
    close = whole.close.copy()
    close[98] = np.nan
    broken = replace(whole, close=close)
    monkeypatch.setattr(stored, "_newest", lambda *_: broken)
    frame = taken(store, feed)["1m"]
    assert len(frame.candles) == 99
    assert np.isfinite(frame.candles.close).all()


# -- many bots, one market ------------------------------------------------------------------------------------------


def sound_market(symbols=("BTCUSDT",)) -> DatabaseMarket:
    feed_of_minutes()
    at = START + 1000 * MINUTE
    for symbol in symbols:
        candles = walk(1000, "1m", symbol=symbol)
        instruments_upsert(specs=[recording(candles).spec])
        write(candles)
        ticker_put(venue=VENUE, quotes=[last_price(candles, at)])
    return DatabaseMarket(VENUE, SimulatedClock(at))


def last_price(candles: Candles, at):
    last = prices().last.__class__(str(candles.close[-1]))
    quote = prices(at, candles.symbol, last=last, bid=last - 5, ask=last + 5, mark=last)
    return replace(quote, next_funding_at=at + MINUTE)


@pytest.mark.ci
def test_a_thousand_snapshots_ask_no_venue_and_compute_nothing(monkeypatch, computed):
    market = sound_market()
    at = START + 1000 * MINUTE
    first = market.snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=at)
    assert first.symbols["BTCUSDT"].problem is None
    computed.clear()

    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a snapshot opened a socket")

    monkeypatch.setattr(socket, "create_connection", refused)
    monkeypatch.setattr(socket.socket, "connect", refused)
    for _ in range(1000):
        assert market.snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=at).digest == first.digest
    assert computed == []


def test_the_worst_second_takes_three_queries_too(django_assert_max_num_queries):
    """A candle of every timeframe has just closed."""
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "DOGEUSDT"]
    market = sound_market(symbols)
    closes_all = START + 1020 * MINUTE
    market.snapshot(symbols=symbols, timeframes=FRAMES, at=closes_all)
    for symbol in symbols:
        candles = walk(1020, "1m", symbol=symbol)
        write(candles)
        ticker_put(venue=VENUE, quotes=[last_price(candles, closes_all)])
    with django_assert_max_num_queries(3):
        seen = market.snapshot(symbols=symbols, timeframes=FRAMES, at=closes_all)
    assert {view.problem for view in seen.symbols.values()} == {None}
    assert {from_ms(int(view.timeframes["1h"].candles.open_time[-1])) for view in seen.symbols.values()} == {
        closes_all - timedelta(hours=1)
    }
    assert to_ms(closes_all) % 3_600_000 == 0


def test_a_feed_that_is_late_costs_one_query_more_whatever_the_number_of_symbols(django_assert_max_num_queries):
    """The minute is over and its candle is not written yet: was it put aside?"""
    symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"]
    market = sound_market(symbols)
    market.snapshot(symbols=symbols, timeframes=FRAMES, at=START + 1000 * MINUTE)
    with django_assert_max_num_queries(4):
        seen = market.snapshot(symbols=symbols, timeframes=FRAMES, at=START + 1001 * MINUTE)
    assert [view.timeframes["1m"].age for view in seen.symbols.values()] == 3 * [MINUTE]


def test_the_digest_of_a_symbol_is_that_of_its_content(monkeypatch):
    symbols = ["BTCUSDT", "ETHUSDT"]
    market = sound_market(symbols)
    at = START + 1000 * MINUTE

    def digest(*of: str, timeframes=FRAMES, seconds: int = 0) -> str:
        seen = market.snapshot(symbols=of, timeframes=timeframes, at=at + timedelta(seconds=seconds))
        return seen.symbols["BTCUSDT"].digest

    first = digest("BTCUSDT")
    assert first == digest("BTCUSDT", seconds=7) == digest("ETHUSDT", "BTCUSDT")
    assert first != digest("BTCUSDT", timeframes=("1m",))
    ticker_put(venue=VENUE, quotes=[replace(last_price(walk(1000, "1m"), at), mark_at=at)])
    assert first != digest("BTCUSDT"), "the times of the prices are part of it"
