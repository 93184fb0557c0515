"""What the test exchange says of an account: balances, positions, settings, history. Its money ties out."""

import json
import random
from decimal import Decimal

import pytest

from trading.exchange_server.accounts import CROSSED, ISOLATED
from trading.tests.exchange_kit import shape
from trading.tests.signed_kit import exchange_with, newcomer, total

pytestmark = pytest.mark.ci

D = Decimal
HOUR = 3_600
WEEK_MS = 7 * 86_400_000


@pytest.fixture(scope="module")
def exchange():
    with exchange_with() as served:
        yield served


@pytest.fixture
def trader(exchange):
    return newcomer(exchange)


def isolated(trader, symbol="BTCUSDT", leverage=10):
    trader.told("POST", "marginType", symbol=symbol, marginType=ISOLATED)
    trader.told("POST", "leverage", symbol=symbol, leverage=leverage)
    return trader


def risk(trader, symbol="BTCUSDT"):
    (row,) = trader.told("GET", "positionRisk", symbol=symbol)
    return row


def usdt(trader):
    return next(row for row in trader.told("GET", "balance") if row["asset"] == "USDT")


NAMES = {
    "POST /fapi/v3/order": {"activatePrice", "priceRate"},
    "GET /fapi/v3/order": {"activatePrice", "priceRate"},
    "DELETE /fapi/v3/order": {"activatePrice", "priceRate"},
}
"""Fields of the documents' examples that only trailing stops have."""


@pytest.mark.parametrize(
    ("method", "name", "given"),
    [
        ("POST", "order", {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}),
        ("GET", "order", {"symbol": "BTCUSDT", "origClientOrderId": "waits"}),
        ("DELETE", "order", {"symbol": "BTCUSDT", "origClientOrderId": "waits"}),
        ("DELETE", "allOpenOrders", {"symbol": "BTCUSDT"}),
        ("POST", "countdownCancelAll", {"symbol": "BTCUSDT", "countdownTime": 100_000}),
        ("POST", "leverage", {"symbol": "ETHUSDT", "leverage": 21}),
        ("POST", "marginType", {"symbol": "ETHUSDT", "marginType": "ISOLATED"}),
        ("GET", "positionSide/dual", {}),
        ("GET", "multiAssetsMargin", {}),
        ("GET", "userTrades", {"symbol": "BTCUSDT"}),
        ("GET", "income", {}),
        ("GET", "leverageBracket", {"symbol": "ETHUSDT"}),
        ("GET", "commissionRate", {"symbol": "ETHUSDT"}),
        ("GET", "positionRisk", {}),
        ("POST", "noop", {}),
        ("POST", "listenKey", {}),
    ],
)
def test_answers_have_the_fields_and_types_of_the_documents(trader, shared_data, method, name, given):
    trader.buy("0.1")
    trader.told(
        "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.01",
        price="40000", newClientOrderId="waits",
    )  # fmt: skip
    examples = json.loads((shared_data / "exchange" / "aster" / "docs_v3_examples.json").read_text())
    endpoint = f"{method} /fapi/v3/{name}"
    wanted = next(one["json"] for one in examples if one["endpoint"] == endpoint and "json" in one)
    if isinstance(wanted, list) and name == "leverageBracket":
        wanted = wanted[0]
    found, wanted = shape(trader.told(method, name, **given)), shape(wanted)
    found, wanted = (one[0] if isinstance(one, list) else one for one in (found, wanted))
    for field in wanted.keys() - NAMES.get(endpoint, set()):
        assert found[field] == wanted[field] or name == "leverageBracket", field


def test_brackets_are_a_list_or_an_object(trader):
    assert shape(trader.told("GET", "leverageBracket", symbol="BTCUSDT"))["brackets"][0] == {
        "bracket": "int", "initialLeverage": "int", "notionalCap": "int", "notionalFloor": "int",
        "maintMarginRatio": "float", "cum": "float",
    }  # fmt: skip
    assert [row["symbol"] for row in trader.told("GET", "leverageBracket")] == ["BTCUSDT", "ETHUSDT"]
    one = trader.told("GET", "leverageBracket", symbol="BTCUSDT")
    assert trader.told("GET", "leverageBrackets", symbol="BTCUSDT") == [one], "the newer name: always a list"
    assert trader.told("GET", "leverageBrackets") == trader.told("GET", "leverageBracket")


