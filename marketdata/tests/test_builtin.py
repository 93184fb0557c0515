"""Contracts have rules where no venue tells them, and they suit the recorded prices."""

from decimal import Decimal

import numpy as np
import pytest

from marketdata.domain.builtin import builtin_spec, decimals_of, recorded_spec, split_symbol, step_for
from marketdata.domain.pricing import decimal_of
from marketdata.tests.build import recorded_candles


@pytest.mark.parametrize(
    ("symbol", "tick", "step"),
    [
        ("BTCUSDT", "0.1", "0.001"),
        ("ETHUSDT", "0.1", "0.001"),
        ("SOLUSDT", "0.01", "0.01"),
        ("BNBUSDT", "0.01", "0.01"),
        ("XRPUSDT", "0.0001", "0.1"),
        ("DOGEUSDT", "0.00001", "1"),
    ],
)
def test_the_six_majors_have_the_venues_rules(symbol, tick, step):
    spec = builtin_spec("sim", symbol, price=1.0)
    assert (spec.tick_size, spec.step_size, spec.min_notional) == (Decimal(tick), Decimal(step), 5)
    assert (spec.maker_fee, spec.taker_fee) == (Decimal("0.00005"), Decimal("0.0004"))
    assert spec.funding_interval_hours == 8


@pytest.mark.parametrize(
    ("price", "tick", "step"), [(39.6, "0.001", "0.01"), (0.0123, "0.000001", "10"), (1.0, "0.0001", "1")]
)
def test_an_unknown_contract_has_five_digits_and_a_step_worth_at_most_one(price, tick, step):
    spec = builtin_spec("sim", "PEPEUSDT", price=price)
    assert (spec.tick_size, spec.step_size) == (Decimal(tick), Decimal(step))


@pytest.mark.parametrize(
    ("file", "tick"),
    [
        ("binance_um_2025_1h/XRPUSDT-1h", "0.0001"),
        ("binance_um_2025_1h/BTCUSDT-1h", "0.1"),
        ("binance_um_2025_1h/ETHUSDT-1h", "0.01"),
        ("aster_2025/1000PEPEUSDT-1h", "0.0000001"),
        ("aster_2025/AAPLUSDT-1h", "0.01"),
    ],
)
def test_the_tick_of_a_recorded_contract_is_the_last_decimal_of_its_prices(shared_data, file, tick):
    candles = recorded_candles(shared_data / f"candles/{file}.csv.gz")
    spec = recorded_spec("recorded", candles.symbol, candles.close)
    assert spec.tick_size == Decimal(tick)
    for price in candles.close[:50]:
        assert decimal_of(price) % spec.tick_size == 0


@pytest.mark.parametrize(
    ("prices", "decimals"), [([1.0, 20.0], 0), ([1.5, 2.25], 2), ([0.1 + 0.2], 10), ([0.00001234], 8)]
)
def test_decimals_are_counted_as_written(prices, decimals):
    assert decimals_of(np.array(prices)) == decimals


@pytest.mark.parametrize(("price", "step"), [(95_000.0, "0.00001"), (0.5, "1"), (0.00002, "10000")])
def test_a_step_is_worth_at_most_one(price, step):
    assert step_for(price) == Decimal(step)
    assert step_for(price) * Decimal(price) <= 1


@pytest.mark.parametrize(
    ("symbol", "parts"),
    [
        ("BTCUSDT", ("BTC", "USDT")),
        ("XRPETH", ("XRP", "ETH")),
        ("UNITTEST", ("UNITTEST", "USDT")),
        ("USDT", ("USDT", "USDT")),
    ],
)
def test_a_symbol_is_split_at_its_quote_asset(symbol, parts):
    assert split_symbol(symbol) == parts
