"""What AsterDEX was recorded to say of accounts is read as it was meant, and what cannot be meant is refused."""

import json
from datetime import UTC, datetime
from decimal import Decimal as D

import pytest
from hypothesis import given
from hypothesis import strategies as st

from decisions.domain.proposal import Side
from marketdata.domain.instruments import Bracket
from marketdata.venues.public import VenueDown
from trading.domain.venue import Collateral, IncomeKind, OrderSide, OrderType, VenueStatus
from trading.exchange.aster import payloads, terms
from vibex.lib.clock import from_ms

ORDER = {
    "orderId": 22542179, "clientOrderId": "vxabcd", "symbol": "BTCUSDT", "side": "SELL", "status": "FILLED",
    "type": "MARKET", "origType": "STOP_MARKET", "price": "0", "avgPrice": "94.10000", "origQty": "10",
    "executedQty": "10", "cumQuote": "941", "stopPrice": "95", "reduceOnly": True, "closePosition": True,
    "timeInForce": "GTC", "updateTime": 1566818724722, "workingType": "MARK_PRICE", "priceProtect": False,
}  # fmt: skip
POSITION = {
    "symbol": "SOLUSDT", "positionAmt": "0.38", "entryPrice": "128.41", "markPrice": "124.505",
    "unRealizedProfit": "-1.48390000", "liquidationPrice": "101.2", "leverage": "5", "marginType": "isolated",
    "isolatedMargin": "8.27520000", "isolatedWallet": "9.7591", "isAutoAddMargin": "false", "positionSide": "BOTH",
    "notional": "47.31190000", "updateTime": 1766416203541,
}  # fmt: skip


@pytest.fixture(scope="module")
def live(shared_data):
    """Answers that somebody recorded from the live exchange."""
    return json.loads((shared_data / "exchange/aster/live/ccxt_responses.json").read_text())


@pytest.fixture(scope="module")
def documented(shared_data):
    """Return the documents' example of an endpoint."""
    examples = json.loads((shared_data / "exchange/aster/docs_v3_examples.json").read_text())

    def example(endpoint):
        return next(one["json"] for one in examples if one["endpoint"] == endpoint and "json" in one)

    return example


def without(row, *names):
    return {name: value for name, value in row.items() if name not in names}


# Orders


def test_a_stop_that_fired_is_still_a_stop():
    order = payloads.order_of(ORDER)
    assert (order.type, order.status, order.side) == (OrderType.STOP_MARKET, VenueStatus.FILLED, OrderSide.SELL)
    assert (order.filled, order.average_price, order.trigger, order.price) == (D(10), D("94.1"), D(95), None)
    assert (order.exchange_id, order.client_order_id) == ("22542179", "vxabcd")
    assert order.updated_at == from_ms(1566818724722)


def test_recorded_orders_come_with_every_number_as_text(live):
    limit, target = (
        payloads.order_of(live[name]) for name in ("spot_order_limit_buy", "spot_order_market_buy_takeProfit")
    )
    assert (limit.exchange_id, limit.type, limit.price, limit.average_price) == (
        "456715590", OrderType.LIMIT, D(1000), None,
    )  # fmt: skip
    assert (target.type, target.trigger, target.price) == (OrderType.TAKE_PROFIT_MARKET, D(1000), None)
    assert payloads.order_of(live["spot_cancel"]).status is VenueStatus.CANCELED


@pytest.mark.parametrize("endpoint", ["POST /fapi/v3/order", "GET /fapi/v3/order", "DELETE /fapi/v3/order"])
def test_a_kind_of_order_that_is_never_ours_is_no_protection(documented, endpoint):
    order = payloads.order_of(documented(endpoint))
    assert order.type is OrderType.MARKET, "the examples are trailing stops of somebody else"
    assert not order.type.conditional


def test_a_stop_limit_of_somebody_else_is_an_order_with_a_price():
    assert payloads.order_of(ORDER | {"origType": "STOP", "price": "94"}).type is OrderType.LIMIT


