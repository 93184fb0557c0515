"""Names, prices, sentences and ledger of Hyperliquid, without ccxt: what is exact, and what is never guessed."""

from __future__ import annotations

import json
import re
import threading
from decimal import Decimal as D

import pytest
from django.db import connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from marketdata.aster.answers import Answer, BadGateway, Throttled, Unreadable
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.orders import new_client_order_id
from trading.domain.venue import IncomeKind, OrderSide, OrderType, VenueStatus
from trading.exchange.aster_codes import Call
from trading.exchange.base import Refusal, Refused
from trading.exchange.through_ccxt.hyperliquid import ledger, payloads, words
from trading.exchange.through_ccxt.hyperliquid.calls import weight
from trading.exchange.through_ccxt.hyperliquid.form import checked, fitting, wire, worst
from trading.exchange.through_ccxt.hyperliquid.names import Names
from trading.exchange.through_ccxt.hyperliquid.nonces import DatabaseMilliseconds
from trading.tests.matching_kit import BTC, order, stop

USER = "0x" + "ab" * 20
OTHER = "0x" + "cd" * 20


def names(mark: str = "a1b2") -> Names:
    return Names(lambda: mark)


# Names


def test_an_id_of_ours_is_known_again_from_its_bits_alone():
    for _ in range(200):
        ours = new_client_order_id("a1b2")
        cloid = names().cloid(ours)
        assert re.fullmatch("0x[0-9a-f]{32}", cloid)
        assert names().ours(cloid, "1") == ours
        assert names().asked(ours) == cloid


def test_ids_of_another_installation_are_its_own_but_for_one_in_64():
    taken = [
        names("zzzz").ours(names().cloid(new_client_order_id("a1b2")), "1").startswith("vxzzzz") for _ in range(2_000)
    ]
    assert 0 < sum(taken) < 2_000 / 64 * 2.5


@given(st.binary(min_size=16, max_size=16))
def test_whatever_a_cloid_is_called_leads_back_to_it(raw):
    cloid = f"0x{raw.hex()}"
    assert names().cloid(names().ours(cloid, "7")) == cloid


@given(st.text(alphabet="abcxyz0123456789-_.:/", min_size=1, max_size=36))
def test_any_other_text_has_a_cloid_of_its_own_that_is_remembered(text):
    mapped, number = names(), text.startswith("oid:") and text[4:].isdecimal()
    if not number:
        assert mapped.ours(mapped.cloid(text), "1") == text


def test_ids_that_look_like_ours_and_are_none_do_not_meet_others():
    ours = new_client_order_id("a1b2")
    twisted = ours[:-1] + ("b" if ours[-1] != "b" else "c")
    assert names().cloid(twisted) != names().cloid(ours)


def test_an_order_without_cloid_is_called_by_its_number():
    assert names().ours(None, "77") == "oid:77"
    assert names().asked("oid:77") == 77
    assert names().cloid("oid:77") is None


# Prices


@pytest.mark.parametrize(
    ("price", "decimals", "down", "up"),
    [
        ("100.2", 3, "100.2", "100.2"),
        ("97123.4", 5, "97123", "97124"),
        ("123456.7", 5, "123456", "123457"),
        ("2369.64", 4, "2369.6", "2369.7"),
        ("2369.64", 5, "2369.6", "2369.7"),
        ("0.0123456", 0, "0.012345", "0.012346"),
        ("1.23456", 2, "1.2345", "1.2346"),
        ("1.23456", 4, "1.23", "1.24"),
        ("99999.5", 3, "99999", "100000"),
        ("0.0000001", 0, "0.000001", "0.000001"),
    ],
)
def test_a_price_is_fitted_to_five_figures_and_few_decimals(price, decimals, down, up):
    assert fitting(D(price), decimals, up=False) == D(down)
    assert fitting(D(price), decimals, up=True) == D(up)


@given(st.decimals(min_value="0.00001", max_value="999999", places=7), st.integers(0, 5), st.booleans())
def test_a_fitted_price_is_one_of_the_venue_and_on_the_right_side(price, decimals, up):
    fitted = fitting(price, decimals, up=up)
    digits = fitted.normalize().as_tuple()
    whole = fitted == fitted.to_integral_value()
    assert whole or (len(digits.digits) <= 5 and -digits.exponent <= 6 - decimals)
    assert fitting(fitted, decimals, up=up) == fitted
    if fitted > D(1).scaleb(decimals - 6):
        assert fitted >= price if up else fitted <= price


