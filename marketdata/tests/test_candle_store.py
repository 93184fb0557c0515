"""Candles are stored once, corrected by later ones, and what cannot be true is put aside with an incident."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from accounts.models import Incident
from marketdata.domain.candles import Candles
from marketdata.models import Candle, CandleCorrection, QuarantinedCandle
from marketdata.services import candle_table, candles_upsert
from marketdata.services.candle_table import SMALL
from marketdata.services.candles import BATCH
from marketdata.stored import ROW, candles_of
from marketdata.tests.build import COLUMNS, same, walk
from vibex.lib.clock import from_ms, to_ms

pytestmark = pytest.mark.django_db


def put(candles: Candles, *, closed: bool = True) -> int:
    return candles_upsert(venue="sim", candles=candles, closed=closed)


def stored(symbol: str = "BTCUSDT", **filters: object) -> Candles:
    rows = Candle.objects.filter(venue="sim", symbol=symbol, **filters).order_by("open_time")
    return candles_of(symbol, "1h", rows.values_list(*ROW))


def changed(candles: Candles, index: int | slice, **values: float) -> Candles:
    columns = {name: getattr(candles, name).copy() for name in values}
    for name, value in values.items():
        columns[name][index] = value
    return replace(candles, **columns)


def test_what_is_stored_comes_back_to_the_last_bit():
    candles = walk(50)
    assert put(candles) == 50
    assert same(stored(), candles)


def test_more_than_a_batch_is_stored_whole():
    candles = walk(BATCH + 3, "1m")
    assert put(candles) == BATCH + 3
    assert Candle.objects.count() == BATCH + 3


@pytest.mark.parametrize("count", [SMALL, SMALL + 1])
def test_twice_the_same_is_once_the_same(count):
    assert put(walk(count)) == count
    assert put(walk(count)) == 0
    assert same(stored(), walk(count))


def test_nothing_is_nothing():
    assert put(walk(0)) == 0
    assert not Candle.objects.exists()


@pytest.mark.parametrize("count", [5, SMALL + 1])
def test_a_stored_candle_is_corrected_and_what_it_was_is_kept(count):
    candles = walk(count)
    put(candles)
    assert put(changed(candles, 2, volume=1.25)) == 1
    assert stored().volume[2] == 1.25
    (correction,) = CandleCorrection.objects.all()
    assert (correction.venue, correction.symbol, correction.interval) == ("sim", "BTCUSDT", "1h")
    assert correction.open_time == from_ms(int(candles.open_time[2]))
    before = {name: float(getattr(candles, name)[2]) for name in COLUMNS}
    assert correction.before == before  # to the last bit
    assert correction.after == {**before, "volume": 1.25}


@pytest.mark.parametrize("count", [5, SMALL + 1])
def test_what_comes_again_unchanged_or_closes_is_no_correction(count):
    candles = walk(count)
    put(candles, closed=False)
    put(changed(candles, 2, volume=1.25), closed=False)
    assert put(candles) == count
    put(candles)
    assert not CandleCorrection.objects.exists()


def test_what_is_new_and_what_differs_are_counted_together():
    put(walk(100))
    assert put(changed(walk(150), 20, volume=1.25)) == 51


@pytest.mark.parametrize("count", [1, SMALL])
def test_several_symbols_are_stored_at_once(count):
    several = [walk(count, symbol=symbol, seed=seed) for seed, symbol in enumerate(("ETHUSDT", "BTCUSDT"))]
    assert candles_upsert(venue="sim", candles=several, closed=True) == 2 * count
    assert all(same(stored(candles.symbol), candles) for candles in several)


@pytest.mark.postgres
def test_many_forming_candles_at_once_take_one_statement(django_assert_max_num_queries):
    several = [walk(1, symbol=f"C{number:03}USDT") for number in range(40)]
    candles_upsert(venue="sim", candles=several, closed=False)
    moved = [changed(candles, 0, volume=1.25) for candles in several]
    with django_assert_max_num_queries(1):
        assert candles_upsert(venue="sim", candles=moved, closed=False) == 40


def test_a_forming_candle_grows_and_closes():
    whole = walk(1)
    early = replace(whole, high=np.maximum(whole.open, whole.close), low=np.minimum(whole.open, whole.close))
    assert put(early, closed=False) == 1
    assert len(stored(closed=False)) == 1
    assert put(whole, closed=False) == 1
    assert same(stored(closed=False), whole)
    put(whole)
    assert not len(stored(closed=False))


def test_a_closed_candle_never_becomes_forming_again():
    whole = walk(1)
    put(whole)
    assert put(changed(whole, 0, volume=0.5), closed=False) == 0
    assert same(stored(closed=True), whole)


def test_an_impossible_candle_is_put_aside_with_one_incident():
    broken = changed(walk(5), 2, high=1.0)
    assert put(broken) == 4
    put(broken)
    (aside,) = QuarantinedCandle.objects.all()
    assert (aside.open_time, aside.reason) == (from_ms(int(broken.open_time[2])), "high is below low")
    assert aside.values["high"] == 1.0
    (incident,) = Incident.objects.all()
    assert incident.kind == "impossible-candle"
    assert "sim BTCUSDT 1h at 2025-03-03 02:00 UTC: high is below low" in incident.text
    assert not Candle.objects.filter(open_time=aside.open_time).exists()


def test_a_value_that_is_no_number_is_put_aside_as_nothing():
    put(changed(walk(5), 2, close=float("nan")))
    assert QuarantinedCandle.objects.get().values["close"] is None


def test_a_forming_candle_that_ends_impossible_is_gone():
    whole = walk(1)
    put(whole, closed=False)
    put(changed(whole, 0, low=1e9))
    assert not Candle.objects.exists()
    assert QuarantinedCandle.objects.count() == 1


@pytest.mark.postgres
def test_a_span_that_somebody_else_fills_meanwhile_is_written_all_the_same(monkeypatch):
    candles = walk(SMALL + 10)
    put(candles.slice(5, 20), closed=False)
    nowhere = (from_ms(0), from_ms(1))
    monkeypatch.setattr(candle_table, "_reach", lambda batch: nowhere)  # it looks empty, and is not
    assert put(candles) == len(candles)
    assert same(stored(closed=True), candles)


def test_a_possible_closed_candle_mends_a_quarantined_one():
    whole = walk(5)
    put(changed(whole, 2, high=1.0))
    put(whole.slice(2, 3), closed=False)
    assert QuarantinedCandle.objects.get().mended is None
    put(whole)
    assert QuarantinedCandle.objects.get().mended is not None
    assert same(stored(closed=True), whole)


class AnyOrder(TestCase):
    """The same in whatever order, number and size the candles come."""

    @given(
        st.lists(
            st.tuples(st.integers(0, 60), st.integers(1, 70), st.booleans(), st.booleans()), min_size=1, max_size=6
        )
    )
    def test_a_closed_candle_stays_closed_with_the_values_that_closed_it_last(self, writes):
        Candle.objects.all().delete()
        early, late = walk(130), changed(walk(130), slice(None), volume=1.25)
        expected: dict[int, tuple[bool, float]] = {}
        for start, count, closed, again in writes:
            candles = (late if again else early).slice(start, start + count)
            put(candles, closed=closed)
            for at, volume in zip(candles.open_time.tolist(), candles.volume.tolist(), strict=True):
                if closed or not expected.get(at, (False, 0.0))[0]:
                    expected[at] = (closed, volume)
        found = Candle.objects.values_list("open_time", "closed", "volume")
        assert {to_ms(at): (closed, volume) for at, closed, volume in found} == expected
