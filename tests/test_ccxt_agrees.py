"""A client that others wrote says the same of a server as ours: contracts, candles, funding, rounding, 263 symbols.

The witness is ccxt's own client of AsterDEX, in an environment of its own, so that its pins do not touch ours. The
server is the test exchange with the recorded contracts and its clock standing still. Where the two differ, the
difference stands here as data with its reason, and nothing else may differ.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from marketdata.aster.http import AsterHttp
from marketdata.aster.public import AsterPublic
from marketdata.domain.instruments import InstrumentSpec
from marketdata.services.budget import Unmetered
from marketdata.venues.public import Purpose
from tests.oracles.environments import isolated
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.server import serve_in_thread
from vibex.lib.clock import from_ms, to_ms

pytestmark = [pytest.mark.ci, pytest.mark.timeout(300)]

WITNESS = "ccxt==4.5.90"
RECORDED = 263
MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
INTERVALS = {"ETHUSDT": 4, "SOLUSDT": 1, "XRPUSDT": 2}
"""Hours between settlements where they are not eight."""
PER_SYMBOL = 40
"""Prices, and as many quantities, that are rounded for each symbol."""

NO_CONTRACT_THERE = {"AFEEUSDT", "MBLUSDT", "WIFUSDT"}
"""PENDING_TRADING: the venue gives them no contract type yet, and ccxt takes what has none for spot."""
HALF_A_TICK = "a price exactly between two ticks: ccxt takes the higher one, ours the even one; neither is nearer"


@dataclass(frozen=True)
class Both:
    """What ours and the witness say of one server at one moment."""

    ours: AsterPublic
    specs: dict[str, InstrumentSpec]
    theirs: dict[str, Any]
    asked: dict[str, Any]

    @property
    def shared(self) -> list[str]:
        return sorted(set(self.specs) - NO_CONTRACT_THERE)


@pytest.fixture(scope="module")
def both(shared_data: Path) -> Iterator[Both]:
    markets = simulated_markets(exchange_info=shared_data / "exchange/aster/exchangeInfo_full_2025-12-24.json.gz")
    markets.clock.stand()
    for symbol, hours in INTERVALS.items():
        markets.set_funding_hours(symbol, hours)
    with (
        serve_in_thread(markets, weight_limit=999_999) as exchange,
        AsterHttp(exchange.http, Unmetered(), Purpose.BACKFILL) as http,
    ):
        ours = AsterPublic(http)
        specs = {spec.symbol: spec for spec in ours.instruments()}
        asked = questions(exchange.http, specs, markets.now_ms())
        yield Both(ours, specs, isolated("aster_through_ccxt.py", asked, WITNESS), asked)


def questions(address: str, specs: dict[str, InstrumentSpec], now: int) -> dict[str, Any]:
    shared = sorted(set(specs) - NO_CONTRACT_THERE)
    minutes = [[symbol, "1m", now - HOUR, now, 100] for symbol in shared]
    others = [
        [shared[place * 20], name, now - 2 * DAY, now, 1000] for place, name in enumerate(("3m", "15m", "1h", "4h"))
    ]
    return {
        "address": address,
        "candles": minutes + others,
        "funding": [[symbol, now - 3 * DAY, now] for symbol in shared],
        "round": {symbol: values_of(specs[symbol]) for symbol in shared},
    }


def values_of(spec: InstrumentSpec) -> dict[str, list[str]]:
    """Return prices and quantities that are hard to round: on a step, a hair beside it, between two, and at random."""
    chance = random.Random(spec.symbol)
    return {"prices": _hard(spec.tick_size, chance), "quantities": _hard(spec.step_size, chance)}


def _hard(step: Decimal, chance: random.Random) -> list[str]:
    hair = step.scaleb(-4)
    values = [step, step - hair, step + hair, step / 2, step / 10]
    while len(values) < PER_SYMBOL:
        whole = chance.randrange(1, 10 ** chance.randrange(1, 7)) * step
        values += [
            whole,
            whole - hair,
            whole + hair,
            whole + step / 2,
            whole + step * chance.randrange(10_000) / 10_000,
        ]
    return [f"{value.normalize():f}" for value in values[:PER_SYMBOL]]


def test_they_know_the_same_contracts(both):
    assert len(both.specs) == RECORDED
    assert set(both.specs) - set(both.theirs["markets"]) == NO_CONTRACT_THERE
    assert set(both.theirs["markets"]) <= set(both.specs)
    assert {both.specs[symbol].status for symbol in NO_CONTRACT_THERE} == {"PENDING_TRADING"}


def test_contracts_have_the_same_rules(both):
    compared = 0
    for symbol in both.shared:
        expected, found = rules_of(both.specs[symbol]), both.theirs["markets"][symbol]
        assert found == expected, symbol
        compared += len(expected)
    assert compared == (RECORDED - len(NO_CONTRACT_THERE)) * 15


def rules_of(spec: InstrumentSpec) -> dict[str, Any]:
    """Return our rules in the words of the witness, who counts in floats."""
    return {
        "tick": float(spec.tick_size), "step": float(spec.step_size), "notional": float(spec.min_notional),
        "min_price": float(spec.min_price), "max_price": float(spec.max_price),
        "min_quantity": float(spec.min_quantity), "max_quantity": float(spec.max_quantity),
        "market_min": float(spec.market_min_quantity), "market_max": float(spec.market_max_quantity),
        "active": spec.tradable, "swap": spec.contract_type == "PERPETUAL", "linear": spec.margin_asset == spec.quote,
        "base": spec.base, "quote": spec.quote, "settle": spec.margin_asset,
    }  # fmt: skip


def test_candles_are_the_same(both):
    compared = 0
    for (symbol, interval, since, until, _), rows in zip(both.asked["candles"], both.theirs["candles"], strict=True):
        mine = both.ours.candles(symbol, interval, since_ms=since, until_ms=until + 1)
        columns = (mine.open_time, mine.open, mine.high, mine.low, mine.close, mine.volume)
        assert [list(row) for row in zip(*(column.tolist() for column in columns), strict=True)] == rows, symbol
        compared += len(rows)
    # An hour of minutes for each that is not waiting to begin; those that have been delisted may have none.
    assert compared > 60 * sum(both.specs[symbol].tradable for symbol in both.shared)


def test_funding_is_the_same(both):
    compared = 0
    for (symbol, since, until), rows in zip(both.asked["funding"], both.theirs["funding"], strict=True):
        mine = both.ours.funding(symbol, since=from_ms(since), until=from_ms(until))
        # Stamps jitter by milliseconds; ours stand on the second.
        theirs = [[stamp // 1000 * 1000, rate] for stamp, rate in rows]
        assert [[to_ms(one.at), float(one.rate)] for one in mine] == theirs, symbol
        compared += len(rows)
    assert compared > 6 * sum(both.specs[symbol].tradable for symbol in both.shared)


def test_intervals_of_funding_are_the_same(both):
    hours = {symbol: f"{both.specs[symbol].funding_interval_hours}h" for symbol in both.theirs["hours"]}
    assert both.theirs["hours"] == hours
    assert {symbol: hours[symbol] for symbol in INTERVALS} == {symbol: f"{own}h" for symbol, own in INTERVALS.items()}
    assert len(hours) == RECORDED


def test_marks_and_expected_rates_are_the_same(both):
    quotes = both.ours.quotes(list(both.specs))
    mine = {quote.symbol: [quote.funding_rate, quote.mark, quote.next_funding_at] for quote in quotes}
    compared = sorted(set(mine) & set(both.theirs["markets"]))
    assert len(compared) == sum(both.specs[symbol].tradable for symbol in both.shared)
    for symbol in compared:
        rate, mark, due = mine[symbol]
        assert [float(rate), float(mark), to_ms(due)] == both.theirs["rates"][symbol], symbol


def test_prices_and_quantities_round_the_same(both):
    compared, ties = 0, 0
    for symbol, asked in both.asked["round"].items():
        spec, theirs = both.specs[symbol], both.theirs["round"][symbol]
        for price, near, down in zip(asked["prices"], theirs["near"], theirs["down"], strict=True):
            exact = Decimal(price)
            assert Decimal(down) == spec.price_down(exact), (symbol, price)
            if exact - spec.price_down(exact) == spec.tick_size / 2:
                assert Decimal(near) == spec.price_up(exact), (symbol, price, HALF_A_TICK)
                assert spec.price_near(exact) in (spec.price_down(exact), spec.price_up(exact))
                ties += 1
            else:
                assert Decimal(near) == spec.price_near(exact), (symbol, price)
        for quantity, down in zip(asked["quantities"], theirs["quantity"], strict=True):
            assert Decimal(down) == spec.quantity_down(Decimal(quantity)), (symbol, quantity)
        compared += len(asked["prices"]) * 2 + len(asked["quantities"])
    assert compared == (RECORDED - len(NO_CONTRACT_THERE)) * PER_SYMBOL * 3
    assert 0 < ties < compared / 10


def test_two_clients_and_the_clock_agree(both):
    told = both.ours.server_time()
    assert abs(told - from_ms(both.asked["candles"][0][3])) < timedelta(milliseconds=1)
