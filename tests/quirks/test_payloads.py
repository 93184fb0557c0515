"""Answers of AsterDEX that differ from its documents, from each other, or from what one would think."""

import json
from decimal import Decimal as D

import pytest

from marketdata.aster.answers import Answer, Throttled, read
from marketdata.aster.payloads import candles_of, instruments_of, quotes_of, settlements_of, ticks_of
from marketdata.domain.quality import faults
from marketdata.venues.public import VenueDown, VenueRefused
from tests.quirks.kit import live, payload, utc
from vibex.lib.clock import from_ms

BOOK = {"symbol": "BTCUSDT", "bidPrice": "106630.1", "askPrice": "106630.2", "time": 1750147224900}
LAST = {"symbol": "BTCUSDT", "price": "106630.1", "time": 1750147224900}


def quoted(premium, book=BOOK, last=LAST):
    (quote,) = quotes_of(["BTCUSDT"], book=[book], last=[last], premium=[premium])
    return quote


# Funding


def test_funding_caps_may_be_null_and_intervals_are_1_4_or_8_hours(shared_data):
    info = payload(shared_data / "exchange/aster/exchangeInfo_full_2025-12-24.json.gz")
    null_caps = live(shared_data, "ccxt_responses")["fundingInfo_null_caps"]
    assert null_caps[0]["fundingFeeCap"] is None
    changed = [
        {**null_caps[0], "symbol": name, "fundingIntervalHours": hours}
        for name, hours in (("ETHUSDT", 1), ("SOLUSDT", 4))
    ]
    specs = {spec.symbol: spec for spec in instruments_of(info, [*null_caps, *changed], venue="aster")}
    hours = {name: specs[name].funding_interval_hours for name in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "DOGEUSDT")}
    assert hours == {"BTCUSDT": 8, "ETHUSDT": 1, "SOLUSDT": 4, "DOGEUSDT": 8}


@pytest.mark.parametrize(
    ("sent", "rate"), [("0", D(0)), ("0.00010000", D("0.0001")), (0, D(0)), ("", None), (None, None)]
)
def test_a_rate_may_be_a_zero_in_text_a_number_or_nothing(shared_data, sent, rate):
    premium = live(shared_data, "ccxt_responses")["premiumIndex"]
    assert quoted({**premium, "lastFundingRate": sent}).funding_rate == rate


def test_settled_rates_of_the_documents_are_read(shared_data):
    examples = payload(shared_data / "exchange/aster/docs_v3_examples.json")
    rows = next(one["json"] for one in examples if one["endpoint"] == "GET /fapi/v3/fundingRate")
    assert [one.rate for one in settlements_of(rows, "BTCUSDT")] == [D("-0.0375"), D("0.0001")]


# Numbers and text


def test_the_recorded_premium_is_read_with_the_venues_own_times(shared_data):
    premium = live(shared_data, "ccxt_responses")["premiumIndex"]
    quote = quoted(premium)
    assert quote.mark == D("106630.717869570").quantize(D("0.000000001"))
    assert (quote.mark_at, quote.next_funding_at) == (from_ms(1750147224000), from_ms(1750176000000))
    assert quote.at == from_ms(1750147224900)  # the newest of the stamps: the book's


@pytest.mark.parametrize("turn", [str, int])
def test_a_time_may_come_as_a_number_or_as_text(shared_data, turn):
    premium = live(shared_data, "ccxt_responses")["premiumIndex"]
    turned = {**premium, "time": turn(premium["time"]), "nextFundingTime": turn(premium["nextFundingTime"])}
    assert quoted(turned) == quoted(premium)