def test_a_flat_account(trader):
    assert usdt(trader)["balance"] == usdt(trader)["availableBalance"] == "10000.00000000"
    assert len(trader.told("GET", "balance")) > 1  # assets with nothing in them are listed as well
    rows = trader.told("GET", "positionRisk")
    assert [(row["symbol"], row["positionAmt"], row["entryPrice"]) for row in rows] == [
        ("BTCUSDT", "0.000", "0.0"),
        ("ETHUSDT", "0.000", "0.0"),
    ]
    assert (rows[0]["leverage"], rows[0]["marginType"], rows[0]["positionSide"]) == ("20", "cross", "BOTH")


def test_an_isolated_position_by_hand(trader):
    """0.1 BTC bought at 50005 with leverage 10: margin 500.05, fee 5000.5 × 0.0004, mark 50000."""
    isolated(trader).buy("0.1")
    row = risk(trader)
    assert (row["positionAmt"], row["entryPrice"], row["markPrice"]) == ("0.100", "50005", "50000.00000000")
    assert (row["unRealizedProfit"], row["isolatedWallet"], row["isolatedMargin"]) == (
        "-0.50000000",
        "500.05000000",
        "499.55000000",
    )
    assert (row["notional"], row["leverage"], row["marginType"]) == ("5000.00000000", "10", "isolated")
    # (500.05 + 0 − 0.1 × 50005) ÷ (0.1 × 0.005 − 0.1): aster.md 5.5
    assert D(row["liquidationPrice"]) == D("45230.653266332")
    balance = usdt(trader)
    assert balance["balance"] == "9997.99980000"
    assert balance["crossWalletBalance"] == balance["availableBalance"] == "9497.94980000"


def test_a_cross_position_by_hand(trader):
    """1 BTC sold at 49995 with leverage 20: initial margin 50000 ÷ 20 at the mark."""
    trader.sell("1")
    row, account = risk(trader), trader.told("GET", "accountWithJoinMargin")
    assert (row["positionAmt"], row["unRealizedProfit"], row["marginType"]) == ("-1.000", "-5.00000000", "cross")
    assert (row["isolatedWallet"], row["isolatedMargin"]) == ("0", "0.00000000")
    fee = D("49995") * D("0.0004")
    assert D(account["totalWalletBalance"]) == 10_000 - fee
    assert D(account["totalInitialMargin"]) == D(2_500)
    assert D(account["totalMaintMargin"]) == D(250)
    assert D(account["totalMarginBalance"]) == 10_000 - fee - 5
    assert D(account["availableBalance"]) == 10_000 - fee - 5 - 2_500
    assert account["assets"][0]["availableBalance"] == account["availableBalance"]
    held = next(one for one in account["positions"] if one["symbol"] == "BTCUSDT")
    assert (held["positionAmt"], held["isolated"], held["leverage"]) == ("-1.000", False, "20")
    assert trader.told("GET", "account") == account


def test_a_resting_entry_takes_from_what_is_available(trader):
    trader.told(
        "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price="40000"
    )  # fmt: skip
    account = trader.told("GET", "accountWithJoinMargin")
    assert D(account["totalOpenOrderInitialMargin"]) == 200 + D("1.6")
    assert D(account["availableBalance"]) == 10_000 - D("201.6")
    assert account["totalPositionInitialMargin"] == "0.00000000"


@pytest.mark.parametrize(("leverage", "code"), [(1, None), (100, None), (0, -4028), (101, -4028), (126, -4028)])
def test_leverage_lies_within_the_brackets(trader, leverage, code):
    answer = trader.post("leverage", symbol="BTCUSDT", leverage=leverage)
    assert answer.body.get("code") == code
    if code is None:
        assert answer.body["leverage"] == leverage
        assert risk(trader)["leverage"] == str(leverage)


