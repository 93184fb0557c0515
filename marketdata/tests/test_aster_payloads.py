"""What AsterDEX sends is read as it is meant, or refused with a reason. Nothing that is no price becomes one."""

import contextlib
import gzip
import json
import math
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketdata.aster import payloads
from marketdata.domain.instruments import CRYPTO, TRADITIONAL
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick
from marketdata.market import FundingSettlement
from marketdata.venues.public import VenueDown
from vibex.lib.clock import from_ms

KLINE = [
    1749806400000,
    "104577.2",
    "104625.0",
    "104563.5",
    "104587.3",
    "17.771",
    1749806699999,
    "1",
    766,
    "1",
    "1",
    "0",
]
BOOK = {
    "symbol": "BTCUSDT",
    "bidPrice": "106630.1",
    "bidQty": "1",
    "askPrice": "106630.2",
    "askQty": "2",
    "time": 1750147225100,
}
LAST = {"symbol": "BTCUSDT", "price": "106630.15", "time": 1750147225000}
PREMIUM = {
    "symbol": "BTCUSDT",
    "markPrice": "106630.71786957",
    "indexPrice": "106678.52086957",
    "lastFundingRate": "0.00010000",
    "nextFundingTime": 1750176000000,
    "time": 1750147224000,
}
KLINE_EVENT = {
    "e": "kline",
    "E": 1749806460123,
    "s": "BTCUSDT",
    "k": {"t": 1749806400000, "i": "1m", "o": "1.0", "c": "2.0", "h": "2.5", "l": "0.5", "v": "9", "x": True},
}
BOOK_EVENT = {
    "e": "bookTicker",
    "u": 4,
    "E": 1568014460893,
    "s": "BNBUSDT",
    "b": "25.35",
    "B": "3",
    "a": "25.36",
    "A": "4",
}
MARK_EVENT = {
    "e": "markPriceUpdate",
    "E": 1562305380000,
    "s": "BTCUSDT",
    "p": "11794.15",
    "r": "0.00038167",
    "T": 1562306400000,
}

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1.5", "NaN", "-1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@pytest.fixture(scope="module")
def exchange_info(shared_data):
    file = shared_data / "exchange/aster/exchangeInfo_full_2025-12-24.json.gz"
    return json.loads(gzip.decompress(file.read_bytes()))


@pytest.fixture(scope="module")
def specs(exchange_info):
    return {spec.symbol: spec for spec in payloads.instruments_of(exchange_info, [], venue="aster")}


def contract(**changes):
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.1", "maxPrice": "1000", "tickSize": "0.1"},
        {"filterType": "LOT_SIZE", "minQty": 0.001, "maxQty": 100, "stepSize": 0.001},
    ]
    row = {
        "symbol": "BTCUSDT",
        "contractType": "PERPETUAL",
        "status": "TRADING",
        "baseAsset": "BTC",
        "quoteAsset": "USDT",
    }
    return {**row, "marginAsset": "USDT", "pricePrecision": 2, "quantityPrecision": 3, "filters": filters, **changes}


def read(*rows, funding=()):
    return payloads.instruments_of({"symbols": list(rows)}, list(funding), venue="aster")


# Contracts


def test_every_recorded_contract_is_read_whatever_its_status(specs):
    assert len(specs) == 263
    statuses = [spec.status for spec in specs.values()]
    assert {status: statuses.count(status) for status in statuses} == {
        "TRADING": 184,
        "SETTLING": 76,
        "PENDING_TRADING": 3,
    }
    assert sum(spec.contract_type == "" for spec in specs.values()) == 3
    assert {spec.min_notional for spec in specs.values()} == {5}
    assert list(specs) == sorted(specs)


def test_ticks_come_from_the_filter_and_not_from_the_precision(specs, exchange_info):
    differing = [
        row["symbol"]
        for row in exchange_info["symbols"]
        if specs[row["symbol"]].tick_size != Decimal(1).scaleb(-row["pricePrecision"])
    ]
    assert len(differing) == 229  # of 230: the last one's filter has no tick at all, so the decimals rule
    assert specs["SOLUSDT"].tick_size == Decimal("0.01")
    assert specs["DOGEUSDT"].tick_size == Decimal("0.00001")