@pytest.mark.parametrize("value", [True, "true", "TRUE", "True"])
def test_truth_is_given_as_such_or_as_text(value):
    assert payloads.order_of(ORDER | {"reduceOnly": value}).reduce_only


@pytest.mark.parametrize(
    "told",
    [1766419201441, "1766419201441", 1766419201441_000, "1766419201441000999", 1766419201441_000_999],
)
def test_moments_are_told_in_milli_micro_or_nanoseconds(told):
    assert payloads.instant({"at": told}, "at", "test") == datetime(2025, 12, 22, 16, 0, 1, 441_000, tzinfo=UTC)


def test_a_moment_of_zero_is_none():
    assert payloads.instant({"at": "0"}, "at", "test") is None
    assert payloads.instant({}, "at", "test") is None


@pytest.mark.parametrize(
    "change",
    [
        {"status": "SOMETHING"}, {"side": "LONG"}, {"orderId": None}, {"orderId": True}, {"clientOrderId": ""},
        {"executedQty": "-1"}, {"executedQty": "NaN"}, {"origQty": None}, {"avgPrice": "Infinity"}, {"symbol": ""},
        {"reduceOnly": "perhaps"}, {"updateTime": "yesterday"}, {"type": None, "origType": None},
    ],
)  # fmt: skip
def test_an_order_that_makes_no_sense_makes_no_report(change):
    with pytest.raises(VenueDown, match=next(iter(change)) if "type" not in change else "type"):
        payloads.order_of(ORDER | change)


@pytest.mark.parametrize("payload", [None, [], "", 7, [ORDER, ORDER], [None]])
def test_an_answer_that_is_not_one_order_makes_no_report(payload):
    with pytest.raises(VenueDown):
        payloads.order_of(payload)


def test_one_unreadable_order_makes_the_list_unusable():
    with pytest.raises(VenueDown):
        payloads.orders_of([ORDER, ORDER | {"status": "?"}])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists) | st.just(ORDER))
def test_whatever_comes_in_an_order_is_a_report_or_a_venue_that_is_down(value):
    for name in ORDER:
        try:
            report = payloads.order_of(ORDER | {name: value})
        except VenueDown:
            continue
        assert report.filled >= 0
        assert report.quantity >= 0


# Money and positions


def test_a_recorded_balance_without_any_usdt_is_an_empty_account(live):
    assert payloads.funds_of([live["balance_row"]]) == payloads.Funds(D(0), D(0), D(0))


def test_other_assets_are_named_and_count_for_nothing():
    rows = [
        {"asset": "USDF", "balance": "120.5", "availableBalance": "120.5"},
        {"asset": "USDT", "balance": "1000", "crossUnPnl": "-20", "availableBalance": "700.5"},
        {"asset": "APX", "balance": "0.00000000"},
    ]
    funds = payloads.funds_of(rows)
    assert (funds.wallet, funds.available, funds.margin) == (D(1000), D("700.5"), D("279.5"))
    assert funds.others == (Collateral("USDF", D("120.5")),)


def test_a_recorded_flat_symbol_is_no_position_but_tells_how_it_is_set(live):
    rows = live["positionRisk_flat"]
    assert payloads.held_in(rows) == ()
    (flat,) = payloads.holdings_of(rows)
    assert (flat.symbol, flat.leverage, flat.isolated, flat.one_way, flat.position) == (
        "BTCUSDT", 20, False, True, None,
    )  # fmt: skip


def test_a_position_is_told_with_what_was_put_aside_for_it():
    (held,) = payloads.held_in([POSITION, POSITION | {"symbol": "ETHUSDT", "positionAmt": "0.000"}])
    position = held.position
    assert (position.side, position.quantity, position.leverage) == (Side.LONG, D("0.38"), 5)
    assert (position.margin, position.unrealised, position.liquidation_price) == (
        D("9.7591"), D("-1.4839"), D("101.2"),
    )  # fmt: skip
    (documented,) = payloads.held_in(without(POSITION, "isolatedWallet"))
    assert documented.position.margin == D("9.7591"), "isolatedMargin has the unrealised profit in it"


