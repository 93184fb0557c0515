"""The test exchange answers REST in the shapes that the real venue was recorded with."""

import gzip
import json
from decimal import Decimal
from email.utils import parsedate_to_datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.exchange_server.answers import Refusal
from trading.exchange_server.bars import LENGTHS, ends_at, opens_at
from trading.exchange_server.build import recorded_markets, simulated_markets
from trading.exchange_server.rest import klines
from trading.exchange_server.server import serve_in_thread
from trading.tests.exchange_kit import START, START_MS, ask, shape, told

pytestmark = pytest.mark.ci

MINUTE = 60_000
LIVE_ONLY = {"tradingMode", "name", "channel", "sequenceNo", "twapMinNotional", "createTime"}
"""Fields of a contract that only recorded ones have."""


@pytest.fixture(scope="module")
def exchange():
    markets = simulated_markets(["BTCUSDT", "SOLUSDT", "ODDUSDT"], start=START, history_days=40)
    markets.clock.stand()
    with serve_in_thread(markets) as served:
        yield served


@pytest.fixture(scope="module")
def aster(shared_data):
    """The recorded month of AsterDEX, standing at its end."""
    markets = recorded_markets(shared_data / "candles" / "aster_2025")
    markets.clock.stand()
    markets.clock.set(markets.clock.ends_at)
    with serve_in_thread(markets) as served:
        yield served


@pytest.fixture(scope="module")
def exchange_info_file(shared_data):
    return shared_data / "exchange" / "aster" / "exchangeInfo_full_2025-12-24.json.gz"


@pytest.mark.parametrize(
    ("name", "path", "params"),
    [
        ("GetBookTicker", "ticker/bookTicker", {"symbol": "SOLUSDT"}),
        ("GetBookTickers", "ticker/bookTicker", {}),
        ("GetPrice", "ticker/price", {"symbol": "SOLUSDT"}),
        ("GetPrices", "ticker/price", {}),
        ("GetTicker", "ticker/24hr", {"symbol": "SOLUSDT"}),
        ("GetTickers", "ticker/24hr", {}),
        ("GetMarkPrice", "premiumIndex", {"symbol": "SOLUSDT"}),
        ("GetMarkPrices", "premiumIndex", {}),
        ("GetFundingRates", "fundingRate", {"symbol": "SOLUSDT"}),
        ("GetOrderBook", "depth", {"symbol": "SOLUSDT", "limit": 5}),
        ("GetRecentTrades", "trades", {"symbol": "SOLUSDT"}),
        ("GetTradeHistory", "historicalTrades", {"symbol": "SOLUSDT"}),
    ],
)
def test_answers_have_the_shape_of_recorded_ones(exchange, shared_data, name, path, params):
    recorded = json.loads((shared_data / "exchange" / "aster" / "rest_v3_aster_net.json").read_text())
    wanted = next(one["response"] for one in recorded if one["name"] == f"FuturesV3/ExchangeData/{name}")
    assert shape(told(exchange, path, **params)) == shape(wanted)


def test_candles_aggregate_trades_and_funding_terms_have_the_documented_shape(exchange, shared_data):
    documented = json.loads((shared_data / "exchange" / "aster" / "docs_v3_examples.json").read_text())
    live = json.loads((shared_data / "exchange" / "aster" / "live" / "ccxt_responses.json").read_text())

    def example(endpoint):
        return next(one["json"] for one in documented if one["endpoint"] == endpoint)

    rows = told(exchange, "klines", symbol="SOLUSDT", interval="1m", limit=2)
    assert shape(rows) == shape(live["klines_5m"]) == shape(example("GET /fapi/v3/klines"))
    assert shape(told(exchange, "aggTrades", symbol="SOLUSDT")) == shape(example("GET /fapi/v3/aggTrades"))
    assert shape(told(exchange, "fundingInfo", symbol="SOLUSDT")) == shape(example("GET /fapi/v3/fundingInfo"))
    assert shape(told(exchange, "fundingInfo", symbol="BTCUSDT")) == shape(live["fundingInfo_null_caps"])
    assert told(exchange, "ping") == {}
    assert told(exchange, "time") == {"serverTime": START_MS}
    interest = told(exchange, "openInterest", symbol="SOLUSDT")
    assert shape(interest) == {"symbol": "str", "openInterest": "str", "time": "int"}
    assert Decimal(interest["openInterest"]) > 0


def test_builtin_contracts_have_the_fields_of_real_ones_and_a_precision_that_is_not_the_tick(
    exchange, exchange_info_file
):
    info = told(exchange, "exchangeInfo")
    real = json.loads(gzip.decompress(exchange_info_file.read_bytes()))
    assert set(info) == set(real)
    assert set(info["symbols"][0]) == set(real["symbols"][0]) - LIVE_ONLY
    kinds = [one["filterType"] for one in real["symbols"][0]["filters"]]
    sol = next(one for one in info["symbols"] if one["symbol"] == "SOLUSDT")
    assert [one["filterType"] for one in sol["filters"]] == kinds
    assert (sol["pricePrecision"], sol["filters"][0]["tickSize"]) == (4, "0.0100")


