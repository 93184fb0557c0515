"""Masked recordings: nothing names what or when they are, everything stays on its grid, and the key leads back."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from marketdata.domain.masking import BAND, VENUE, WEEK_MS, WEEKS, mask
from marketdata.domain.pricing import decimal_of
from marketdata.domain.recording import FundingRecord, Quarantined
from marketdata.tests.build import START, recording, walk
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

SYMBOLS = ("BTCUSDT", "ETHUSDT", "DOGEUSDT")
SEEDS = some.integers(0, 2**32)


def recordings(count: int = 40):
    at = to_ms(START) + 8 * 3_600_000 * np.arange(5, dtype=np.int64)
    funding = FundingRecord(at, np.full(5, 0.0001), np.array([50_000.123456, np.nan, 1.0, 2.0, 3.0]))
    first, *others = (recording(walk(count, symbol=name, seed=place)) for place, name in enumerate(SYMBOLS))
    lost = Quarantined("BTCUSDT", "1h", to_ms(START), {}, "high below low (BTCUSDT-1h.csv.gz, line 7)")
    return [replace(first, funding=funding, mark=replace(first.candles), quarantined=(lost,)), *others]


@given(SEEDS)
@settings(max_examples=40)
def test_every_price_and_quantity_stays_on_its_grid_and_the_key_leads_back(seed):
    true = {each.symbol: each for each in recordings(12)}
    masked = mask(recordings(12), seed=seed)
    for hidden in masked.recordings:
        was = true[masked.key.symbols[hidden.symbol]]
        spec, factor = hidden.spec, masked.key.factors[hidden.symbol]
        assert spec.tick_size == was.spec.tick_size * factor
        assert spec.step_size * factor == was.spec.step_size
        assert spec.min_notional == was.spec.min_notional
        for name in ("open", "high", "low", "close"):
            for value, before in zip(getattr(hidden.candles, name), getattr(was.candles, name), strict=True):
                price = decimal_of(value)
                assert price % spec.tick_size == 0
                assert masked.key.price(hidden.symbol, price) == decimal_of(before)
        assert np.allclose(hidden.candles.volume * float(factor), was.candles.volume, rtol=1e-12)
        assert BAND[0] <= hidden.candles.close[0] <= BAND[1]
        assert masked.key.quantity(hidden.symbol, spec.min_quantity) == was.spec.min_quantity
        mantissa = str(factor.normalize().as_tuple().digits)
        assert mantissa != "(1,)", "the digits of a price would be those of the market"


@given(SEEDS)
@settings(max_examples=20)
def test_times_move_by_whole_weeks_and_funding_with_them(seed):
    masked = mask(recordings(12), seed=seed)
    key = masked.key
    assert WEEKS[0] <= key.weeks <= WEEKS[1]
    for hidden in masked.recordings:
        moved = to_ms(START) - int(hidden.candles.open_time[0])
        assert moved == key.weeks * WEEK_MS
        assert from_ms(int(hidden.candles.open_time[0])) == key.hidden(START)
        assert key.moment(key.hidden(START)) == START
    (paid,) = [each for each in masked.recordings if len(each.funding.at)]
    assert to_ms(START) - int(paid.funding.at[0]) == key.weeks * WEEK_MS
    assert paid.funding.rate.tolist() == [0.0001] * 5
    factor = float(key.factors[paid.symbol])
    assert np.isnan(paid.funding.mark[1])
    assert paid.funding.mark[0] == pytest.approx(50_000.123456 * factor, rel=1e-9)


def test_nothing_names_what_it_is():
    for seed in range(30):
        masked = mask(recordings(), seed=seed)
        told = repr(
            [
                (each.spec, each.symbol, each.candles.symbol, each.mark and each.mark.symbol)
                for each in masked.recordings
            ]
        )
        assert not any(name in told for name in ("BTC", "ETH", "DOGE", "recorded", "2025"))
        assert masked.symbols == ("ASSET1USDT", "ASSET2USDT", "ASSET3USDT")
        assert {each.spec.venue for each in masked.recordings} == {VENUE}
        assert all(each.quarantined == () for each in masked.recordings)


def test_the_same_seed_hides_the_same_way_and_another_one_otherwise():
    one, again, other = (mask(recordings(), seed=seed) for seed in (1, 1, 2))
    assert one.key == again.key
    assert one.key != other.key
    assert len({tuple(mask(recordings(), seed=seed).key.symbols.values()) for seed in range(40)}) == 6
    assert one.key.masked("BTCUSDT") in one.symbols
    with pytest.raises(KeyError):
        one.key.masked("SOLUSDT")


def test_a_contract_without_a_fitting_grid_is_refused():
    odd = recordings()[0]
    spec = replace(odd.spec, step_size=Decimal("0.000000000001"))
    with pytest.raises(Rejected, match="BTCUSDT cannot be masked"):
        mask([replace(odd, spec=spec)], seed=1)


def test_shift_keeps_the_day_of_the_week_and_the_hour():
    hidden = mask(recordings(), seed=5).key.hidden(START + timedelta(hours=13))
    assert (hidden.weekday(), hidden.hour) == (0, 13)
