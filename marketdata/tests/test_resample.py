"""Longer candles are exactly what the venue records, and never come out before they are whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.candles import INTERVAL_MS, Candles, interval_ms
from marketdata.domain.resample import resample
from marketdata.tests.build import COLUMNS, recorded_candles, same, walk

PAIRS = [
    *(("binance_um_2025_1m", s, "1m", "binance_um_2025_1h", "1h", 719) for s in ("BTC", "ETH", "SOL", "BNB", "XRP")),
    *(("binance_um_2025_5m", s, "5m", "binance_um_2025_1h", "1h", 719) for s in ("BTC", "ETH", "SOL", "BNB", "XRP")),
    *(("binance_um_2025_15m", s, "15m", "binance_um_2025_1h", "1h", 1464) for s in ("BTC", "ETH", "XRP", "DOGE")),
    *(("binance_um_2025_1h", s, "1h", "binance_um_2025_1h", "4h", 1818) for s in ("BTC", "ETH", "SOL", "XRP", "DOGE")),
    *(("binance_um_2025_5m", s, "5m", "binance_um_2025_5m", "1d", 19) for s in ("BTC", "ETH", "SOL", "BNB")),
]


@pytest.mark.parametrize(("folder", "base", "interval", "other", "longer", "at_least"), PAIRS)
def test_equals_the_recorded_longer_candle_in_every_value(shared_data, folder, base, interval, other, longer, at_least):
    made = resample(recorded_candles(shared_data / f"candles/{folder}/{base}USDT-{interval}.csv.gz"), longer)
    recorded = recorded_candles(shared_data / f"candles/{other}/{base}USDT-{longer}.csv.gz")
    common, ours, theirs = np.intersect1d(made.open_time, recorded.open_time, return_indices=True)
    assert len(common) >= at_least
    for name in COLUMNS:
        assert np.array_equal(getattr(made, name)[ours], getattr(recorded, name)[theirs]), name


@pytest.mark.parametrize("longer", ["3m", "5m", "15m", "1h", "4h", "1d"])
def test_two_steps_make_what_one_step_makes(longer):
    minutes = walk(3 * 1440, "1m")
    for middle in INTERVAL_MS:
        if interval_ms(longer) % interval_ms(middle) == 0:
            assert same(resample(resample(minutes, middle), longer), resample(minutes, longer)), middle


@given(start=st.integers(0, 70), count=st.integers(0, 200))
def test_only_whole_buckets_come_out(start, count):
    minutes = walk(300, "1m").slice(start, start + count)
    made = resample(minutes, "15m")
    length = interval_ms("15m")
    for opened in made.open_time:
        inside = (minutes.open_time >= opened) & (minutes.open_time < opened + length)
        assert inside.sum() == 15


def test_a_bucket_whose_time_has_passed_does_not_come_out_without_its_last_candle():
    minutes = walk(30, "1m")
    assert len(resample(minutes.slice(0, 29), "15m")) == 1
    assert len(resample(minutes, "15m")) == 2


def test_a_hole_inside_leaves_the_bucket_made_of_the_rest():
    minutes = walk(30, "1m")
    keep = np.ones(30, dtype=bool)
    keep[20] = False
    holed = Candles("X", "1m", minutes.open_time[keep], *(getattr(minutes, name)[keep] for name in COLUMNS))
    assert len(resample(holed, "15m")) == 2


def test_the_same_interval_comes_back_unchanged():
    hours = walk(10)
    assert same(resample(hours, "1h"), hours)


def test_nothing_makes_nothing():
    assert len(resample(walk(0, "1m"), "1h")) == 0


@pytest.mark.parametrize(("base", "wanted"), [("1h", "15m"), ("1h", "3m"), ("3m", "5m")])
def test_an_interval_that_cannot_be_made_is_refused(base, wanted):
    with pytest.raises(ValueError, match=f"{wanted} candles cannot be made of {base}"):
        resample(walk(10, base), wanted)


def test_an_unknown_interval_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="use one of 1m, 3m"):
        resample(walk(10, "1h"), "2h")
