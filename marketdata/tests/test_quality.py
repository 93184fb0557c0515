"""Candles that cannot be true are found, each with its reason; so are holes."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.domain.quality import faults, first_disorder, gaps, without
from marketdata.tests.build import recorded_candles, same, walk

NAN, INFINITE = float("nan"), float("inf")
BROKEN = [
    ("high", 1.0, "high is below low"),
    ("low", 1e9, "high is below low"),
    ("open", 1e9, "high is below open"),
    ("close", 1e9, "high is below close"),
    ("open", 1.0, "low is above open"),
    ("close", 1.0, "low is above close"),
    ("close", NAN, "not a finite number"),
    ("high", INFINITE, "not a finite number"),
    ("volume", NAN, "not a finite number"),
    ("low", 0.0, "zero or negative"),
    ("open", -3.0, "zero or negative"),
    ("volume", -1.0, "volume is negative"),
    ("open_time", 1_741_000_000_001, "not on the interval"),
]


@pytest.mark.parametrize(("column", "value", "reason"), BROKEN)
def test_an_impossible_candle_is_found_with_its_reason(column, value, reason):
    candles = walk(5)
    values = getattr(candles, column).copy()
    values[2] = value
    (fault,) = faults(replace(candles, **{column: values}))
    assert fault.index == 2
    assert reason in fault.reason


def test_possible_candles_have_no_fault():
    assert faults(walk(500)) == []


def test_flat_candles_without_volume_are_possible():
    flat = np.full(5, 3.0)
    candles = replace(walk(5), open=flat, high=flat, low=flat, close=flat, volume=np.zeros(5))
    assert faults(candles) == []


def test_the_exchanges_own_broken_candle_is_found(shared_data):
    """AsterDEX, BTC 4h, 16 September 2025 16:00: its open lies below its low (data README)."""
    candles = recorded_candles(shared_data / "candles/aster_2025/BTCUSDT-4h.csv.gz")
    assert [fault.reason for fault in faults(candles)] == ["low is above open"]


def test_what_is_taken_out_is_gone_and_the_rest_is_untouched():
    candles = walk(5)
    low = candles.low.copy()
    low[1] = NAN
    left = without(replace(candles, low=low), faults(replace(candles, low=low)))
    assert left.open_time.tolist() == [candles.open_time[i] for i in (0, 2, 3, 4)]
    assert same(without(candles, []), candles)


@given(st.sets(st.integers(1, 48), max_size=20))
def test_gaps_name_every_missing_candle(missing):
    candles = walk(50)
    keep = [index for index in range(50) if index not in missing]
    holed = replace(candles, open_time=candles.open_time[keep])
    found = {gap.open_time + n * 3_600_000 for gap in gaps(holed) for n in range(gap.missing)}
    assert found == {int(candles.open_time[index]) for index in missing}


def test_recorded_holes_are_counted(shared_data):
    """The data README counts 6 and 538 holes."""
    five = recorded_candles(shared_data / "candles/messy/XRPETH_gappy-5m.csv.gz")
    one = recorded_candles(shared_data / "candles/messy/UNITTEST_gappy-1m.csv.gz")
    assert len(gaps(five)) == 6
    assert len(gaps(one)) == 538
    assert sum(gap.missing for gap in gaps(one)) == 717


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ([1, 2, 3], None),
        ([], None),
        ([1, 1, 2], (1, "repeats the candle before it")),
        ([1, 3, 2], (2, "is older than the candle before it")),
    ],
)
def test_disorder_is_found_at_its_place(times, expected):
    assert first_disorder(np.array(times, dtype=np.int64)) == expected
