"""Candles are stored once, corrected by later ones, and what cannot be true is put aside with an incident."""

from dataclasses import replace

import numpy as np
import pytest

from accounts.models import Incident
from marketdata.domain.candles import Candles
from marketdata.models import Candle, QuarantinedCandle
from marketdata.services import candles_upsert
from marketdata.services.candles import BATCH
from marketdata.stored import ROW, candles_of
from marketdata.tests.build import same, walk
from vibex.lib.clock import from_ms

pytestmark = pytest.mark.django_db


def put(candles: Candles, *, closed: bool = True) -> int:
    return candles_upsert(venue="sim", candles=candles, closed=closed)


def stored(symbol: str = "BTCUSDT", **filters: object) -> Candles:
    rows = Candle.objects.filter(venue="sim", symbol=symbol, **filters).order_by("open_time")
    return candles_of(symbol, "1h", rows.values_list(*ROW))


def changed(candles: Candles, index: int, **values: float) -> Candles:
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


def test_twice_the_same_is_once_the_same():
    put(walk(50))
    put(walk(50))
    assert same(stored(), walk(50))


def test_nothing_is_nothing():
    assert put(walk(0)) == 0
    assert not Candle.objects.exists()


def test_a_stored_candle_is_corrected():
    candles = walk(5)
    put(candles)
    put(changed(candles, 2, volume=1.25))
    assert stored().volume[2] == 1.25


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
