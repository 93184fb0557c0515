"""A backtest sees closed candles, prices and funding of the moment it asks about, and nothing of what comes later."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.candles import Candles
from marketdata.domain.indicators import NAMES
from marketdata.domain.recording import FundingRecord
from marketdata.domain.resample import resample
from marketdata.recorded_market import RecordedMarket
from marketdata.tests.build import COLUMNS, START, recording, walk
from marketdata.venues.recorded import read_folder
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected, Retryable

HOUR = timedelta(hours=1)
FRAMES = ("1h", "4h", "1d")


def market(count=400, **kwargs):
    return RecordedMarket([recording(walk(count), **kwargs)], timeframes=FRAMES, digests=True)


def seen(of, at):
    """Return everything in a snapshot as comparable values."""
    snapshot = of.snapshot(symbols=of.symbols, timeframes=FRAMES, at=at)
    values = [snapshot.digest]
    for view in snapshot.symbols.values():
        values += [view.quote, view.problem, sorted(view.ages.items())]
        for timeframe in view.timeframes.values():
            values += [getattr(timeframe.candles, name).tobytes() for name in ("open_time", *COLUMNS)]
            values += [timeframe.indicators[name].tobytes() for name in NAMES]
    return values


@settings(max_examples=25, deadline=None)
@given(hours=st.integers(1, 390), poison=st.sampled_from([float("nan"), 1e12, 0.0]))
def test_poison_in_the_future_changes_nothing(hours, poison):
    candles, mark = walk(400), walk(400, seed=8)
    funding = FundingRecord(
        to_ms(START) + 8 * 3_600_000 * np.arange(1, 50, dtype=np.int64), np.full(49, 1e-4), np.full(49, 50_000.0)
    )
    at = START + hours * HOUR
    later = funding.at > to_ms(at)
    poisoned_funding = replace(
        funding, rate=np.where(later, poison, funding.rate), mark=np.where(later, poison, funding.mark)
    )
    clean = market_of(candles, mark, funding)
    dirty = market_of(poisoned(candles, hours, poison), poisoned(mark, hours, poison), poisoned_funding)
    assert seen(clean, at) == seen(dirty, at)
    assert clean.quote("BTCUSDT", at=at) == dirty.quote("BTCUSDT", at=at)
    assert clean.funding("BTCUSDT", since=START, until=at) == dirty.funding("BTCUSDT", since=START, until=at)


def market_of(candles, mark, funding):
    return RecordedMarket([recording(candles, mark=mark, funding=funding)], timeframes=FRAMES)


def poisoned(candles, start, value):
    columns = [np.where(np.arange(len(candles)) >= start, value, getattr(candles, name)) for name in COLUMNS]
    return Candles(candles.symbol, candles.interval, candles.open_time, *columns)


@pytest.mark.parametrize("minutes", [0, 1, 59])
def test_the_forming_candle_is_never_taken_for_a_closed_one(minutes):
    at = START + 100 * HOUR + timedelta(minutes=minutes)
    view = market().snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=at).symbols["BTCUSDT"]
    assert view.timeframes["1h"].candles.open_time[-1] == to_ms(START + 99 * HOUR)
    assert view.timeframes["4h"].candles.open_time[-1] == to_ms(START + 96 * HOUR)
    assert view.timeframes["1d"].candles.open_time[-1] == to_ms(START + 72 * HOUR)
    assert view.ages["1h"] == timedelta(minutes=minutes)
    assert view.ages["1d"] == timedelta(hours=4, minutes=minutes)


def test_a_timeframe_is_the_resampled_base_and_ends_with_the_last_closed_candle():
    view = market().snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=START + 399 * HOUR).symbols["BTCUSDT"]
    expected = resample(walk(399), "4h")
    assert np.array_equal(view.timeframes["4h"].candles.close, expected.close[-200:])
    assert len(view.timeframes["1h"].candles) == 200


def test_the_warm_up_is_nan_and_short_timeframes_hold_with_a_reason():
    view = market().snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=START + 30 * HOUR).symbols["BTCUSDT"]
    hours = view.timeframes["1h"].indicators
    assert np.isnan(hours["ema50"]).all()
    assert np.isfinite(hours["ema20"][19:]).all()
    assert view.problem == "only 7 of 15 closed 4h candles"


def test_before_the_first_candle_there_is_no_price_and_the_symbol_holds():
    snapshot = market().snapshot(symbols=["BTCUSDT"], timeframes=FRAMES, at=START)
    view = snapshot.symbols["BTCUSDT"]
    assert view.problem == "no closed 1h candle"
    assert view.quote.last == 0
    assert len(view.timeframes["1h"].candles) == 0
    with pytest.raises(Retryable, match="nothing was recorded before"):
        market().quote("BTCUSDT", at=START)


def test_after_the_last_candle_the_symbol_holds_as_stale():
    view = market().snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=START + 403 * HOUR).symbols["BTCUSDT"]
    assert view.problem == "the last 1h candle closed 3.0 h ago"


def test_a_hole_holds_while_it_lies_in_the_last_three_bars():
    candles = walk(100)
    keep = np.arange(100) != 60
    holed = Candles("BTCUSDT", "1h", candles.open_time[keep], *(getattr(candles, name)[keep] for name in COLUMNS))
    holes = RecordedMarket([recording(holed)])
    problems = [
        holes.snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=START + hour * HOUR).symbols["BTCUSDT"].problem
        for hour in range(60, 66)
    ]
    missing = "a 1h candle is missing among the last 3"
    assert problems == [None, missing, missing, missing, None, None]


def test_a_mark_far_from_the_last_price_holds():
    candles = walk(100)
    far = replace(candles, close=candles.close * 1.02)
    view = RecordedMarket([recording(candles, mark=far)]).snapshot(
        symbols=["BTCUSDT"], timeframes=["1h"], at=START + 50 * HOUR
    )
    assert "more than 1 % apart" in view.symbols["BTCUSDT"].problem


def test_the_quote_is_the_last_close_with_the_spread_around_it():
    quote = market().quote("BTCUSDT", at=START + 50 * HOUR)
    last = Decimal(str(walk(50).close[-1]))
    assert quote.last == quote.mark == last
    assert quote.bid <= last * Decimal("0.9999") < last * Decimal("1.0001") <= quote.ask
    assert quote.ask - quote.bid <= last * Decimal("0.0002") + 2 * Decimal("0.1")
    assert quote.bid % Decimal("0.1") == quote.ask % Decimal("0.1") == 0
    assert quote.at == START + 50 * HOUR


def test_without_a_spread_bid_and_ask_are_still_a_tick_apart():
    narrow = RecordedMarket([recording(walk(10))], spread=Decimal(0))
    quote = narrow.quote("BTCUSDT", at=START + HOUR)
    assert quote.ask - quote.bid == Decimal("0.1")


def test_the_mark_is_the_recorded_one_where_there_is_one():
    mark = walk(400, seed=8)
    mark.close[10] = np.nan
    of = market(mark=mark)
    assert of.quote("BTCUSDT", at=START + 10 * HOUR).mark == Decimal(repr(float(mark.close[9])))
    unknown = of.quote("BTCUSDT", at=START + 11 * HOUR)
    assert unknown.mark == unknown.last
    bar = of.base_bar("BTCUSDT", at=START + 10 * HOUR)
    assert bar.mark_high == Decimal(repr(float(mark.high[10])))
    assert bar.mark_close is None


def test_funding_comes_with_its_mark_and_the_quote_knows_the_settled_rate_only():
    at = to_ms(START) + 8 * 3_600_000 * np.array([1, 2], dtype=np.int64)
    of = market(funding=FundingRecord(at, np.array([0.0001, -0.0002]), np.array([50_000.0, np.nan])))
    first, second = of.funding("BTCUSDT", since=START, until=START + 16 * HOUR)
    assert (first.at, first.rate, first.mark) == (START + 8 * HOUR, Decimal("0.0001"), Decimal("50000.0"))
    assert (second.rate, second.mark) == (Decimal("-0.0002"), None)
    assert of.funding("BTCUSDT", since=START + 8 * HOUR, until=START + 15 * HOUR) == []
    quote = of.quote("BTCUSDT", at=START + 15 * HOUR)
    assert (quote.funding_rate, quote.next_funding_at) == (Decimal("0.0001"), START + 16 * HOUR)
    assert of.quote("BTCUSDT", at=START + 7 * HOUR).funding_rate is None


def test_the_exchange_gets_the_candle_that_begins_now():
    candles = walk(400)
    of = market()
    bar = of.base_bar("BTCUSDT", at=START + 10 * HOUR)
    assert float(bar.open) == candles.open[10]
    assert (float(bar.high), float(bar.low), float(bar.close)) == (candles.high[10], candles.low[10], candles.close[10])
    assert (bar.opened_at, bar.closed_at) == (START + 10 * HOUR, START + 11 * HOUR)
    for none in (START - HOUR, START + 400 * HOUR, START + timedelta(minutes=30)):
        assert of.base_bar("BTCUSDT", at=none) is None


def test_base_candles_overlap_the_span_and_the_forming_one_shows_what_has_happened():
    candles = walk(400)
    got = market().base_candles("BTCUSDT", since=START + 10 * HOUR, until=START + timedelta(hours=12, minutes=30))
    assert got.open_time.tolist() == candles.open_time[10:13].tolist()
    assert got.close[:2].tolist() == candles.close[10:12].tolist()
    assert candles.low[12] <= got.low[2] <= got.high[2] <= candles.high[12]
    assert got.volume[2] == pytest.approx(candles.volume[12] / 2)
    inside = market().base_candles("BTCUSDT", since=START + timedelta(hours=10, minutes=1), until=START + 11 * HOUR)
    assert inside.open_time.tolist() == [candles.open_time[10]]


def test_the_same_moment_has_the_same_digest_and_every_other_one_another():
    of = market()
    moments = [START + hour * HOUR for hour in range(100, 130)]
    digests = [of.snapshot(symbols=of.symbols, timeframes=FRAMES, at=at).digest for at in moments]
    assert len(set(digests)) == len(moments)
    assert digests == [market().snapshot(symbols=of.symbols, timeframes=FRAMES, at=at).digest for at in moments]


def test_one_changed_value_long_ago_changes_the_digest():
    candles = walk(400)
    volume = candles.volume.copy()
    volume[3] += 0.001
    at = START + 399 * HOUR
    other = RecordedMarket([recording(replace(candles, volume=volume))])
    assert other.snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=at).digest != (
        market().snapshot(symbols=["BTCUSDT"], timeframes=["1h"], at=at).digest
    )


def test_an_unknown_symbol_is_refused_with_the_known_ones():
    with pytest.raises(Rejected, match=r"PEPEUSDT is not in this recording\. It holds BTCUSDT"):
        market().snapshot(symbols=["PEPEUSDT"], timeframes=["1h"], at=START + HOUR)


def test_a_timeframe_below_the_base_is_refused():
    with pytest.raises(Rejected, match="15m candles cannot be made of 1h candles: choose a longer interval"):
        RecordedMarket([recording(walk(10))], timeframes=["15m"])


def test_recordings_of_different_intervals_are_refused():
    with pytest.raises(Rejected, match="one base interval"):
        RecordedMarket([recording(walk(10)), recording(walk(10, "4h", symbol="ETHUSDT"))])


def test_real_candles_of_six_symbols_are_sound(shared_data):
    read = read_folder(shared_data / "candles/binance_um_2025_1h")
    of = RecordedMarket(read.recordings.values(), timeframes=FRAMES)
    first, last = of.span("BTCUSDT")
    snapshot = of.snapshot(symbols=of.symbols, timeframes=("1h", "4h"), at=last)
    assert len(of.symbols) == 6
    assert {view.problem for view in snapshot.symbols.values()} == {None}
    assert last - first == timedelta(hours=7272)
