"""Contracts as exchanges list them: rules that differ from the documents, and from what their own fields suggest."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from accounts.domain.limits import DEFAULTS
from decisions.domain.proposal import Verdict
from marketdata.aster import payloads, terms
from marketdata.domain.assess import LIMITS
from marketdata.domain.instruments import TRADITIONAL, InstrumentSpec
from marketdata.selectors import instrument_specs, wanted_symbols
from marketdata.services import instruments_upsert
from marketdata.tests.build import START, walk
from tests.quirks.kit import VENUE, live, look, payload, quote_at, spec_of, store
from trading.domain.matching import Engine, EngineRefusal
from trading.tests.matching_kit import order
from trading.tests.matching_kit import quote as prices
from trading.tests.risk_kit import LONG, market, rule, view

ASTER = "exchange/aster/exchangeInfo_full_2025-12-24.json.gz"
BINANCE = "exchange/binance/exchangeInfo_testnet_2025-11-26_sample.json"


@pytest.fixture(scope="module")
def listed(shared_data: Path) -> dict[str, dict]:
    return {row["symbol"]: row for row in payload(shared_data / ASTER)["symbols"]}


@pytest.fixture(scope="module")
def specs(shared_data: Path) -> dict[str, InstrumentSpec]:
    return {spec.symbol: spec for spec in payloads.instruments_of(payload(shared_data / ASTER), [], venue="aster")}


@pytest.fixture(scope="module")
def binance(shared_data: Path) -> dict[str, InstrumentSpec]:
    sample = payload(shared_data / BINANCE)
    return {spec.symbol: spec for spec in payloads.instruments_of(sample, [], venue="binance_usdm")}


def decimals(value: D) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))


# Order types and times in force


def test_order_types_and_times_in_force_are_what_asterdex_sends_and_not_what_it_documents(specs, shared_data):
    for spec in specs.values():
        assert {"LIMIT", "MARKET", "STOP_MARKET", "TAKE_PROFIT_MARKET"} <= set(spec.order_types)
        assert {"GTC", "IOC", "HIDDEN", "RPI"} <= set(spec.times_in_force)
    examples = payload(shared_data / "exchange/aster/docs_v3_examples.json")
    documented = next(
        one["json"] for one in examples if one["heading"] == "Exchange Information" and "symbols" in one["json"]
    )
    assert "OrderType" in documented["symbols"][0]
    (dogecoin, *_) = payloads.instruments_of(documented, [], venue="aster")
    assert "STOP_MARKET" in dogecoin.order_types


# Rounding


def test_the_precision_field_is_not_the_tick_for_230_of_263_contracts(specs, listed):
    apart = [name for name, row in listed.items() if decimals(D(_tick(row))) != row["pricePrecision"]]
    assert (len(apart), len(listed)) == (230, 263)
    assert (specs["SOLUSDT"].tick_size, listed["SOLUSDT"]["pricePrecision"]) == (D("0.01"), 4)
    assert (specs["DOGEUSDT"].tick_size, listed["DOGEUSDT"]["pricePrecision"]) == (D("0.00001"), 6)


def _tick(row: dict) -> str:
    return next(rule["tickSize"] for rule in row["filters"] if rule["filterType"] == "PRICE_FILTER")


@settings(max_examples=20)
@given(share=st.decimals("0.0000001", 1, places=7), size=st.decimals("0.0000001", 1, places=7))
def test_every_contract_rounds_prices_and_quantities_to_what_its_filters_take(specs, share, size):
    for spec in specs.values():
        highest = spec.max_price or D(1_000_000)
        price = spec.min_price + share * (highest - spec.min_price)
        for rounded in (spec.price_down(price), spec.price_near(price), spec.price_up(price)):
            assert (rounded - spec.min_price) % spec.tick_size == 0, spec.symbol
            assert abs(rounded - price) < spec.tick_size, spec.symbol
        assert spec.price_down(price) <= price <= spec.price_up(price), spec.symbol
        quantity = spec.quantity_down(size * spec.max_quantity)
        assert quantity % spec.step_size == 0, spec.symbol
        assert 0 <= size * spec.max_quantity - quantity < spec.step_size, spec.symbol


def test_a_price_on_a_tick_above_the_lowest_price_is_a_whole_number_of_ticks_too(specs):
    """The test exchange and the matching engine ask for the latter; a contract for which they differ would be refused."""
    assert [spec.symbol for spec in specs.values() if spec.min_price % spec.tick_size] == []


@pytest.mark.django_db
def test_the_rules_of_every_contract_come_back_from_the_table_as_they_were_read(specs):
    instruments_upsert(specs=specs.values(), public=True, followed=False)
    assert instrument_specs("aster") == specs


# Bands and minimums


def test_the_narrowest_band_is_two_per_cent_and_no_entry_of_ours_comes_near_it(specs):
    """An entry is limited to the touch and the allowed slippage; where the touch is too far from the mark, it holds."""
    bitcoin = specs["BTCUSDT"]
    assert (bitcoin.band_down, bitcoin.band_up) == (D("0.98"), D("1.02"))
    furthest = DEFAULTS.max_slippage + LIMITS["price.wide"].share
    for spec in specs.values():
        assert 1 - spec.band_down > furthest, spec.symbol
        assert spec.band_up - 1 > furthest, spec.symbol


def test_the_minimum_notional_is_five_at_asterdex_and_a_hundred_for_bitcoin_at_binance(specs, binance):
    assert {spec.min_notional for spec in specs.values()} == {D(5)}
    assert (binance["BTCUSDT"].min_notional, binance["ETHUSDT"].min_notional) == (D(100), D(20))


def test_an_order_below_the_minimum_is_refused_before_the_exchange_does(binance):
    """A real bot opened 12 USDT of BTC where 100 is the least (-4164)."""
    seen = view()
    seen = replace(seen, instrument=replace(seen.instrument, min_notional=binance["BTCUSDT"].min_notional))
    (ruling,) = rule(replace(LONG, quantity=D("0.12")), snapshot=market(seen))
    assert ruling.verdict is Verdict.REFUSED
    assert [hit.rule for hit in ruling.hits] == ["size.minimum"]
    made = Engine(instruments={"BTCUSDT": binance["BTCUSDT"]})
    made.deposit(D(1000), START)
    made.on_quote(prices(50_000))
    with pytest.raises(EngineRefusal, match=r"notional .* is below the minimum 100"):
        made.place(order("BUY", quantity="0.001"), at=START)


def test_a_close_below_the_minimum_is_taken(binance):
    made = Engine(instruments={"BTCUSDT": binance["BTCUSDT"]})
    made.deposit(D(1000), START)
    made.on_quote(prices(100_000))
    made.place(order("BUY", quantity="0.001"), at=START)
    made.on_quote(prices(90_000))
    report = made.place(order("SELL", quantity="0.001", reduce_only=True), at=START)
    assert report.filled == D("0.001")


# Status and kind


def test_contracts_of_every_recorded_status_are_kept_and_only_trading_ones_take_orders(specs):
    statuses = [spec.status for spec in specs.values()]
    assert [statuses.count(name) for name in ("TRADING", "SETTLING", "PENDING_TRADING")] == [184, 76, 3]
    assert sum(spec.tradable for spec in specs.values()) == 184
    assert {spec.status for spec in specs.values() if spec.contract_type == ""} == {"PENDING_TRADING"}


def test_of_binances_sample_the_perpetuals_are_read_whatever_their_status_and_the_dated_are_not(binance):
    assert len(binance) == 22
    assert {spec.status for spec in binance.values()} == {"TRADING", "SETTLING", "PENDING_TRADING", "PRE_SETTLE"}
    assert not [name for name in binance if "_" in name]
    assert {spec.margin_asset for spec in binance.values()} == {"USDT", "USDC", "BTC"}


@pytest.mark.django_db
def test_a_delisted_contract_that_is_still_quoted_with_a_fresh_price_and_rate_holds(specs):
    """Its premiumIndex goes on with an ordinary rate."""
    settling = next(spec for spec in specs.values() if spec.status == "SETTLING")
    hours = walk(100, symbol=settling.symbol)
    at = START + timedelta(hours=100)
    store(hours, at, funding_rate=D("0.0001"), mark_at=at, funding_at=at)
    assert look(settling.symbol, at, "1h").problem is None
    instruments_upsert(specs=[replace(spec_of(hours), status=settling.status)])
    assert look(settling.symbol, at, "1h").problem == (
        f"{VENUE} takes no orders for {settling.symbol} now: it is SETTLING"
    )
    assert quote_at(hours, at).last > 0


def test_stock_perpetuals_are_told_apart_from_coins(specs):
    assert {spec.symbol for spec in specs.values() if spec.asset_class == TRADITIONAL} >= {"AAPLUSDT"}
    assert sum(spec.asset_class == TRADITIONAL for spec in specs.values()) == 10


@pytest.mark.django_db
def test_of_two_contracts_on_one_coin_the_one_in_the_usual_dollar_is_followed(listed):
    """Some symbols are margined in USD1."""
    other = {**listed["BTCUSDT"], "symbol": "BTCUSD1", "quoteAsset": "USD1", "marginAsset": "USD1"}
    read = payloads.instruments_of({"symbols": [other, listed["BTCUSDT"]]}, [], venue="aster")
    assert [(spec.symbol, spec.margin_asset) for spec in read] == [("BTCUSD1", "USD1"), ("BTCUSDT", "USDT")]
    instruments_upsert(specs=read, public=True, followed=False)
    assert wanted_symbols("aster", ["BTC"]) == ["BTCUSDT"]


# What is not public: never better than it was seen to be


def test_a_commission_that_was_recorded_is_never_dearer_than_what_is_assumed(shared_data):
    recorded = live(shared_data, "ccxt_responses")["commissionRate"]
    assert (recorded["makerCommissionRate"], recorded["takerCommissionRate"]) == ("0.000100", "0.000350")
    assert D(recorded["makerCommissionRate"]) <= terms.MAKER_FEE
    assert D(recorded["takerCommissionRate"]) <= terms.TAKER_FEE


def test_the_maintenance_margin_of_the_recorded_account_is_never_more_than_what_is_assumed(specs, shared_data):
    """SOL 0.38 was held to 2 % of its notional; the usual table of other venues says 0.5 %."""
    account = live(shared_data, "account_2025-12")
    held = next(one for one in account["positions"] if D(one["notional"]))
    assert D(held["maintMargin"]) == D("0.02") * D(held["notional"])
    assert D(held["initialMargin"]) == D(held["notional"]) / int(held["leverage"])
    assert D(held["maintMargin"]) <= specs["SOLUSDT"].maintenance_margin(D(held["notional"]))


def test_assumed_maintenance_follows_what_each_contract_says_and_has_no_step_in_it(specs, listed):
    for name, spec in specs.items():
        stated = D(listed[name]["maintMarginPercent"]) / 100
        assert D(listed[name]["requiredMarginPercent"]) == 200 * stated
        assert spec.max_leverage == 1 / (2 * stated)
        assert min(one.maintenance_rate for one in spec.brackets) == stated
        for lower, upper in zip(spec.brackets, spec.brackets[1:], strict=False):
            assert lower.cap * lower.maintenance_rate - lower.cum == upper.floor * upper.maintenance_rate - upper.cum
            assert upper.max_leverage <= lower.max_leverage