def test_a_tick_of_zero_is_no_rule_so_the_decimals_rule(specs):
    assert specs["WIFUSDT"].tick_size == Decimal("0.1")
    assert specs["WIFUSDT"].min_price == 0


def test_every_recorded_filter_arrives_exactly_as_it_was_written(specs, exchange_info):
    for row in exchange_info["symbols"]:
        spec = specs[row["symbol"]]
        rules = {rule["filterType"]: rule for rule in row["filters"]}
        lot, market, band = rules["LOT_SIZE"], rules["MARKET_LOT_SIZE"], rules["PERCENT_PRICE"]
        assert spec.step_size == Decimal(lot["stepSize"])
        assert (spec.min_quantity, spec.max_quantity) == (Decimal(lot["minQty"]), Decimal(lot["maxQty"]))
        assert spec.market_max_quantity == Decimal(market["maxQty"])
        assert (spec.band_up, spec.band_down) == (Decimal(band["multiplierUp"]), Decimal(band["multiplierDown"]))
        assert spec.max_orders == rules["MAX_NUM_ORDERS"]["limit"]
        assert spec.max_stop_orders == rules["MAX_NUM_ALGO_ORDERS"]["limit"]
        assert spec.liquidation_fee == Decimal(row["liquidationFee"])
        assert (spec.min_price, spec.max_price) == tuple(
            Decimal(rules["PRICE_FILTER"][side]) for side in ("minPrice", "maxPrice")
        )


def test_perpetuals_on_stocks_and_metals_are_told_apart_from_coins(specs):
    traditional = {name for name, spec in specs.items() if spec.asset_class == TRADITIONAL}
    assert len(traditional) == 10
    assert {"AAPLUSDT", "XAUUSDT", "QQQUSDT"} < traditional
    assert {specs[name].group for name in traditional} == {"traditional"}
    assert specs["BTCUSDT"].asset_class == CRYPTO


def test_order_types_are_found_under_both_names():
    [live], [documented] = read(contract(orderTypes=["LIMIT", "STOP"])), read(contract(OrderType=["LIMIT"]))
    assert (live.order_types, documented.order_types) == (("LIMIT", "STOP"), ("LIMIT",))


def test_numbers_may_be_text_or_numbers_and_the_margin_another_dollar():
    [spec] = read(contract(symbol="BTCUSD1", quoteAsset="USD1", marginAsset="USD1", liquidationFee=0.015))
    assert (spec.step_size, spec.liquidation_fee) == (Decimal("0.001"), Decimal("0.015"))
    assert (spec.quote, spec.margin_asset) == ("USD1", "USD1")


def test_each_symbol_has_its_own_funding_interval_and_a_missing_cap_is_no_fault():
    rows = [
        {"symbol": name, "fundingIntervalHours": hours, "fundingFeeCap": None, "interestRate": "0.0001"}
        for name, hours in (("AUSDT", 1), ("BUSDT", "2"), ("CUSDT", 4))
    ]
    found = read(*(contract(symbol=name) for name in ("AUSDT", "BUSDT", "CUSDT", "DUSDT")), funding=rows)
    assert [spec.funding_interval_hours for spec in found] == [1, 2, 4, 8]


def test_a_symbol_in_another_script_stays_and_one_that_is_none_goes():
    names = ["币安人生USDT", "BTC USDT", "../etc", "", "1000PEPEUSDT", "A" * 31, "BTC-PERP"]
    assert [spec.symbol for spec in read(*(contract(symbol=name) for name in names))] == [
        "1000PEPEUSDT",
        "BTC-PERP",
        "币安人生USDT",
    ]


def test_dated_contracts_are_left_out():
    assert [spec.symbol for spec in read(contract(), contract(symbol="X", contractType="CURRENT_QUARTER"))] == [
        "BTCUSDT"
    ]


@pytest.mark.parametrize(
    "broken",
    [
        {"filters": []},
        {"filters": [{"filterType": "PRICE_FILTER", "minPrice": "1", "maxPrice": "2", "tickSize": "-1"}]},
        {"filters": "none"},
        {"baseAsset": None},
        {"liquidationFee": "NaN"},
        {"status": "X" * 21},
    ],
)
def test_a_contract_without_usable_rules_is_left_out_and_the_others_stay(broken):
    assert [spec.symbol for spec in read(contract(), contract(symbol="BADUSDT", **broken))] == ["BTCUSDT"]
    with pytest.raises(VenueDown, match="without one contract"):
        read(contract(**broken))