def test_the_worst_price_of_a_market_order_is_beyond_the_touch():
    assert worst(D(100), OrderSide.BUY, D("0.05"), 3) == D(105)
    assert worst(D("2369.6"), OrderSide.SELL, D("0.05"), 4) == D("2251.1")


@pytest.mark.parametrize(
    ("side", "type_", "trigger"),
    [("SELL", "STOP_MARKET", "95.124"), ("BUY", "STOP_MARKET", "95.123"), ("SELL", "TAKE_PROFIT_MARKET", "95.123"),
     ("BUY", "TAKE_PROFIT_MARKET", "95.124")],
)  # fmt: skip
def test_a_trigger_between_two_prices_fires_no_later(side, type_, trigger):
    new = order(side, type_, "1", trigger="95.1234", reduce_only=True)
    assert wire(new, asset=0, decimals=3, cloid=None, touch=None)["t"]["trigger"]["triggerPx"] == trigger


@pytest.mark.parametrize(
    "new",
    [
        order("BUY", "LIMIT", "1"),
        order("BUY", "MARKET", "1", price="1"),
        order("BUY", "STOP_MARKET", "1"),
        order("BUY", "MARKET", "1", tif="IOC"),
        order("BUY", "MARKET"),
        order("SELL", "MARKET", close_position=True),
        stop("SELL", "90", reduce_only=True),
        order("BUY", "LIMIT", "1", price="100.21"[:5] + "11"),
        order("BUY", "LIMIT", "0.0001", price="100"),
        order("BUY", "LIMIT", "-1", price="100"),
    ],
)
def test_an_order_of_a_wrong_form_is_refused_here(new):
    with pytest.raises(Refused):
        checked(new, BTC)


# Sentences


@pytest.mark.parametrize(
    ("said", "refusal"),
    [
        ("Price must be divisible by tick size. asset=4", Refusal.FILTER),
        ("Order must have minimum value of $10. asset=4", Refusal.FILTER),
        ("Insufficient margin to place order. asset=4", Refusal.MARGIN),
        ("Reduce only order would increase position. asset=4", Refusal.REDUCE_ONLY),
        ("Invalid TP/SL price. asset=4", Refusal.WOULD_TRIGGER),
        ("Order has invalid size.", Refusal.FILTER),
        ("Order price cannot be more than 80% away from the reference price", Refusal.FILTER),
        ("Order was never placed, already canceled, or filled. asset=4", Refusal.UNKNOWN_ORDER),
        ("Cannot switch leverage type with open position.", Refusal.LEVERAGE),
        ("what nobody has read before", Refusal.OTHER),
    ],
)
def test_a_sentence_has_its_refusal(said, refusal):
    body = {"status": "ok", "response": {"type": "order", "data": {"statuses": [{"error": said}]}}}
    with pytest.raises(VenueRefused) as caught:
        words.judge(Answer(200, {}, json.dumps(body).encode()), "order")
    error = words.meaning(caught.value, Call.ENTRY)
    assert isinstance(error, Refused)
    assert error.refusal is refusal


@pytest.mark.parametrize(
    ("status", "body", "raised"),
    [
        (200, b"<html>", Unreadable), (200, b"", Unreadable), (500, b"null", VenueDown), (502, b"<html>", VenueDown),
        (403, b"<html>", BadGateway), (404, b"{}", BadGateway), (429, b"null", Throttled), (422, b"Failed", VenueRefused),
        (200, b'{"status": "unknownOid"}', VenueRefused), (200, b"[" * 100_000, Unreadable),
    ],
)  # fmt: skip
def test_an_answer_is_judged_before_ccxt_sees_it(status, body, raised):
    with pytest.raises(raised):
        words.judge(Answer(status, {}, body), "order")


def test_the_silence_that_is_asked_for_is_kept():
    with pytest.raises(Throttled) as caught:
        words.judge(Answer(429, {"retry-after": "17"}, b""), "order")
    assert caught.value.seconds == 17


@pytest.mark.parametrize(
    ("path", "kind", "costs"),
    [("info", "orderStatus", 2), ("info", "meta", 20), ("info", "userFillsByTime", 45), ("info", "userRole", 60), ("exchange", None, 1)],
)  # fmt: skip
def test_a_request_weighs_what_the_venue_counts(path, kind, costs):
    assert weight("POST", path, {"type": kind} if kind else {}, 1) == costs


# Orders


def row(**more):
    return {
        "coin": "BTC", "side": "A", "limitPx": "88.0", "sz": "1.0", "oid": "5", "timestamp": "1760097600000",
        "triggerCondition": "N/A", "isTrigger": True, "triggerPx": "95.0", "children": [], "isPositionTpsl": False,
        "reduceOnly": True, "orderType": "Stop Market", "origSz": "1.0", "tif": None, "cloid": None,
    } | more  # fmt: skip


