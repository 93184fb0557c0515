"""Indicators agree with other software's values, depend on the past only, and survive every series."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import talib
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.candles import Candles
from marketdata.domain.indicators import NAMES, WARM_UP, compute
from marketdata.tests.build import COLUMNS, walk

EXACT = {
    "ema20": "ema_ema",
    "rsi14": "rsi_rsi",
    "atr14": "atr_atr",
    "bb_upper": "bb_upperBand",
    "bb_middle": "bb_sma",
    "bb_lower": "bb_lowerBand",
}
LAST_HALF = {
    "macd": ("macd_macd", 1e-9),
    "macd_signal": ("macd_signal", 1e-9),
    "macd_hist": ("macd_histogram", 1e-9),
    "adx14": ("adx_adx", 1e-5),
}


@pytest.fixture(scope="module")
def reference(shared_data):
    with (shared_data / "indicators/skender_default_502bars.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0] if name != "date"}


@pytest.fixture(scope="module")
def computed(reference):
    times = np.arange(len(reference["open"]), dtype=np.int64) * 86_400_000
    return compute(Candles("X", "1d", times, *(reference[name] for name in COLUMNS)))


@pytest.mark.parametrize(("ours", "theirs"), EXACT.items())
def test_equals_the_reference_to_float_noise(computed, reference, ours, theirs):
    expected = reference[theirs]
    assert np.array_equal(np.isnan(computed[ours]), np.isnan(expected))
    np.testing.assert_allclose(computed[ours], expected, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize(("ours", "theirs", "within"), [(name, *pair) for name, pair in LAST_HALF.items()])
def test_equals_the_reference_once_warm(computed, reference, ours, theirs, within):
    half = len(reference[theirs]) // 2
    np.testing.assert_allclose(computed[ours][half:], reference[theirs][half:], rtol=0, atol=within)


def test_volume_average_is_the_mean_of_twenty_and_the_ratio_is_against_it():
    candles = walk(60)
    values = compute(candles)
    assert values["volume_average"][40] == pytest.approx(candles.volume[21:41].mean())
    assert values["volume_ratio"][40] == pytest.approx(candles.volume[40] / candles.volume[21:41].mean())


@pytest.mark.parametrize("count", [0, 1, 2, 13, 14, 19, 20, 33, 49])
def test_a_short_series_gives_nan_of_its_length(count):
    values = compute(walk(count))
    assert tuple(values) == NAMES
    assert all(len(array) == count for array in values.values())
    assert np.isnan(values["ema50"]).all()


def test_after_the_warm_up_every_value_is_known():
    values = compute(walk(WARM_UP))
    assert all(np.isfinite(array[-1]) for array in values.values())


def test_flat_candles_without_volume_have_no_strength_and_no_ratio():
    flat, none = np.full(80, 7.5), np.zeros(80)
    values = compute(replace(walk(80), open=flat, high=flat, low=flat, close=flat, volume=none))
    assert values["atr14"][-1] == 0
    assert values["bb_upper"][-1] == values["bb_lower"][-1] == 7.5
    for unknown in ("rsi7", "rsi14", "volume_ratio"):
        assert np.isnan(values[unknown]).all()


def test_a_price_that_only_falls_has_strength_zero_not_unknown():
    down = np.linspace(100, 50, 40)
    values = compute(replace(walk(40), open=down, high=down, low=down, close=down))
    assert values["rsi14"][-1] == 0


@settings(max_examples=30, deadline=None)
@given(cut=st.integers(1, 199), seed=st.integers(0, 1000))
def test_no_value_depends_on_a_later_candle(cut, seed):
    whole = walk(200, seed=seed)
    before, after = compute(whole.slice(0, cut)), compute(whole)
    for name in NAMES:
        assert np.array_equal(before[name], after[name][:cut], equal_nan=True), name


@pytest.mark.parametrize("file", ["penny", "toobig", "zeros", "bad", "bitcoin_1d"])
def test_hostile_series_never_raise(shared_data, file):
    with (shared_data / f"indicators/skender_quotes_{file}.csv").open() as lines:
        rows = list(csv.reader(lines))
    table = np.array([[_number(cell) for cell in row[1:6]] for row in rows if len(row) >= 6])
    values = compute(Candles("X", "1d", np.arange(len(table), dtype=np.int64), *table.T.copy()))
    assert all(len(array) == len(table) for array in values.values())


def test_is_what_talib_says():
    candles = walk(300)
    values = compute(candles)
    assert np.array_equal(values["ema50"], talib.EMA(candles.close, 50), equal_nan=True)
    assert np.array_equal(values["rsi7"], talib.RSI(candles.close, 7), equal_nan=True)
    assert np.array_equal(values["atr3"], talib.ATR(candles.high, candles.low, candles.close, 3), equal_nan=True)


def _number(cell):
    try:
        return float(cell)
    except ValueError:
        return float("nan")