def test_the_weight_limit_is_the_venues(exchange_info):
    assert payloads.weight_limit_of(exchange_info) == 2_400
    assert payloads.weight_limit_of({"rateLimits": []}) is None


# Candles


def test_candles_are_read_from_rows_of_twelve_with_text_or_numbers():
    numbers = [1749806700000, 104587.3, 104600, 104500.5, 104550, 3, 0, 0, 1, 0, 0, 0]
    candles = payloads.candles_of([KLINE, numbers], "BTCUSDT", "5m")
    assert candles.open_time.tolist() == [1749806400000, 1749806700000]
    assert candles.close.tolist() == [104587.3, 104550.0]
    assert (candles.low[0], candles.high[0], candles.volume[1]) == (104563.5, 104625.0, 3.0)


def test_rows_in_disorder_are_sorted_and_the_later_word_on_a_candle_stays():
    later = [KLINE[0], *["2"] * 5]
    candles = payloads.candles_of([[KLINE[0] + 300_000, *["1"] * 5], KLINE, later], "BTCUSDT", "5m")
    assert candles.open_time.tolist() == [KLINE[0], KLINE[0] + 300_000]
    assert candles.close.tolist() == [2.0, 1.0]


def test_impossible_candles_are_returned_as_they_are_for_quarantine():
    candles = payloads.candles_of([[KLINE[0], "5", "1", "9", "NaN", "-1"]], "BTCUSDT", "5m")
    assert (candles.high[0], candles.low[0], candles.volume[0]) == (1.0, 9.0, -1.0)
    assert math.isnan(candles.close[0])


@pytest.mark.parametrize(
    "rows",
    [
        None,
        {},
        "x",
        [None],
        [[1, 2, 3]],
        [[1, "a", "1", "1", "1", "1"]],
        [[None, *["1"] * 5]],
        [[1e400, *["1"] * 5]],
        [[True] * 6],
    ],
)
def test_rows_that_are_no_candles_are_refused_by_name(rows):
    with pytest.raises(VenueDown, match="BTCUSDT"):
        payloads.candles_of(rows, "BTCUSDT", "5m")


def test_no_rows_are_no_candles():
    assert len(payloads.candles_of([], "BTCUSDT", "5m")) == 0


# Prices


def test_a_quote_carries_the_venues_own_stamps():
    [quote] = payloads.quotes_of(["BTCUSDT"], book=[BOOK], last=[LAST], premium=[PREMIUM])
    assert (quote.bid, quote.ask, quote.last) == (Decimal("106630.1"), Decimal("106630.2"), Decimal("106630.15"))
    assert (quote.mark, quote.funding_rate) == (Decimal("106630.71786957"), Decimal("0.0001"))
    assert quote.mark_at == quote.funding_at == from_ms(1750147224000)
    assert quote.at == quote.changed_at == from_ms(1750147225100)
    assert quote.next_funding_at == datetime(2025, 6, 17, 16, tzinfo=UTC)


def test_where_nobody_trades_the_price_is_confirmed_by_the_stamp_of_its_mark():
    [quote] = payloads.quotes_of(["BTCUSDT"], book={**BOOK, "time": 1750000000000}, last=LAST, premium=PREMIUM)
    assert (quote.at, quote.changed_at) == (from_ms(PREMIUM["time"]), from_ms(1750000000000))


def test_a_rate_may_be_a_zero_in_text_or_not_there():
    for written, expected in (("0", Decimal(0)), ("", None), (None, None), ("-0.0075", Decimal("-0.0075"))):
        premium = {**PREMIUM, "lastFundingRate": written}
        [quote] = payloads.quotes_of(["BTCUSDT"], book=BOOK, last=LAST, premium=premium)
        assert quote.funding_rate == expected


