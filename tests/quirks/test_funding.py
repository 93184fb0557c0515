"""Funding as it is really settled: stamps that miss the hour, rates of any size, intervals that change."""

from datetime import timedelta
from decimal import Decimal as D
from pathlib import Path

import numpy as np
import pytest

from marketdata.aster.payloads import instruments_of, settlements_of
from marketdata.domain.pricing import decimal_of
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate
from marketdata.recorded_market import RecordedMarket
from marketdata.selectors import instrument_specs, market_for
from marketdata.services import funding_expect, funding_put, instruments_upsert
from marketdata.tests.build import START, recording, rows_of, walk, write_csv
from marketdata.venues.csvfiles import read_table
from marketdata.venues.recorded import list_folder, read_folder
from tests.quirks.kit import BINANCE, VENUE, look, series, store, utc
from trading.domain.venue import IncomeKind
from trading.tests.matching_kit import START as OPENED
from trading.tests.matching_kit import opened
from vibex.lib.clock import from_ms, to_ms

HOUR = timedelta(hours=1)
LOWEST, HIGHEST = D("-0.0075"), D("0.0037")
"""Extremes on record: XTZ, and the year 2020."""
FOLDERS = ["binance_um_2025_1h", "binance_um_2025_5m", "freqtrade_2021", "binance_um_other_intervals"]


def raw(file: Path) -> np.ndarray:
    return read_table(file, ("ts_ms", "funding_rate"))


@pytest.mark.parametrize("folder", FOLDERS)
def test_stamps_that_miss_the_hour_by_milliseconds_are_read_on_the_hour(shared_data, folder):
    path = shared_data / "candles" / folder
    for symbol in list_folder(path):
        read = read_folder(path, [symbol]).recordings[symbol].funding
        file = shared_data / f"funding/{folder}/{symbol}-funding.csv.gz"
        assert len(read.at) == len(raw(file))
        assert (read.at % to_ms(from_ms(3_600_000)) == 0).all()
        assert np.array_equal(read.rate, raw(file)[:, 1])


def test_the_worst_jitter_on_record_is_19_milliseconds(shared_data):
    files = sorted((shared_data / "funding").rglob("*.csv.gz"))
    apart = [int(min(at % 3_600_000, -at % 3_600_000)) for file in files for at in raw(file)[:, 0].astype(int)]
    assert max(apart) == 19


def test_stamps_of_the_payload_are_read_on_the_hour_too(shared_data):
    table = raw(shared_data / "funding/freqtrade_2021/XRPUSDT-funding.csv.gz")
    rows = [{"symbol": "XRPUSDT", "fundingTime": int(at), "fundingRate": f"{rate:.8f}"} for at, rate in table.tolist()]
    settled = settlements_of(rows, "XRPUSDT")
    assert len(settled) == 91
    assert {(one.at.minute, one.at.second, one.at.microsecond) for one in settled} == {(0, 0, 0)}


@pytest.mark.django_db
@pytest.mark.parametrize("rate", [LOWEST, HIGHEST, D("0"), D("-0.00302761")])
def test_rates_of_any_size_on_record_are_stored_exactly_and_paid(rate):
    at = OPENED + 8 * HOUR
    store(walk(40, start=OPENED), OPENED + 40 * HOUR)
    (settled,) = settlements_of(
        [{"symbol": "BTCUSDT", "fundingTime": to_ms(at) + 19, "fundingRate": str(rate)}], "BTCUSDT"
    )
    funding_put(venue=VENUE, settlements={"BTCUSDT": [settled]})
    (read,) = market_for(VENUE).funding("BTCUSDT", since=at - HOUR, until=at)
    assert (read.at, read.rate) == (at, rate)
    made = opened("BUY", "10")
    made.drain()
    made.on_funding("BTCUSDT", read.rate, D(100), at)
    paid = [entry.amount for entry in made.drain().income if entry.kind is IncomeKind.FUNDING_FEE]
    assert sum(paid, D(0)) == -10 * 100 * rate