def test_a_recorded_exchange_info_is_served_word_for_word_with_prices_that_suit_every_contract(exchange_info_file):
    real = json.loads(gzip.decompress(exchange_info_file.read_bytes()))
    markets = simulated_markets(start=START, exchange_info=exchange_info_file, history_days=0)
    markets.clock.stand()
    with serve_in_thread(markets) as exchange:
        info = told(exchange, "exchangeInfo")
        books = {one["symbol"]: one for one in told(exchange, "ticker/bookTicker")}
        standing = told(exchange, "klines", symbol="IMXUSDT", interval="1m", limit=3)
        unopened = told(exchange, "klines", symbol="AFEEUSDT", interval="1m")
    assert 0 <= info["serverTime"] - START_MS < 1_000  # the clock ran until it was told to stand
    assert info == real | {"serverTime": info["serverTime"]}
    assert len(info["symbols"]) == 263
    traded = [one for one in real["symbols"] if one["status"] == "TRADING"]
    assert set(books) == {one["symbol"] for one in traded}
    for contract in traded:
        rule = contract["filters"][0]
        bid, ask = (Decimal(books[contract["symbol"]][side]) for side in ("bidPrice", "askPrice"))
        tick, lowest = Decimal(rule["tickSize"]), Decimal(rule["minPrice"])
        assert lowest < bid < ask < Decimal(rule["maxPrice"])
        assert tick == 0 or (bid - lowest) % tick == (ask - lowest) % tick == 0, contract["symbol"]
        assert tick == 0 or bid / tick > 500, f"{contract['symbol']}: a tick is too large a share of {bid}"
    assert {row[4] for row in standing} == {standing[0][1]}, "a settled contract stands still"
    assert {row[5] for row in standing} == {"0"}
    assert unopened == []


def test_the_date_of_an_answer_is_the_time_of_the_exchange(exchange):
    assert parsedate_to_datetime(ask(exchange, "ping").headers["Date"]) == START


@pytest.mark.parametrize("version", ["v1", "v2", "v3", "v4"])
def test_every_version_of_the_path_is_the_same(exchange, version):
    assert told(exchange, f"/fapi/{version}/time") == {"serverTime": START_MS}


def test_the_spot_market_is_there_and_empty(exchange):
    assert told(exchange, "/api/v3/exchangeInfo")["symbols"] == []


def test_a_path_that_is_not_there_is_an_html_page(exchange):
    answer = ask(exchange, "/futures/data/openInterestHist", symbol="BTCUSDT")
    assert answer.status == 404
    assert answer.headers["content-type"].startswith("text/html")


@pytest.mark.parametrize(
    ("path", "params", "code"),
    [
        ("klines", {"symbol": "NOPEUSDT", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "7m"}, -1120),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"interval": "1m"}, -1102),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": "ten"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": "-5"}, -1100),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 1501}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "limit": 0}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "startTime": 20, "endTime": 10}, -1023),
        ("depth", {"symbol": "BTCUSDT", "limit": 7}, -1130),
        ("fundingRate", {"symbol": "BTCUSDT", "limit": 1001}, -1130),
        ("indexPriceKlines", {"symbol": "BTCUSDT", "interval": "1m"}, -1102),
        ("premiumIndex", {"symbol": "btcusdt"}, -1121),
        ("openInterest", {}, -1102),
    ],
)
def test_a_wrong_request_is_refused_with_the_venues_code(exchange, path, params, code):
    answer = ask(exchange, path, **params)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert set(answer.body) == {"code", "msg"}


def test_candles_are_500_unless_asked_otherwise_the_last_one_running(exchange):
    rows = told(exchange, "klines", symbol="BTCUSDT", interval="1m")
    assert len(rows) == 500
    assert [row[0] for row in rows] == list(range(rows[0][0], START_MS, MINUTE))
    assert rows[-1][0] < START_MS < rows[-1][6]
    assert rows == told(exchange, "klines", symbol="BTCUSDT", interval="1m", startTime=0)
    assert len(told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=1500)) == 1500