def told(word: str, **more):
    return payloads.order_of(row(**more), word, "1760097600000", names().ours)


@pytest.mark.parametrize(
    ("word", "more", "status"),
    [
        ("open", {}, VenueStatus.NEW), ("triggered", {}, VenueStatus.NEW), ("open", {"sz": "0.4"}, VenueStatus.PARTIALLY_FILLED),
        ("filled", {"sz": "0.0"}, VenueStatus.FILLED), ("canceled", {}, VenueStatus.CANCELED),
        ("canceled", {"tif": "Ioc"}, VenueStatus.EXPIRED), ("liquidatedCanceled", {}, VenueStatus.CANCELED),
        ("siblingFilledCanceled", {}, VenueStatus.CANCELED), ("scheduledCancel", {}, VenueStatus.CANCELED),
        ("reduceOnlyCanceled", {}, VenueStatus.EXPIRED), ("marginCanceled", {}, VenueStatus.EXPIRED),
        ("iocCancelRejected", {}, VenueStatus.EXPIRED), ("tickRejected", {}, VenueStatus.REJECTED), ("rejected", {}, VenueStatus.REJECTED),
    ],
)  # fmt: skip
def test_every_status_of_the_venue_is_one_of_ours(word, more, status):
    assert told(word, **more).status is status


def test_a_status_that_nobody_knows_makes_the_answer_unusable():
    with pytest.raises(VenueDown):
        told("teleported")


def test_what_becomes_a_limit_when_it_fires_is_never_taken_for_protection():
    assert told("open", orderType="Stop Limit").type is OrderType.LIMIT
    assert told("open").type is OrderType.STOP_MARKET
    assert told("open", orderType="Take Profit Market").type is OrderType.TAKE_PROFIT_MARKET


def test_a_stop_for_the_whole_position_that_somebody_placed_by_hand_closes_it():
    report = told("open", isPositionTpsl=True, origSz="0.0", sz="0.0")
    assert (report.close_position, report.reduce_only, report.quantity) == (True, False, D(0))


@pytest.mark.parametrize("name", ["coin", "side", "sz", "origSz", "oid", "orderType", "triggerPx"])
@pytest.mark.parametrize("value", [None, "", "NaN", "x", [], "1e999"])
def test_an_order_that_cannot_be_read_is_no_order(name, value):
    if name in ("coin", "orderType") and value in ("NaN", "x", "1e999"):
        return  # names, as far as anybody can tell
    with pytest.raises(VenueDown):
        told("open", **{name: value})


def test_orders_of_spot_and_of_the_markets_of_others_are_left_out():
    rows = [row(), row(coin="PURR/USDC"), row(coin="@107"), row(coin="xyz:TSLA")]
    assert len(payloads.orders_of(rows, names().ours)) == 1


# The ledger


def moved(**delta):
    return ledger.moved_by({"time": "1760097600000", "hash": "0x" + "1" * 64, "delta": delta}, USER)


@pytest.mark.parametrize(
    ("delta", "amount"),
    [
        ({"type": "deposit", "usdc": "100.0"}, "100"),
        ({"type": "withdraw", "usdc": "99.0", "nonce": 1, "fee": "1.0"}, "-100"),
        ({"type": "accountClassTransfer", "usdc": "50.0", "toPerp": True}, "50"),
        ({"type": "accountClassTransfer", "usdc": "50.0", "toPerp": False}, "-50"),
        ({"type": "internalTransfer", "usdc": "5.0", "user": USER, "destination": OTHER, "fee": "1.0"}, "-6"),
        ({"type": "internalTransfer", "usdc": "5.0", "user": OTHER, "destination": USER, "fee": "1.0"}, "5"),
        ({"type": "subAccountTransfer", "usdc": "5.0", "user": USER.upper().replace("X", "x"), "destination": OTHER}, "-5"),
        ({"type": "vaultDeposit", "vault": OTHER, "usdc": "7.0"}, "-7"),
        ({"type": "vaultWithdraw", "requestedUsd": "9.0", "netWithdrawnUsd": "8.5", "user": USER}, "8.5"),
        ({"type": "send", "user": OTHER, "destination": USER, "sourceDex": "spot", "destinationDex": "", "token": "USDC",
          "amount": "3.0", "fee": "0.0"}, "3"),
        ({"type": "send", "user": USER, "destination": USER, "sourceDex": "", "destinationDex": "spot", "token": "USDC",
          "amount": "3.0", "fee": "0.0"}, "-3"),
        ({"type": "send", "user": USER, "destination": USER, "sourceDex": "spot", "destinationDex": "xyz", "token": "USDC",
          "amount": "3.0", "fee": "0.0"}, None),
        ({"type": "send", "user": USER, "destination": OTHER, "sourceDex": "", "destinationDex": "", "token": "HYPE",
          "amount": "3.0", "fee": "0.0"}, None),
        ({"type": "spotTransfer", "token": "HYPE", "amount": "3.0"}, None),
        ({"type": "liquidation", "accountValue": "12.0"}, None),
        ({"type": "something new"}, None),
    ],
)  # fmt: skip
def test_money_that_moves_is_a_transfer_with_its_sign(delta, amount):
    line = moved(**delta)
    assert (line and line.amount) == (D(amount) if amount else None)
    if line:
        assert line.kind is IncomeKind.TRANSFER
        assert len(line.transaction_id) <= 60