def test_margin_of_a_cross_position_is_that_of_the_recorded_account(shared_data):
    account = json.loads((shared_data / "exchange/aster/live/account_2025-12.json").read_text())
    told = next(one for one in account["positions"] if one["symbol"] == "SOLUSDT")
    mark = D(told["notional"]) / D(told["positionAmt"])
    row = POSITION | {"marginType": "cross", "markPrice": str(mark), "liquidationPrice": "0"}
    (held,) = payloads.held_in([row])
    assert held.position.margin == D(told["initialMargin"]) == D("9.46238")
    assert held.position.unrealised == D(told["unrealizedProfit"])
    assert held.position.liquidation_price is None


def test_a_short_is_told_by_the_sign_and_hedge_mode_by_the_side():
    (held,) = payloads.held_in([POSITION | {"positionAmt": "-10.000", "positionSide": "SHORT"}])
    assert (held.position.side, held.position.quantity, held.one_way) == (Side.SHORT, D(10), False)


def test_averages_have_as_many_digits_as_a_division_leaves():
    """Two fills at two prices: one such position must not make the whole account unreadable."""
    told = {
        "entryPrice": "109234.56666666666667",
        "markPrice": "109234.12345678905",
        "liquidationPrice": "1.0000000000000003",
    }
    (held,) = payloads.held_in([POSITION | told])
    position = held.position
    assert (position.entry_price, position.mark_price) == (D("109234.566666667"), D("109234.123456789"))
    assert position.liquidation_price == 1
    assert payloads.order_of(ORDER | {"avgPrice": "109234.56666666666667"}).average_price == D("109234.566666667")


@pytest.mark.parametrize("told", ["0", "-3.25", "0.000000000001", "1e15"])
def test_a_liquidation_where_no_price_goes_is_none(told):
    (held,) = payloads.held_in([POSITION | {"liquidationPrice": told}])
    assert held.position.liquidation_price is None


def test_a_broken_position_is_never_left_out():
    for change in (
        {"positionAmt": "?"},
        {"entryPrice": "0"},
        {"markPrice": "x"},
        {"leverage": "0"},
        {"liquidationPrice": "?"},
    ):
        with pytest.raises(VenueDown, match="SOLUSDT"):
            payloads.held_in([POSITION, POSITION | change])


# What happened


def test_a_fee_was_paid_whatever_its_sign(documented):
    (row,) = documented("GET /fapi/v3/userTrades")
    trade = payloads.trade_of(row, "vx1")
    assert (trade.fee, trade.fee_asset, trade.realised) == (D("0.0781901"), "USDT", D("-0.91539999"))
    assert (trade.trade_id, trade.exchange_id, trade.client_order_id) == ("698759", "25851813", "vx1")
    assert payloads.trade_of(row | {"commission": "0.0781901", "commissionAsset": "ASTER"}).fee_asset == "ASTER"


def test_a_recorded_payment_is_funding(live):
    line = payloads.income_of(live["income_funding"][0])
    assert (line.kind, line.amount, line.symbol, line.trade_id) == (
        IncomeKind.FUNDING_FEE, D("0.00134317"), "ETHUSDT", "",
    )  # fmt: skip
    assert (line.transaction_id, line.at) == ("4480321991774044580", from_ms(1621584000000))


def test_two_kinds_may_share_a_transaction_number(documented):
    moved, fee = (payloads.income_of(row) for row in documented("GET /fapi/v3/income"))
    assert (moved.kind, moved.symbol, fee.kind, fee.trade_id) == (
        IncomeKind.TRANSFER, "", IncomeKind.COMMISSION, "2059192",
    )  # fmt: skip
    assert moved.transaction_id == fee.transaction_id


