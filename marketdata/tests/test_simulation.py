"""The simulated market looks like one, and is the same however it is asked for."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.domain.builtin import MAJORS, builtin_spec
from marketdata.domain.candles import Candles
from marketdata.domain.quality import faults, gaps
from marketdata.domain.simulation import (
    DAY_MINUTES,
    FUNDING_BOUND,
    MINUTE_MS,
    REGIMES,
    YEAR_MINUTES,
    _regimes_of_day,
    funding_rate,
    generate,
    profile_of,
)
from marketdata.tests.build import COLUMNS, same

FIRST_DAY = 20_000
FIRST = FIRST_DAY * DAY_MINUTES * MINUTE_MS
SYMBOLS = tuple(f"{base}USDT" for base in MAJORS)


def made(
    symbol: str = "BTCUSDT", *, start: int = 0, stop: int = 3 * DAY_MINUTES, seed: int = 1, before=None
) -> Candles:
    """Return the candles of the minutes [start, stop) after the first day's midnight."""
    spec = builtin_spec("sim", symbol, price=profile_of(symbol).price)
    return generate(
        seed=seed,
        symbol=symbol,
        tick=float(spec.tick_size),
        step=float(spec.step_size),
        start_ms=FIRST + start * MINUTE_MS,
        stop_ms=FIRST + stop * MINUTE_MS,
        previous_close=before,
    )


def returns(candles: Candles) -> np.ndarray:
    return np.diff(np.log(candles.close))


@pytest.fixture(scope="module")
def months():
    return {symbol: made(symbol, stop=60 * DAY_MINUTES) for symbol in SYMBOLS}


@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.integers(0, 3 * DAY_MINUTES), max_size=4).map(sorted),
    symbol=st.sampled_from(SYMBOLS),
    seed=st.integers(-5, 10**12),
)
def test_a_range_is_the_same_however_it_is_cut(cuts, symbol, seed):
    whole = made(symbol, seed=seed)
    pieces, before = [], None
    for start, stop in zip([0, *cuts], [*cuts, 3 * DAY_MINUTES], strict=True):
        piece = made(symbol, seed=seed, start=start, stop=stop, before=before)
        before = piece.close[-1] if len(piece) else before
        pieces.append(piece)
    joined = [np.concatenate([getattr(piece, name) for piece in pieces]) for name in ("open_time", *COLUMNS)]
    assert same(whole, Candles(symbol, "1m", *joined))


@pytest.mark.parametrize("symbol", [*SYMBOLS, "PEPEUSDT", "1000SHIBUSDT"])
def test_every_candle_is_possible_and_none_is_missing(symbol):
    candles = made(symbol, stop=10 * DAY_MINUTES)
    assert len(candles) == 10 * DAY_MINUTES
    assert faults(candles) == []
    assert gaps(candles) == []


@pytest.mark.parametrize("symbol", SYMBOLS)
def test_prices_are_on_the_tick_and_volumes_on_the_step(symbol):
    spec = builtin_spec("sim", symbol, price=1.0)
    candles = made(symbol)
    for name in ("open", "high", "low", "close"):
        decimals = -spec.tick_size.as_tuple().exponent
        values = getattr(candles, name)
        assert np.array_equal(values, np.round(values, decimals)), name
    steps = candles.volume / float(spec.step_size)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)


def test_each_candle_opens_where_the_last_one_closed():
    candles = made()
    assert np.array_equal(candles.open[1:], candles.close[:-1])


def test_volatility_is_that_of_crypto(months):
    for symbol, candles in months.items():
        yearly = returns(candles).std() * np.sqrt(YEAR_MINUTES)
        assert 0.4 <= yearly <= 1.2, (symbol, yearly)


def test_tails_are_fat(months):
    for candles in months.values():
        moves = returns(candles)
        kurtosis = ((moves - moves.mean()) ** 4).mean() / moves.var() ** 2
        assert kurtosis > 6


def test_symbols_move_together_but_not_as_one(months):
    moves = {symbol: returns(candles) for symbol, candles in months.items()}
    for left, right in combinations(SYMBOLS, 2):
        assert 0.6 <= np.corrcoef(moves[left], moves[right])[0, 1] <= 0.8


def test_volume_follows_volatility_and_the_time_of_day(months):
    for candles in months.values():
        assert np.corrcoef(np.abs(returns(candles)), candles.volume[1:])[0, 1] > 0.3
        by_hour = candles.volume.reshape(-1, 24, 60).mean(axis=(0, 2))
        assert by_hour[13:18].mean() > 1.5 * by_hour[1:6].mean()


def test_every_regime_comes_and_lasts_for_hours():
    hours = np.concatenate([_regimes_of_day(1, FIRST_DAY + day) for day in range(60)])
    assert set(hours) == set(range(len(REGIMES)))
    changes = np.count_nonzero(np.diff(hours))
    assert 5 <= len(hours) / changes <= 50


def test_prices_stay_in_reach_of_where_they_began(months):
    for symbol, candles in months.items():
        first = profile_of(symbol).price
        assert first / 6 < candles.low.min() < candles.high.max() < 6 * first


def test_funding_follows_the_trend_and_stays_bounded():
    rates, trends = [], []
    candles = made(stop=60 * DAY_MINUTES)
    for settlement in range(2, 170):
        minute = settlement * 480
        rates.append(funding_rate(seed=1, symbol="BTCUSDT", at_ms=FIRST + minute * MINUTE_MS))
        trends.append(np.log(candles.close[minute - 1] / candles.close[minute - 481]))
    assert np.corrcoef(rates, trends)[0, 1] > 0.95
    assert max(map(abs, rates)) <= FUNDING_BOUND
    assert min(rates) < 0 < max(rates)


def test_another_seed_or_symbol_is_another_market():
    assert not np.array_equal(made(seed=1).close, made(seed=2).close)
    assert not np.array_equal(made(seed=1).close, made(seed=-1).close)
    assert abs(np.corrcoef(returns(made(seed=1)), returns(made(seed=2)))[0, 1]) < 0.1
    assert not np.array_equal(returns(made("BTCUSDT")), returns(made("ETHUSDT")))


def test_an_unknown_name_has_a_price_of_its_own_that_stays():
    assert profile_of("PEPEUSDT") == profile_of("PEPEUSDT") != profile_of("WIFUSDT")
    assert 0.01 <= profile_of("PEPEUSDT").price <= 100


def test_an_empty_range_has_no_candle():
    assert len(made(start=5, stop=5)) == 0


def test_a_range_off_the_minute_is_refused():
    with pytest.raises(ValueError, match="on the minute"):
        generate(seed=1, symbol="BTCUSDT", tick=0.1, step=0.001, start_ms=1, stop_ms=60_000, previous_close=None)