def fill(**more):
    return {
        "coin": "BTC", "px": "100.0", "sz": "2.0", "side": "A", "time": "1760097600000", "startPosition": "2.0", "dir": "Close Long",
        "closedPnl": "-3.5", "hash": "0x1", "oid": "9", "crossed": True, "fee": "0.09", "tid": "123", "feeToken": "USDC",
    } | more  # fmt: skip


def test_a_fill_pays_profit_and_fee_and_a_rebate_comes_in():
    paid = ledger.paid_by(ledger.trade_of(fill(), "vx"))
    assert [(one.kind, one.amount, one.trade_id) for one in paid] == [
        (IncomeKind.REALIZED_PNL, D("-3.5"), "123"),
        (IncomeKind.COMMISSION, D("-0.09"), "123"),
    ]
    (rebate,) = ledger.paid_by(ledger.trade_of(fill(fee="-0.01", closedPnl="0.0"), "vx"))
    assert rebate.amount == D("0.01")
    assert ledger.trade_of(fill(feeToken="HYPE"), "vx").fee_asset == "HYPE"


@pytest.mark.parametrize("name", ["px", "sz", "side", "time", "tid", "oid", "fee", "closedPnl"])
def test_a_fill_that_cannot_be_read_makes_the_answer_unusable(name):
    for value in (None, "NaN", {}):
        with pytest.raises(VenueDown):
            ledger.trade_of(fill(**{name: value}), "vx")


def test_funding_has_a_name_of_its_own_by_contract_and_hour():
    delta = {"type": "funding", "coin": "BTC", "usdc": "-0.5", "szi": "1.0", "fundingRate": "0.00001"}
    line = ledger.funding_of({"time": "1760097600071", "hash": "0x0", "delta": delta})
    assert (line.transaction_id, line.symbol, line.amount) == ("funding:1760097600071", "BTCUSDC", D("-0.5"))


def test_brackets_are_whole_and_continuous():
    meta = {
        "universe": [{"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56}],
        "marginTables": [[56, {"marginTiers": [
            {"lowerBound": "0.0", "maxLeverage": 40}, {"lowerBound": "150000000.0", "maxLeverage": 20},
        ]}]],
    }  # fmt: skip
    asset = payloads.assets_of(meta)["BTCUSDC"]
    low, high = asset.brackets
    assert (low.cap, low.maintenance_rate, high.maintenance_rate) == (high.floor, D("0.0125"), D("0.025"))
    assert high.floor * high.maintenance_rate - high.cum == low.cap * low.maintenance_rate
    assert (asset.index, asset.decimals) == (0, 5)


# Nonces


@pytest.mark.postgres
@pytest.mark.django_db(transaction=True)
def test_no_two_threads_get_one_nonce_and_none_is_given_back():
    taken: list[int] = []

    def take() -> None:
        try:
            nonces = DatabaseMilliseconds(USER, lambda: 1_700_000_000_000)
            taken.extend(nonces() for _ in range(25))
        finally:
            connection.close()

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1_700_000_000_000, 1_700_000_000_100))


@pytest.mark.django_db(transaction=True)
def test_a_nonce_follows_the_clock_and_forgets_a_count_that_the_venue_cannot_have_seen():
    now = [1_700_000_000_000]
    nonces = DatabaseMilliseconds(USER, lambda: now[0])
    assert nonces() == 1_700_000_000_000
    now[0] += 500
    assert nonces() == 1_700_000_000_500
    now[0] -= 3_600_000  # put back by an hour: the count goes on
    assert nonces() == 1_700_000_000_501
    now[0] -= 10 * 86_400_000
    assert nonces() == now[0]
    with pytest.raises(RuntimeError), transaction.atomic():
        nonces()
