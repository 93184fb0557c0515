"""Candles as venues really send them: impossible, unlike their hours, apart from each other, flat, forming, missing."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from marketdata.aster.payloads import candles_of
from marketdata.domain.assess import WATCHED_BARS, candle_age_limit, candle_problem
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.path import seen_until
from marketdata.domain.quality import faults, gaps
from marketdata.domain.resample import resample
from marketdata.models import Candle, CandleCorrection, QuarantinedCandle
from marketdata.recorded_market import RecordedMarket
from marketdata.services import candles_upsert, ticker_put
from marketdata.tests.build import COLUMNS, same
from marketdata.venues.recorded import list_folder, read_folder
from tests.quirks.kit import ASTER, VENUE, klines, live, look, opens, picked, quote_at, series, store, utc
from vibex.lib.clock import from_ms, to_ms

HOUR = timedelta(hours=1)
BROKEN = utc("2025-09-16 16:00")
UNLIKE_THEIR_HOURS = {
    "BTCUSDT": ["2025-09-16 16:00"],
    "ETHUSDT": [],
    "SOLUSDT": [],
    "1000PEPEUSDT": ["2025-09-22 12:00"],
    "DOTUSDT": [
        *("2025-09-14 08:00", "2025-09-14 20:00", "2025-09-15 04:00", "2025-09-15 16:00", "2025-09-16 20:00"),
        *("2025-09-17 00:00", "2025-09-18 16:00", "2025-09-18 20:00", "2025-09-19 08:00", "2025-09-22 04:00"),
        "2025-09-22 12:00",
    ],
}
"""AsterDEX's 4h bars whose open, high or low is not that of the four hours in them."""
HOLES = {"XRPETH_gappy-5m": 6, "UNITTEST_gappy-1m": 538}


@pytest.fixture
def aster(shared_data: Path) -> Path:
    return shared_data / ASTER


# AsterDEX's own candle breaks low <= open


def test_asterdexs_broken_bar_is_put_aside_by_the_reader_with_its_line(aster):
    read = read_folder(aster, ["BTCUSDT"], interval="4h")
    (bad,) = read.quarantined
    assert from_ms(bad.open_time) == BROKEN
    assert (bad.values["open"], bad.values["low"]) == (115846.0, 116007.6)
    assert bad.reason == "low is above open (BTCUSDT-4h.csv.gz, line 16)"
    assert bad.open_time not in read.recordings["BTCUSDT"].candles.open_time


def test_asterdexs_broken_bar_comes_through_its_payload_as_it_is_and_is_found(aster):
    sent = series(aster, "BTCUSDT-4h")
    received = candles_of(klines(sent), "BTCUSDT", "4h")
    assert same(received, sent)
    assert [from_ms(fault.open_time) for fault in faults(received)] == [BROKEN]