def test_a_contract_that_settles_every_four_hours_is_read_as_one(shared_data):
    (read,) = read_folder(shared_data / "candles/binance_um_other_intervals").recordings.values()
    assert read.spec.funding_interval_hours == 4
    assert set(np.diff(read.funding.at)) == {4 * 3_600_000}
    market = RecordedMarket([read])
    at = utc("2025-06-01 05:00")
    assert market.quote("ENAUSDT", at=at).next_funding_at == utc("2025-06-01 08:00")
    assert len(market.funding("ENAUSDT", since=at, until=at + 24 * HOUR)) == 6


@pytest.fixture
def changing(tmp_path: Path) -> Path:
    """A recording whose interval changes as XTZ's did: 241 times 8 h, 1,694 times 4 h, 52 times 1 h."""
    steps = [8] * 241 + [4] * 1694 + [1] * 52
    at = to_ms(START) + 3_600_000 * np.cumsum([0, *steps])
    folder = tmp_path / "candles/changing"
    write_csv(folder / "XTZUSDT-1h.csv.gz", rows_of(walk(sum(steps) + 10, symbol="XTZUSDT")))
    rows = [f"{ms + 19 * (index % 2)},{-0.0075 if index % 5 == 0 else 0.0001}" for index, ms in enumerate(at.tolist())]
    write_csv(tmp_path / "funding/changing/XTZUSDT-funding.csv.gz", rows, "ts_ms,funding_rate")
    return folder


def test_an_interval_that_changes_loses_no_settlement_and_doubles_none(changing):
    (read,) = read_folder(changing).recordings.values()
    market = RecordedMarket([read])
    first, last = from_ms(int(read.funding.at[0])), from_ms(int(read.funding.at[-1]))
    whole = market.funding("XTZUSDT", since=first - HOUR, until=last)
    assert len(whole) == 241 + 1694 + 52 + 1
    by_hour = [
        settled
        for hours in range(-1, int((last - first) / HOUR))
        for settled in market.funding("XTZUSDT", since=first + hours * HOUR, until=first + (hours + 1) * HOUR)
    ]
    assert by_hour == whole


def test_while_it_changes_the_next_settlement_is_expected_in_the_steps_of_the_last(changing):
    (read,) = read_folder(changing).recordings.values()
    market, at = RecordedMarket([read]), read.funding.at
    for index in (100, 241 + 100, 241 + 1694 + 20):
        after = from_ms(int(at[index])) + HOUR / 2 + HOUR
        settled = int(np.searchsorted(at, to_ms(after), side="right"))
        expected = market.quote("XTZUSDT", at=after.replace(minute=0)).next_funding_at
        assert expected == from_ms(int(at[settled])), index


@pytest.mark.django_db
def test_a_live_contract_that_changes_its_interval_is_brought_up_to_date_and_the_old_expectation_goes(shared_data):
    hours = series(shared_data / BINANCE, "BTCUSDT-1h").slice(0, 200)
    now = from_ms(int(hours.open_time[-1])) + HOUR
    store(hours, now)
    (spec,) = instrument_specs(VENUE).values()
    contract = {"symbol": "BTCUSDT", "fundingIntervalHours": 1, "fundingFeeCap": None, "fundingFeeFloor": None}
    row = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
        "marginAsset": "USDT",
        "pricePrecision": 1,
        "quantityPrecision": 3,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "1000000", "tickSize": "0.1"},
            {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        ],
    }
    assert spec.funding_interval_hours == 8
    funding_expect(venue=VENUE, expected={"BTCUSDT": FundingSettlement(now + 8 * HOUR, D("0.0001"))})
    instruments_upsert(specs=instruments_of({"symbols": [row]}, [contract], venue=VENUE), public=True)
    funding_expect(venue=VENUE, expected={"BTCUSDT": FundingSettlement(now + HOUR, D("0.0002"))})
    assert look("BTCUSDT", now, "1h").instrument.funding_interval_hours == 1
    assert [(row.at, row.rate) for row in FundingRate.objects.filter(settled=False)] == [(now + HOUR, D("0.0002"))]


def test_a_rate_is_the_decimal_that_was_recorded():
    assert decimal_of(-0.00302761) == D("-0.00302761")
    assert recording(walk(3)).funding.at.size == 0