def test_leverage_does_not_change_under_a_position(trader):
    isolated(trader, leverage=10).buy("0.1")
    assert trader.code("POST", "leverage", symbol="BTCUSDT", leverage=5) == -4161
    assert trader.code("POST", "leverage", symbol="BTCUSDT", leverage=11) == -2030
    assert trader.told("POST", "leverage", symbol="BTCUSDT", leverage=10)["leverage"] == 10
    assert trader.code("POST", "leverage", symbol="BTCUSDT") == -1102


def test_the_margin_type_changes_only_while_nothing_is_there(trader):
    assert trader.code("POST", "marginType", symbol="BTCUSDT", marginType=CROSSED) == -4046
    assert trader.code("POST", "marginType", symbol="BTCUSDT", marginType="SHARED") == -1130
    trader.told(
        "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price="40000"
    )  # fmt: skip
    assert trader.code("POST", "marginType", symbol="BTCUSDT", marginType=ISOLATED) == -4047
    trader.told("DELETE", "allOpenOrders", symbol="BTCUSDT")
    trader.buy("0.1")
    assert trader.code("POST", "marginType", symbol="BTCUSDT", marginType=ISOLATED) == -4048
    trader.sell("0.1")
    assert trader.told("POST", "marginType", symbol="BTCUSDT", marginType=ISOLATED) == {"code": 200, "msg": "success"}
    assert risk(trader)["marginType"] == "isolated"
    assert risk(trader, "ETHUSDT")["marginType"] == "cross"


def test_both_margin_types_at_once_are_not_to_be_had_here(trader):
    isolated(trader).buy("0.1")
    order = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "1"}
    assert trader.code("POST", "order", **order) == -4084
    trader.sell("0.1")
    assert trader.told("POST", "order", **order)["status"] == "NEW"
    assert risk(trader, "ETHUSDT")["positionAmt"] == "1.000"


def test_margin_is_added_to_an_isolated_position_and_taken_away(trader):
    def change(amount, kind):
        return trader.post("positionMargin", symbol="BTCUSDT", amount=amount, type=kind).body

    assert change("10", 1)["code"] == -4049
    isolated(trader)
    assert change("10", 1)["code"] == -4054
    trader.buy("0.1")
    assert change("0", 1)["code"] == -4055
    assert change("100000", 1)["code"] == -4050
    assert change("100", 1) == {
        "amount": 100.0, "code": 200, "msg": "Successfully modify position margin.", "type": 1,
    }  # fmt: skip
    assert risk(trader)["isolatedWallet"] == "600.05000000"
    assert change("101", 2)["code"] == -4051
    assert change("99", 2)["code"] == 200
    assert risk(trader)["isolatedWallet"] == "501.05000000"
    history = trader.told("GET", "positionMargin/history", symbol="BTCUSDT")
    assert [(row["amount"], row["type"]) for row in history] == [("100", 1), ("99", 2)]
    assert usdt(trader)["balance"] == "9997.99980000"


def test_hedge_mode_can_be_switched_on_and_then_nothing_can_be_ordered(trader):
    assert trader.told("GET", "positionSide/dual") == {"dualSidePosition": False}
    assert trader.code("POST", "positionSide/dual", dualSidePosition="false") == -4059
    trader.buy("0.1")
    assert trader.code("POST", "positionSide/dual", dualSidePosition="true") == -4068
    trader.told(
        "POST", "order", symbol="BTCUSDT", side="BUY", type="LIMIT", timeInForce="GTC", quantity="0.1", price="40000"
    )  # fmt: skip
    assert trader.code("POST", "positionSide/dual", dualSidePosition="true") == -4067
    trader.told("DELETE", "allOpenOrders", symbol="BTCUSDT")
    trader.sell("0.1")
    trader.told("POST", "positionSide/dual", dualSidePosition="True")
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
    assert trader.code("POST", "order", **order) == -4061
    assert trader.code("POST", "order", **order, positionSide="LONG", reduceOnly="true") == -1106
    assert trader.code("POST", "order", **order, positionSide="LONG") == -1014
    sides = [row["positionSide"] for row in trader.told("GET", "positionRisk", symbol="BTCUSDT")]
    assert sides == ["LONG", "SHORT"]