@pytest.mark.django_db
@pytest.mark.parametrize(("bars_later", "holds"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_asterdexs_broken_bar_holds_the_symbol_while_it_is_one_of_the_last_three(aster, bars_later, holds):
    """From the moment it closed: then it is the newest bar, and what stands before it is whole."""
    at = BROKEN + 4 * HOUR * bars_later
    store(series(aster, "BTCUSDT-4h"), at)
    held = look("BTCUSDT", at, "4h").problem == "a 4h candle is missing among the last 3: low is above open"
    assert held == holds


@pytest.mark.parametrize(("bars_later", "holds"), [(0, False), (1, True), (2, True), (3, True), (4, False)])
def test_asterdexs_broken_bar_holds_a_backtest_as_long(aster, bars_later, holds):
    market = RecordedMarket(read_folder(aster, ["BTCUSDT"], interval="4h").recordings.values())
    at = BROKEN + 4 * HOUR * bars_later
    view = market.snapshot(symbols=["BTCUSDT"], timeframes=["4h"], at=at).symbols["BTCUSDT"]
    assert (view.problem == "a 4h candle is missing among the last 3") == holds


@pytest.mark.django_db
def test_asterdexs_broken_bar_is_mended_by_a_sound_one_and_holds_no_more(aster):
    at = BROKEN + 8 * HOUR
    store(series(aster, "BTCUSDT-4h"), at)
    hours = resample(series(aster, "BTCUSDT-1h"), "4h")
    sound = picked(hours, hours.open_time == to_ms(BROKEN))
    candles_upsert(venue=VENUE, candles=sound, closed=True)
    assert QuarantinedCandle.objects.get().mended is not None
    assert look("BTCUSDT", at, "4h").problem is None
    assert Candle.objects.get(open_time=BROKEN).low == 115600.0


def test_asterdexs_broken_bar_is_no_trouble_where_the_hours_are_the_base(aster):
    market = RecordedMarket(read_folder(aster, ["BTCUSDT"]).recordings.values())
    at = BROKEN + 4 * HOUR
    view = market.snapshot(symbols=["BTCUSDT"], timeframes=["1h", "4h"], at=at).symbols["BTCUSDT"]
    made = view.timeframes["4h"].candles
    assert view.problem is None
    assert (from_ms(int(made.open_time[-1])), made.low[-1]) == (BROKEN, 115600.0)


# AsterDEX's 4h is not always the resample of 1h


@pytest.mark.parametrize("symbol", UNLIKE_THEIR_HOURS)
def test_4h_bars_of_asterdex_differ_from_their_hours_in_exactly_the_known_bars(aster, symbol):
    made, sent = resample(series(aster, f"{symbol}-1h"), "4h"), series(aster, f"{symbol}-4h")
    common, ours, theirs = np.intersect1d(made.open_time, sent.open_time, return_indices=True)
    differs = {name: getattr(made, name)[ours] != getattr(sent, name)[theirs] for name in COLUMNS}
    apart = differs["open"] | differs["high"] | differs["low"]
    assert [f"{from_ms(int(ms)):%F %H:%M}" for ms in common[apart]] == UNLIKE_THEIR_HOURS[symbol]
    assert not (differs["close"] | differs["volume"]).any()


def test_what_a_bot_sees_is_made_of_one_timeframe_although_others_are_recorded(aster):
    read = read_folder(aster, ["DOTUSDT"])
    assert read.interval == "1h"
    last = utc(UNLIKE_THEIR_HOURS["DOTUSDT"][-1]) + 4 * HOUR
    view = RecordedMarket(read.recordings.values()).snapshot(symbols=["DOTUSDT"], timeframes=["4h"], at=last)
    seen = view.symbols["DOTUSDT"].timeframes["4h"].candles
    closed = resample(series(aster, "DOTUSDT-1h").closed_before(to_ms(last)), "4h")
    assert same(seen, closed)
    assert seen.open[-1] != picked(sent := series(aster, "DOTUSDT-4h"), sent.open_time == seen.open_time[-1]).open[0]


@pytest.mark.django_db
def test_4h_bars_out_of_the_tables_are_made_of_the_stored_hours(aster):
    hours, last = series(aster, "DOTUSDT-1h"), utc(UNLIKE_THEIR_HOURS["DOTUSDT"][-1]) + 4 * HOUR
    store(hours, last)
    closed = hours.closed_before(to_ms(last))
    assert same(look("DOTUSDT", last, "1h", "4h").timeframes["4h"].candles, resample(closed, "4h"))


# Gaps between bars: an open is not the close before it


@pytest.mark.parametrize("symbol", ["BTCUSDT", "DOTUSDT", "AAPLUSDT"])
def test_an_open_apart_from_the_close_before_is_neither_a_fault_nor_a_hole(aster, symbol):
    hours = series(aster, f"{symbol}-1h")
    apart = hours.open[1:] != hours.close[:-1]
    assert apart.mean() > 0.4
    assert faults(hours) == []
    assert gaps(hours) == []


def test_a_replay_begins_each_bar_at_its_own_open(aster):
    hours = series(aster, "AAPLUSDT-1h")
    (jump,) = np.flatnonzero(hours.open_time == to_ms(utc("2025-09-23 12:00")))
    begun = seen_until(hours, int(hours.open_time[jump]) + 1, tick=0.01)
    assert (begun.close[-2], begun.open[-1], begun.close[-1]) == (251.1, 261.0, 261.0)


# The last candle of each file is still forming


def files(aster: Path) -> list[str]:
    return [f"{symbol}-{interval}" for symbol, several in list_folder(aster).items() for interval in several]


def test_the_last_candle_of_every_file_is_not_closed_when_it_was_collected(shared_data, aster):
    collected = live(shared_data, "orderbook_BTCUSDT")["E"]  # 04:29, inside the bars that open at 00:00 and 04:00
    assert f"{from_ms(collected):%F %H:%M}" == "2025-10-15 04:29"
    assert len(files(aster)) == 17
    for name in files(aster):
        whole = series(aster, name)
        closed = whole.closed_before(collected)
        assert len(closed) == len(whole) - 1, name
        assert int(closed.open_time[-1]) + interval_ms(whole.interval) <= collected, name


def test_half_a_bucket_is_not_made_of_the_hours_before_a_forming_one(shared_data, aster):
    collected = live(shared_data, "orderbook_BTCUSDT")["E"]
    hours = series(aster, "BTCUSDT-1h").closed_before(collected)
    assert opens(resample(hours, "4h"))[-1] == "2025-10-15 00:00"
    assert opens(resample(hours, "1d"))[-1] == "2025-10-14 00:00"


@pytest.mark.django_db
def test_a_forming_candle_is_not_seen_as_closed_even_after_its_end_until_it_comes_whole(aster):
    hours, at = series(aster, "BTCUSDT-1h"), utc("2025-10-15 04:29")
    store(hours, at)
    forming = hours.slice(len(hours) - 1, len(hours))
    candles_upsert(venue=VENUE, candles=forming, closed=False)
    for later in (at, at + timedelta(minutes=32)):
        assert opens(look("BTCUSDT", later, "1h").timeframes["1h"].candles)[-1] == "2025-10-15 03:00"
    candles_upsert(venue=VENUE, candles=forming, closed=True)
    assert opens(look("BTCUSDT", utc("2025-10-15 05:01"), "1h").timeframes["1h"].candles)[-1] == "2025-10-15 04:00"


@pytest.mark.django_db
def test_a_forming_candle_taken_for_closed_by_mistake_is_corrected_and_the_correction_kept(aster):
    """A file does not say that its last candle is half a candle. The venue's own closed one puts it right."""
    hours = series(aster, "BTCUSDT-1h")
    store(hours, utc("2025-10-15 05:00"))
    last = hours.slice(len(hours) - 1, len(hours))
    whole = Candles(
        *(getattr(last, name) for name in ("symbol", "interval", "open_time", *COLUMNS[:4])), last.volume * 4
    )
    assert candles_upsert(venue=VENUE, candles=whole, closed=True) == 1
    assert CandleCorrection.objects.get().before["volume"] == 698.051
    assert look("BTCUSDT", utc("2025-10-15 05:00"), "1h").timeframes["1h"].candles.volume[-1] == 698.051 * 4


# Holes


@pytest.mark.parametrize("name", HOLES)
def test_a_recording_with_holes_holds_only_while_one_lies_in_the_last_three_bars(shared_data, name):
    """Looked at when each of its candles has just closed."""
    candles = series(shared_data / "candles/messy", name)
    assert len(gaps(candles)) == HOLES[name]
    step, limit = interval_ms(candles.interval), candle_age_limit(candles.interval, 1.0)
    after_hole = np.flatnonzero(np.diff(candles.open_time) > step) + 1
    expected = {int(index) + late for index in after_hole for late in range(WATCHED_BARS - 1)}
    held = set()
    for count in range(WATCHED_BARS, len(candles) + 1):
        at = int(candles.open_time[count - 1]) + step
        watched = candles.slice(count - WATCHED_BARS, count)
        if candle_problem(watched, at_ms=at, age_limit=limit) is not None:
            held.add(count - 1)
    assert held == {index for index in expected if WATCHED_BARS - 1 <= index < len(candles)}


@pytest.mark.django_db
@pytest.mark.parametrize("name", HOLES)
def test_a_hole_of_a_real_recording_holds_out_of_the_tables_and_then_no_more(shared_data, name):
    candles = series(shared_data / "candles/messy", name)
    step = timedelta(milliseconds=interval_ms(candles.interval))
    distances = np.diff(candles.open_time) // interval_ms(candles.interval)
    lone = next(  # a hole of one candle with at least four whole bars after it
        index
        for index in range(300, len(distances))
        if distances[index] == 2 and (distances[index + 1 : index + 5] == 1).all()
    )
    after = from_ms(int(candles.open_time[lone + 1]))
    store(candles, after + step)
    for bars, holds in ((1, True), (2, True), (3, False)):
        at = after + step * bars
        candles_upsert(venue=VENUE, candles=candles.closed_before(to_ms(at)), closed=True)
        ticker_put(venue=VENUE, quotes=[quote_at(candles, at)])
        expected = f"a {candles.interval} candle is missing among the last 3" if holds else None
        assert look(candles.symbol, at, candles.interval).problem == expected, bars