@pytest.mark.parametrize(
    ("told", "kind", "number"),
    [
        ("REALIZED_PNL", IncomeKind.REALIZED_PNL, "7"),
        ("INSURANCE_CLEAR", IncomeKind.INSURANCE_CLEAR, "7"),
        ("WELCOME_BONUS", IncomeKind.TRANSFER, "WELCOME_BONUS:7"),
        ("MARKET_MERCHANT_RETURN_REWARD", IncomeKind.OTHER, "MARKET_MERCHANT_RETURN_REWARD:7"),
        ("SOMETHING_NEW", IncomeKind.OTHER, "SOMETHING_NEW:7"),
    ],
)
def test_every_kind_of_payment_is_kept_and_a_bonus_is_no_profit(told, kind, number):
    row = {"symbol": "", "incomeType": told, "income": "1", "asset": "USDT", "time": 1, "tranId": 7, "tradeId": ""}
    line = payloads.income_of(row)
    assert (line.kind, line.transaction_id, line.amount) == (kind, number, D(1))


@pytest.mark.parametrize("name", ["time", "income", "tranId", "incomeType"])
def test_a_payment_that_lacks_something_is_not_guessed(documented, name):
    with pytest.raises(VenueDown, match=name):
        payloads.income_of(without(documented("GET /fapi/v3/income")[1], name))


# Settings and terms


def test_modes_and_leverage_are_read_as_documented(documented, live):
    assert payloads.hedge_of(documented("GET /fapi/v3/positionSide/dual"))
    assert payloads.multi_asset_of(documented("GET /fapi/v3/multiAssetsMargin"))
    assert not payloads.hedge_of({"dualSidePosition": "false"})
    assert payloads.leverage_of(live["setLeverage"]) == payloads.leverage_of({"leverage": "21"}) == 21
    for read in (payloads.hedge_of, payloads.multi_asset_of, payloads.leverage_of):
        with pytest.raises(VenueDown):
            read({})


def test_recorded_fees_are_fractions(live):
    assert terms.fees_of(live["commissionRate"], "BTCUSDT") == (D("0.0001"), D("0.00035"))
    with pytest.raises(VenueDown, match="takerCommissionRate"):
        terms.fees_of(live["commissionRate"] | {"takerCommissionRate": "4"}, "BTCUSDT")
    with pytest.raises(VenueDown, match="ETHUSDT"):
        terms.fees_of(live["commissionRate"], "ETHUSDT")


def test_brackets_come_in_a_list_or_not_and_in_any_order(documented):
    listed = documented("GET /fapi/v3/leverageBracket")
    expected = (Bracket(D(0), D(10000), 75, D("0.0065"), D(0)),)
    assert terms.brackets_of(listed, "ETHUSDT") == terms.brackets_of(listed[0], "ETHUSDT") == expected
    more = {"bracket": 2, "initialLeverage": 50, "notionalCap": 9223372036854775807, "notionalFloor": 10000,
            "maintMarginRatio": "0.01", "cum": 35}  # fmt: skip
    brackets = terms.brackets_of({"symbol": "ETHUSDT", "brackets": [more, *listed[0]["brackets"]]}, "ETHUSDT")
    assert [one.max_leverage for one in brackets] == [75, 50]


@pytest.mark.parametrize(
    "change", [{"notionalFloor": 5}, {"notionalCap": 0}, {"maintMarginRatio": 1}, {"initialLeverage": 0}, {"cum": "x"}]
)
def test_brackets_with_a_hole_or_without_sense_are_not_taken(documented, change):
    (row,) = documented("GET /fapi/v3/leverageBracket")
    with pytest.raises(VenueDown, match="leverageBracket"):
        terms.brackets_of(row | {"brackets": [row["brackets"][0] | change]}, "ETHUSDT")