def test_multi_assets_mode_and_isolated_margin_exclude_each_other(trader):
    trader.told("POST", "multiAssetsMargin", multiAssetsMargin="true")
    assert trader.told("GET", "multiAssetsMargin") == {"multiAssetsMargin": True}
    assert trader.code("POST", "marginType", symbol="BTCUSDT", marginType=ISOLATED) == -4168
    trader.told("POST", "multiAssetsMargin", multiAssetsMargin="false")
    isolated(trader)
    assert trader.code("POST", "multiAssetsMargin", multiAssetsMargin="true") == -4168


def test_fees_are_those_that_are_charged(exchange):
    trader = newcomer(exchange, maker_fee=D("0.0001"), taker_fee=D("0.00035"))
    assert trader.told("GET", "commissionRate", symbol="BTCUSDT") == {
        "symbol": "BTCUSDT", "makerCommissionRate": "0.000100", "takerCommissionRate": "0.000350",
    }  # fmt: skip
    trader.buy("0.1")
    (row,) = trader.told("GET", "userTrades", symbol="BTCUSDT")
    assert D(row["commission"]) == D(row["quoteQty"]) * D("0.00035")
    (fee,) = trader.told("GET", "income", incomeType="COMMISSION")
    assert D(fee["income"]) == -D(row["commission"])
    assert (fee["tradeId"], fee["asset"], fee["info"]) == (str(row["id"]), "USDT", "COMMISSION")


def test_trades_and_income_come_by_number_and_by_time(trader):
    for _ in range(3):
        trader.buy("0.01")
    now = trader.exchange.server.markets.now_ms()
    rows = trader.told("GET", "userTrades", symbol="BTCUSDT")
    numbers = [row["id"] for row in rows]
    assert numbers == sorted(numbers)
    ids = [row["id"] for row in trader.told("GET", "userTrades", symbol="BTCUSDT", fromId=numbers[1])]
    assert ids == numbers[1:]
    assert len(trader.told("GET", "userTrades", symbol="BTCUSDT", limit=1)) == 1
    assert trader.told("GET", "userTrades", symbol="ETHUSDT") == []
    assert trader.code("GET", "userTrades") == -1102
    assert trader.code("GET", "userTrades", symbol="BTCUSDT", startTime=now - WEEK_MS - 1, endTime=now) == -4165
    assert len(trader.told("GET", "income")) == 4
    assert len(trader.told("GET", "income", incomeType="TRANSFER", startTime=now, endTime=now)) == 1
    assert trader.told("GET", "income", startTime=now + 1) == []
    assert len({row["tranId"] for row in trader.told("GET", "income")}) == 4


def test_brackets_can_be_changed_and_hold_at_once(exchange):
    with exchange_with(("BTCUSDT",)) as served:
        trader = newcomer(served)
        row = {"notionalFloor": 0, "notionalCap": 1000, "initialLeverage": 5, "maintMarginRatio": 0.01, "cum": 0}
        served.control.command("brackets", {"symbol": "BTCUSDT", "brackets": [row]})
        assert trader.code("POST", "leverage", symbol="BTCUSDT", leverage=6) == -4028
        trader.told("POST", "leverage", symbol="BTCUSDT", leverage=5)
        order = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET"}
        assert trader.code("POST", "order", **order, quantity="0.021") == -2027
        assert trader.told("POST", "order", **order, quantity="0.02")["status"] == "NEW"
        assert trader.told("GET", "leverageBracket", symbol="BTCUSDT")["brackets"][0]["notionalCap"] == 1000