@pytest.mark.parametrize("name", ["bidPrice", "askPrice", "price", "markPrice"])
@pytest.mark.parametrize(
    "value", ["NaN", "Infinity", "-1", "1e13", "1e-11", "1_000", "１２", "", None, True, [], float("inf")]
)
def test_what_is_no_price_never_becomes_one(name, value):
    rows = {"book": BOOK, "last": LAST, "premium": PREMIUM}
    broken = {kind: {**row, name: value} if name in row else row for kind, row in rows.items()}
    with pytest.raises(VenueDown, match=name):
        payloads.quotes_of(["BTCUSDT"], **broken)


def test_an_empty_side_of_the_book_is_no_quote_and_no_fault():
    assert payloads.quotes_of(["BTCUSDT"], book={**BOOK, "bidPrice": "0.0"}, last=LAST, premium=PREMIUM) == []


def test_one_broken_symbol_does_not_take_the_others_away():
    books = [{**BOOK, "symbol": "BADUSDT", "bidPrice": "NaN"}, BOOK, {"bidPrice": "1"}]
    lasts, premiums = [LAST, {**LAST, "symbol": "BADUSDT"}], [PREMIUM, {**PREMIUM, "symbol": "BADUSDT"}]
    found = payloads.quotes_of(["BADUSDT", "BTCUSDT", "NONEUSDT"], book=books, last=lasts, premium=premiums)
    assert [quote.symbol for quote in found] == ["BTCUSDT"]


def test_settlements_stand_on_the_full_second_once_each_in_order():
    rows = [
        {"symbol": "BTCUSDT", "fundingRate": "0.0002", "fundingTime": 1570636800019},
        {"symbol": "BTCUSDT", "fundingRate": "-0.0375", "fundingTime": "1570607999996"},
        {"symbol": "BTCUSDT", "fundingRate": "-0.0375", "fundingTime": 1570608000003},
        {"symbol": "ETHUSDT", "fundingRate": "0.9", "fundingTime": 1570608000000},
    ]
    assert payloads.settlements_of(rows, "BTCUSDT") == [
        FundingSettlement(from_ms(1570608000000), Decimal("-0.0375")),
        FundingSettlement(from_ms(1570636800000), Decimal("0.0002")),
    ]


@pytest.mark.parametrize("rate", ["NaN", "", None, "1", "-3"])
def test_a_settlement_that_cannot_be_read_is_never_left_out_in_silence(rate):
    with pytest.raises(VenueDown, match="fundingRate"):
        payloads.settlements_of([{"symbol": "A", "fundingRate": rate, "fundingTime": 1570608000000}], "A")


def test_open_interest_and_time_are_read():
    interest = payloads.interest_of({"symbol": "BTCUSDT", "openInterest": "10659.509", "time": 1750147224000})
    assert (interest.value, interest.at) == (Decimal("10659.509"), from_ms(1750147224000))
    assert payloads.server_time_of({"serverTime": 1750147224001}) == from_ms(1750147224001)
    for payload in ({}, [], None, {"serverTime": "soon"}, {"serverTime": 10**15}):
        with pytest.raises(VenueDown, match="serverTime"):
            payloads.server_time_of(payload)


# Stream


def test_events_are_read_bare_and_wrapped():
    [tick] = payloads.ticks_of(KLINE_EVENT)
    assert tick == CandleTick(
        "BTCUSDT", "1m", 1749806400000, 1.0, 2.5, 0.5, 2.0, 9.0, True, 1749806460123, Decimal("2.0")
    )
    assert payloads.ticks_of({"stream": "btcusdt@kline_1m", "data": KLINE_EVENT}) == [tick]
    assert payloads.ticks_of(BOOK_EVENT) == [BookTick("BNBUSDT", Decimal("25.35"), Decimal("25.36"), 1568014460893)]
    due = from_ms(1562306400000)
    assert payloads.tick_of(MARK_EVENT) == MarkTick(
        "BTCUSDT", Decimal("11794.15"), Decimal("0.00038167"), due, 1562305380000
    )