def test_a_start_gives_the_first_candles_an_end_the_last_ones(exchange):
    def opened(**params):
        rows = told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=3, **params)
        return [(row[0] - day) // MINUTE for row in rows]

    day = START_MS - START_MS % 86_400_000
    assert opened(startTime=day) == [0, 1, 2]
    assert opened(startTime=day + 1) == [1, 2, 3]
    assert opened(endTime=day + 10 * MINUTE) == [8, 9, 10]
    assert opened(startTime=day, endTime=day + MINUTE) == [0, 1]
    assert opened(startTime=START_MS + MINUTE) == []
    assert opened(startTime=START_MS - 30_000) == [720], "the running one"


@pytest.mark.parametrize("interval", [name for name in LENGTHS if name != "1m"])
def test_longer_candles_are_made_of_the_minutes(exchange, interval):
    rows = told(exchange, "klines", symbol="SOLUSDT", interval=interval, limit=1 if interval == "1M" else 2)
    opened, stop = rows[0][0], START_MS
    assert rows[-1][0] == opens_at(START_MS, interval)
    assert all(row[6] == ends_at(row[0], interval) - 1 for row in rows)
    minutes = []
    while opened < stop:
        page = told(exchange, "klines", symbol="SOLUSDT", interval="1m", startTime=opened, limit=1500)
        minutes += page
        opened = page[-1][0] + MINUTE
    for row in rows:
        mine = [one for one in minutes if row[0] <= one[0] <= row[6]]
        assert row[1] == mine[0][1]
        assert Decimal(row[2]) == max(Decimal(one[2]) for one in mine)
        assert Decimal(row[3]) == min(Decimal(one[3]) for one in mine)
        assert row[4] == mine[-1][4]
        assert Decimal(row[5]) == sum(Decimal(one[5]) for one in mine)


@settings(max_examples=40)
@given(
    start=st.none() | st.integers(START_MS - 5_000_000, START_MS + 500_000),
    end=st.none() | st.integers(START_MS - 5_000_000, START_MS + 500_000),
    limit=st.integers(1, 120),
    interval=st.sampled_from(["1m", "5m", "1h"]),
)
def test_any_window_is_cut_out_of_the_same_candles(window_markets, start, end, limit, interval):
    params = {"symbol": "BTCUSDT", "interval": interval, "limit": str(limit)}
    params |= {name: str(at) for name, at in (("startTime", start), ("endTime", end)) if at is not None}
    every = klines(window_markets, {"symbol": "BTCUSDT", "interval": interval, "limit": "1500"})
    inside = [row for row in every if (start or 0) <= row[0] <= (end or START_MS)]
    if start is not None and end is not None and start > end:
        with pytest.raises(Refusal):
            klines(window_markets, params)
        return
    wanted = inside[:limit] if start is not None else inside[-limit:]
    assert klines(window_markets, params) == wanted


@pytest.fixture(scope="module")
def window_markets():
    markets = simulated_markets(["BTCUSDT"], start=START, history_days=2)
    markets.clock.stand()
    return markets


def test_all_doors_tell_the_same_prices(exchange):
    last = told(exchange, "klines", symbol="BTCUSDT", interval="1m", limit=1)[0][4]
    book = told(exchange, "ticker/bookTicker", symbol="BTCUSDT")
    levels = told(exchange, "depth", symbol="BTCUSDT", limit=20)
    assert told(exchange, "ticker/price", symbol="BTCUSDT")["price"] == last
    assert told(exchange, "ticker/24hr", symbol="BTCUSDT")["lastPrice"] == last
    assert [book["bidPrice"], book["bidQty"]] == levels["bids"][0]
    assert [book["askPrice"], book["askQty"]] == levels["asks"][0]
    assert Decimal(book["bidPrice"]) < Decimal(last) < Decimal(book["askPrice"])
    bids, asks = ([Decimal(price) for price, _ in levels[side]] for side in ("bids", "asks"))
    assert (bids, asks) == (sorted(bids, reverse=True), sorted(asks))
    mark = Decimal(told(exchange, "premiumIndex", symbol="BTCUSDT")["markPrice"])
    assert abs(mark / Decimal(last) - 1) < Decimal("0.001")
    assert told(exchange, "markPriceKlines", symbol="BTCUSDT", interval="1m", limit=2)[0][5] == "0"


def test_settlements_are_stamped_some_milliseconds_late_and_page_forward(exchange):
    rows = told(exchange, "fundingRate", symbol="BTCUSDT", limit=100)
    assert len(rows) == 100
    lateness = [row["fundingTime"] % (8 * 3_600_000) for row in rows]
    assert 0 < max(lateness) < 20
    first = told(exchange, "fundingRate", symbol="BTCUSDT", startTime=rows[3]["fundingTime"], limit=2)
    assert first == rows[3:5]
    assert told(exchange, "fundingRate", symbol="BTCUSDT", startTime=0) == rows
    after = told(exchange, "fundingRate", symbol="BTCUSDT", startTime=rows[-1]["fundingTime"] + 1)
    assert after == []
    every = told(exchange, "fundingRate", limit=9)
    assert {row["symbol"] for row in every} == {"BTCUSDT", "SOLUSDT", "ODDUSDT"}


def test_the_funding_interval_of_a_symbol_can_change():
    markets = simulated_markets(["BTCUSDT"], start=START, history_days=2)
    markets.clock.stand()
    with serve_in_thread(markets) as exchange:
        assert (
            told(exchange, "premiumIndex", symbol="BTCUSDT")["nextFundingTime"]
            == opens_at(START_MS, "8h") + 8 * 3_600_000
        )
        exchange.control.set_funding_hours("BTCUSDT", 1)
        assert told(exchange, "fundingInfo", symbol="BTCUSDT")[0]["fundingIntervalHours"] == 1
        assert (
            told(exchange, "premiumIndex", symbol="BTCUSDT")["nextFundingTime"] == opens_at(START_MS, "1h") + 3_600_000
        )
        exchange.control.step(3 * 3600)
        rows = told(exchange, "fundingRate", symbol="BTCUSDT", limit=4)
    hours = [opens_at(row["fundingTime"], "1h") // 3_600_000 % 24 for row in rows]
    assert hours == [8, 13, 14, 15]


def test_recorded_candles_come_out_word_for_word_the_impossible_one_too(aster, shared_data):
    for interval in ("1h", "4h", "1d"):
        text = gzip.decompress((shared_data / f"candles/aster_2025/BTCUSDT-{interval}.csv.gz").read_bytes()).decode()
        recorded = [[float(cell) for cell in line.split(",")] for line in text.splitlines()[1:]]
        rows = told(aster, "klines", symbol="BTCUSDT", interval=interval, limit=1500)
        served = [[float(row[place]) for place in (0, 1, 2, 3, 4, 5, 7, 9)] for row in rows]
        ended = [row for row in recorded if row[0] + LENGTHS[interval] <= aster.control.now().timestamp() * 1000]
        assert served[: len(ended)] == ended
        assert len(ended) >= 30
    broken = told(aster, "klines", symbol="BTCUSDT", interval="4h", startTime=1_758_038_400_000, limit=1)[0]
    assert broken[1:5] == ["115846.0", "116818.6", "116007.6", "116694.2"]
    assert Decimal(broken[3]) > Decimal(broken[1]), "its low lies above its open"
    hours = told(aster, "klines", symbol="BTCUSDT", interval="1h", startTime=1_758_038_400_000, limit=4)
    assert min(Decimal(row[3]) for row in hours) == Decimal("115600.0")


def test_intervals_that_cannot_be_made_of_the_recording_are_refused(aster):
    assert ask(aster, "klines", symbol="BTCUSDT", interval="1m").body["code"] == -1120
    assert len(told(aster, "klines", symbol="BTCUSDT", interval="2h", limit=10)) == 10


def test_a_recording_ends_where_it_ends(aster):
    before = told(aster, "time")
    aster.control.step(86_400)
    assert told(aster, "time") == before
    last = told(aster, "klines", symbol="ETHUSDT", interval="1h", limit=1)[0]
    assert last[6] < before["serverTime"]


def test_recorded_mark_prices_and_settlements_are_served(shared_data):
    folder = shared_data / "candles" / "binance_um_2025_1h"
    markets = recorded_markets(folder, ["BTCUSDT"], start=START)
    markets.clock.stand()
    with serve_in_thread(markets) as exchange:
        hour = START_MS - START_MS % 3_600_000
        row = told(exchange, "markPriceKlines", symbol="BTCUSDT", interval="1h", startTime=hour - 3_600_000, limit=1)[0]
        rates = told(exchange, "fundingRate", symbol="BTCUSDT", limit=3)
    marks = _cells(shared_data / "mark/binance_um_2025_1h/BTCUSDT-1h.csv.gz")
    assert [float(cell) for cell in row[:5]] == marks[hour - 3_600_000]
    settled = _cells(shared_data / "funding/binance_um_2025_1h/BTCUSDT-funding.csv.gz")
    wanted = [row[1] for at, row in sorted(settled.items()) if at <= START_MS][-3:]
    assert [float(row["fundingRate"]) for row in rates] == wanted


def _cells(file):
    rows = [line.split(",") for line in gzip.decompress(file.read_bytes()).decode().splitlines()[1:]]
    return {int(row[0]): [float(cell) for cell in row] for row in rows}


def test_the_same_seed_is_the_same_market(exchange):
    again = simulated_markets(["BTCUSDT"], start=START, history_days=40)
    again.clock.stand()
    other = simulated_markets(["BTCUSDT"], start=START, history_days=40, seed=8)
    other.clock.stand()
    asked = {"symbol": "BTCUSDT", "interval": "1m", "limit": "50"}
    assert klines(again, asked) == told(exchange, "klines", **asked) != klines(other, asked)