def test_what_is_never_to_be_asked_is_remembered(trader):
    assert trader.told("GET", "builder") == []
    trader.told("POST", "approveBuilder", builder="0xabc", maxFeeRate="0.001")
    assert trader.told("GET", "builder")[0]["builder"] == "0xabc"
    assert any(entry["path"].endswith("/approveBuilder") for entry in trader.exchange.control.log())


def test_a_listen_key_lives_until_it_is_closed(trader):
    assert trader.code("PUT", "listenKey") == -1125
    key = trader.told("POST", "listenKey")["listenKey"]
    assert trader.told("POST", "listenKey")["listenKey"] == key
    assert trader.told("PUT", "listenKey") == {}
    assert trader.told("DELETE", "listenKey") == {}
    assert trader.code("DELETE", "listenKey") == -1125
    assert trader.told("POST", "listenKey")["listenKey"] != key


def test_a_deposit_shows_in_balance_and_income(trader):
    trader.exchange.control.deposit(trader.user, "250.5")
    trader.exchange.control.deposit(trader.user, -100)
    assert usdt(trader)["balance"] == "10150.50000000"
    rows = trader.told("GET", "income", incomeType="TRANSFER")
    assert [row["income"] for row in rows] == ["10000.00000000", "250.50000000", "-100.00000000"]


@pytest.mark.parametrize("margin_type", [CROSSED, ISOLATED])
def test_funding_is_paid_on_the_hour_of_the_symbol(margin_type):
    with exchange_with(("BTCUSDT",)) as exchange:
        trader = newcomer(exchange, margin_type=margin_type, leverage=2)
        trader.buy("0.1")
        exchange.control.clock(at="2025-10-10T15:59:59")
        assert trader.told("GET", "income", incomeType="FUNDING_FEE") == []
        exchange.control.step(1)
        (row,) = trader.told("GET", "income", incomeType="FUNDING_FEE")
        at = exchange.server.markets.now_ms()
        (settled,) = exchange.server.markets.settlements("BTCUSDT", since_ms=at - 1, until_ms=at)
        mark = D(str(exchange.server.markets.prices("BTCUSDT", at).mark))
        assert row["time"] == at
        assert D(row["income"]) == (-D("0.1") * mark * settled.rate).quantize(D("1e-8"))


@pytest.mark.parametrize("margin_type", [CROSSED, ISOLATED])
def test_a_liquidation_cancels_closes_and_ties_out(margin_type):
    with exchange_with(("BTCUSDT",)) as exchange:
        trader = newcomer(exchange, margin_type=margin_type, leverage=20, deposit=D(600))
        trader.buy("0.2")
        trader.told(
            "POST", "order", symbol="BTCUSDT", side="SELL", type="STOP_MARKET", stopPrice="30000",
            closePosition="true", workingType="MARK_PRICE",
        )  # fmt: skip
        price = D(risk(trader)["liquidationPrice"])
        exchange.control.set_price("BTCUSDT", last=float(price) + 10, mark=float(price) + 1)
        assert trader.truth().state.positions
        exchange.control.set_price("BTCUSDT", mark=float(price) - 1)
        truth = trader.truth()
        assert truth.state.positions == ()
        assert truth.working() == []
        (forced,) = trader.told("GET", "forceOrders")
        assert forced["clientOrderId"].startswith("autoclose-")
        assert (forced["status"], forced["side"], forced["executedQty"]) == ("FILLED", "SELL", "0.2")
        kinds = {row["incomeType"] for row in trader.told("GET", "income")}
        assert kinds == {"TRANSFER", "COMMISSION", "REALIZED_PNL", "INSURANCE_CLEAR"}
        assert total(truth) == truth.state.wallet >= 0