def test_a_list_of_marks_loses_only_what_is_broken():
    rows = [MARK_EVENT, {**MARK_EVENT, "s": "ETHUSDT", "p": "NaN"}, {**MARK_EVENT, "s": "BNBUSDT", "r": "", "T": 0}]
    first, second = payloads.ticks_of({"stream": "!markPrice@arr", "data": rows})
    assert (first.symbol, second.symbol) == ("BTCUSDT", "BNBUSDT")
    assert (second.funding_rate, second.next_funding_at) == (None, None)
    with pytest.raises(VenueDown, match="ETHUSDT"):
        payloads.ticks_of(rows[1:2])


def test_recorded_events_of_other_kinds_say_nothing(shared_data):
    streams = json.loads((shared_data / "exchange/aster/ws_futures_aster_net.json").read_text())
    events = [event for stream in streams for event in stream["events"]]
    ticks = [tick for event in events for tick in payloads.ticks_of(event)]
    assert sorted(type(tick).__name__ for tick in ticks) == ["BookTick", "CandleTick", "MarkTick"]
    assert len(events) > 10


@pytest.mark.parametrize(
    "message", [{"result": None, "id": 1}, {"e": "surprise"}, {}, [], None, "text", 5, [1, "a"], {"data": None}]
)
def test_what_is_no_event_says_nothing(message):
    assert payloads.ticks_of(message) == []


def test_candles_of_lengths_that_nobody_uses_and_empty_books_say_nothing():
    assert payloads.tick_of({**KLINE_EVENT, "k": {**KLINE_EVENT["k"], "i": "2h"}}) is None
    assert payloads.tick_of({**BOOK_EVENT, "a": "0.00"}) is None


@pytest.mark.parametrize("event", [KLINE_EVENT, BOOK_EVENT, MARK_EVENT])
def test_an_event_without_a_needed_field_is_refused_by_its_name(event):
    needed = set(event) - {"e", "u", "B", "A", "r", "T"}
    for name in needed:
        with pytest.raises(VenueDown, match=rf"\b{name} is missing|\b{name} is"):
            payloads.tick_of({key: value for key, value in event.items() if key != name})


@given(json_values)
def test_garbage_is_refused_and_never_a_surprise(value):
    for reader in (
        payloads.ticks_of,
        payloads.interest_of,
        payloads.weight_limit_of,
        lambda given: payloads.instruments_of(given, given, venue="aster"),
        lambda given: payloads.instruments_of({"symbols": [contract(filters=given)]}, [], venue="aster"),
        lambda given: payloads.candles_of(given, "BTCUSDT", "1m"),
        lambda given: payloads.candles_of([given], "BTCUSDT", "1m"),
        lambda given: payloads.settlements_of(given, "BTCUSDT"),
        lambda given: payloads.quotes_of(["BTCUSDT"], book=given, last=given, premium=given),
    ):
        with contextlib.suppress(VenueDown):
            reader(value)


@given(st.sampled_from([KLINE_EVENT, BOOK_EVENT, MARK_EVENT]), st.data())
def test_whatever_one_field_holds_a_tick_has_sound_prices_or_there_is_none(event, data):
    name = data.draw(st.sampled_from([*event, *event.get("k", {})]))
    value = data.draw(json_values)
    inner = {**event["k"], name: value} if "k" in event and name in event["k"] else event.get("k")
    changed = {
        **event,
        **({name: value} if name in event else {}),
        **({"k": inner} if "k" in event and name != "k" else {}),
    }
    try:
        ticks = payloads.ticks_of(changed)
    except VenueDown:
        return
    for tick in ticks:
        prices = [getattr(tick, field) for field in ("last", "bid", "ask", "mark") if hasattr(tick, field)]
        assert all(price.is_finite() and 0 < price < 10**12 for price in prices)
        assert isinstance(tick.symbol, str)
        assert isinstance(tick.event_ms, int)


def test_a_price_with_more_digits_than_are_stored_is_no_price() -> None:
    long = "60000.12345678901234"
    book = {"e": "bookTicker", "s": "BTCUSDT", "b": long, "a": "60001", "E": 1_700_000_000_000}
    with pytest.raises(VenueDown, match="b is"):
        payloads.tick_of(book)
    mark = {"e": "markPriceUpdate", "s": "BTCUSDT", "p": long, "r": "", "T": 0, "E": 1_700_000_000_000}
    assert payloads.tick_of(mark).mark == Decimal("60000.1234567890")