def test_nanoseconds_are_no_milliseconds(shared_data):
    """AsterDEX's spot account has an updateTime in nanoseconds: no such number becomes a moment of the year 56,095,143."""
    sent = live(shared_data, "ccxt_responses")["spot_account"]["updateTime"]
    premium = live(shared_data, "ccxt_responses")["premiumIndex"]
    for value in (sent, int(sent), int(sent) // 1000):  # and neither are microseconds
        with pytest.raises(VenueDown, match="premiumIndex of 'BTCUSDT' that cannot be used: time is"):
            quoted({**premium, "time": value})


def test_an_expired_listen_key_says_nothing_of_prices_whether_its_time_is_a_number_or_text(shared_data):
    fragments = live(shared_data, "go_aster_fragments")
    for name in ("listenKeyExpired_number", "listenKeyExpired_string"):
        assert ticks_of(fragments[name]) == []


def test_the_recorded_candles_of_the_exchange_are_read(shared_data):
    rows = live(shared_data, "ccxt_responses")["klines_5m"]
    candles = candles_of(rows, "BTCUSDT", "5m")
    assert (candles.open[0], candles.volume[0]) == (104577.2, 17.771)
    assert faults(candles) == []


# Prices of contracts that nobody trades


@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT", "SOLUSDT", "DOTUSDT", "1000PEPEUSDT", "AAPLUSDT"])
def test_the_recorded_books_are_on_the_tick_of_their_contract_and_not_crossed(shared_data, symbol):
    book = live(shared_data, f"orderbook_{symbol}")
    info = payload(shared_data / "exchange/aster/exchangeInfo_full_2025-12-24.json.gz")
    (spec,) = (one for one in instruments_of(info, [], venue="aster") if one.symbol == symbol)
    prices = [D(price) for side in ("bids", "asks") for price, _ in book[side]]
    assert [price for price in prices if price != spec.price_near(price)] == []
    assert D(book["bids"][0][0]) < D(book["asks"][0][0])


def test_a_book_says_when_it_last_moved_and_not_when_it_was_read(shared_data):
    """Apple's was read with the others, at 04:29, and says 03:16: so the stamp of the mark confirms its prices."""
    now, book = live(shared_data, "orderbook_BTCUSDT")["E"], live(shared_data, "orderbook_AAPLUSDT")
    assert from_ms(now) > utc("2025-10-15 04:29")
    ticker = {"symbol": "BTCUSDT", "bidPrice": book["bids"][0][0], "askPrice": book["asks"][0][0], "time": book["E"]}
    quote = quoted({"symbol": "BTCUSDT", "markPrice": "247.9", "lastFundingRate": "0", "time": now}, book=ticker)
    assert (quote.bid, quote.ask) == (D(242), D(255))
    assert quote.at == quote.mark_at == from_ms(now)
    assert quote.changed_at == from_ms(book["E"]) < utc("2025-10-15 03:17")


# Errors


def answered(status: int, body: object) -> Answer:
    return Answer(status, {}, json.dumps(body).encode())


def test_every_error_seen_in_logs_is_a_refusal_with_its_code(shared_data):
    observed = payload(shared_data / "exchange/observed_errors.json")
    codes = []
    for one in observed:
        if "code" in one:
            with pytest.raises(VenueRefused) as refused:
                read(answered(400, {"code": one["code"], "msg": one["msg"]}), "POST /fapi/v3/order of BTCUSDT")
            assert one["msg"][:100] in str(refused.value)
            codes.append(refused.value.code)
    assert codes == ["-2019", "-4164", "-4164", "-2011", "-4225", "-1121", "-1021"]


def test_two_minimums_under_one_code_are_told_apart_by_their_text(shared_data):
    texts = []
    for one in payload(shared_data / "exchange/observed_errors.json"):
        if one.get("code") == -4164:
            with pytest.raises(VenueRefused) as refused:
                read(answered(400, one), "POST /fapi/v3/order of BTCUSDT")
            texts.append(str(refused.value))
    assert "no smaller than 100" in texts[0]
    assert "no smaller than 5.0" in texts[1]


def test_a_refusal_of_another_provider_is_no_answer_of_the_exchange(shared_data):
    (other,) = (one for one in payload(shared_data / "exchange/observed_errors.json") if "http_status" in one)
    with pytest.raises(VenueDown):
        read(answered(other["http_status"], other["body"]), "GET /fapi/v3/time")


def test_a_code_may_be_text_and_200_is_none(shared_data):
    recorded = live(shared_data, "ccxt_responses")
    assert recorded["cancel_all"]["code"] == "200"
    assert read(answered(200, recorded["cancel_all"]), "DELETE /fapi/v3/allOpenOrders") == recorded["cancel_all"]
    (unknown,) = recorded["batch_cancel_error"]
    assert unknown["code"] == "-2011"
    with pytest.raises(VenueRefused) as refused:
        read(answered(400, unknown), "DELETE /fapi/v3/order")
    assert refused.value.code == "-2011"


def test_every_documented_code_is_a_refusal_a_passing_fault_or_too_much(shared_data):
    for one in payload(shared_data / "exchange/aster/error_codes_docs_v3.json"):
        with pytest.raises((VenueRefused, VenueDown, Throttled)):
            read(answered(400, one), "GET /fapi/v3/klines")