def test_what_happened_while_nobody_looked_happened_as_the_candles_say():
    with exchange_with(("BTCUSDT",)) as exchange:
        trader = newcomer(exchange, leverage=2)
        trader.buy("0.1")
        trader.told(
            "POST", "order", symbol="BTCUSDT", side="SELL", type="LIMIT", timeInForce="GTC", quantity="0.1",
            price="50100", newClientOrderId="aim", reduceOnly="true",
        )  # fmt: skip
        before = exchange.server.markets.now_ms()
        exchange.control.step(12 * HOUR)
        bars = exchange.control.closed("BTCUSDT", "1m", since_ms=before)
        touched = [int(at) for at, high in zip(bars.open_time, bars.high, strict=True) if high > 50_100]
        order = trader.told("GET", "order", symbol="BTCUSDT", origClientOrderId="aim")
        assert (order["status"] == "FILLED") == bool(touched)
        if touched:
            assert before < order["updateTime"] <= touched[0] + 60_000


@pytest.mark.parametrize("seed", range(6))
def test_the_money_ties_out_whatever_happens(seed):
    chance = random.Random(seed)
    margin_type = chance.choice([CROSSED, ISOLATED])
    with exchange_with() as exchange:
        trader = newcomer(exchange, margin_type=margin_type, leverage=chance.choice([3, 20, 50]), deposit=D(2_000))
        for _ in range(60):
            _something(chance, trader)
            truth = trader.truth()
            assert total(truth) == truth.state.wallet >= 0
            assert {one.client_order_id for one in truth.working()} == {
                row["clientOrderId"] for row in trader.told("GET", "openOrders")
            }
        _ties_out(trader)


def _something(chance, trader):
    symbol = chance.choice(["BTCUSDT", "ETHUSDT"])
    price = D(trader.told("GET", "positionRisk", symbol=symbol)[0]["markPrice"])
    away = (price * D(str(chance.uniform(0.97, 1.03)))).quantize(D("0.1"))
    side, quantity = chance.choice(["BUY", "SELL"]), str(chance.choice([D("0.01"), D("0.1"), D("0.3")]))
    order = {"symbol": symbol, "side": side, "quantity": quantity}
    match chance.randrange(8):
        case 0 | 1:
            trader.post("order", **order, type="MARKET")
        case 2:
            trader.post("order", **order, type="LIMIT", timeInForce=chance.choice(["GTC", "IOC", "GTX"]), price=away)
        case 3:
            del order["quantity"]
            kind = chance.choice(["STOP_MARKET", "TAKE_PROFIT_MARKET"])
            trader.post(
                "order", **order, type=kind, stopPrice=away, closePosition="true", workingType="MARK_PRICE"
            )  # fmt: skip
        case 4:
            trader.post("order", **order, type="MARKET", reduceOnly="true")
        case 5:
            move = chance.choice([0.9, 0.98, 1.02, 1.1])
            trader.exchange.control.set_price(symbol, last=float(price) * move)
        case 6:
            trader.exchange.control.step(chance.choice([1, 60, 3 * HOUR]))
        case 7:
            if trader.truth().state.available > 200:
                trader.exchange.control.deposit(trader.user, chance.choice([100, -50]))


def _ties_out(trader):
    """Compare what REST says with itself: income with the wallet, trades with the positions, fees with the income."""
    now = trader.exchange.server.markets.now_ms()
    start = now - WEEK_MS + 1
    rows = trader.told("GET", "income", startTime=start, limit=1000)
    assert sum(D(row["income"]) for row in rows) == D(usdt(trader)["balance"])
    fees = D(0)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        trades = trader.told("GET", "userTrades", symbol=symbol, startTime=start, limit=1000)
        bought = sum((D(row["qty"]) * (1 if row["buyer"] else -1) for row in trades), D(0))
        assert bought == D(risk(trader, symbol)["positionAmt"])
        profit = sum((D(row["realizedPnl"]) for row in trades), D(0))
        booked = [row for row in rows if row["symbol"] == symbol and row["incomeType"] == "REALIZED_PNL"]
        assert profit == sum((D(row["income"]) for row in booked), D(0))
        fees += sum((D(row["commission"]) for row in trades), D(0))
    assert fees == -sum(D(row["income"]) for row in rows if row["incomeType"] == "COMMISSION")
