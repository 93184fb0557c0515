"""Every kind of order at the test exchange, fills in part, and what others do to an account: in rows and in events."""

from decimal import Decimal as D

import httpx2
import pytest

from trading.exchange_server.answers import Refusal
from trading.exchange_server.binance import binance_in_thread
from trading.exchange_server.build import simulated_markets
from trading.tests.exchange_kit import START, heard_all, listening, run, told
from trading.tests.signed_kit import exchange_with, newcomer
from vibex.lib.errors import Rejected

ETH = {"symbol": "ETHUSDT"}
LIMIT = ETH | {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.5", "price": "3001"}
TRAILING = ETH | {
    "side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.2", "callbackRate": "1", "reduceOnly": "true",
    "workingType": "MARK_PRICE",
}  # fmt: skip


@pytest.fixture
def exchange():
    """Give each test an exchange of its own: an order that another one left would take from its ladder."""
    with exchange_with() as served:
        yield served


def events_of(exchange, work, **account):
    """Return the trader, and its events while `work(trader)` was done: what happened, and to what."""
    trader = newcomer(exchange, **account)
    key = trader.told("POST", "listenKey")["listenKey"]

    async def scenario():
        async with listening(exchange, f"/ws/{key}") as socket:
            await heard_all(socket)
            work(trader)
            exchange.control.step(0)
            return await heard_all(socket)

    return trader, [event["o"] for event in run(scenario()) if event["e"] == "ORDER_TRADE_UPDATE"]


def brief(events):
    return [(one["x"], one["X"], one["l"], one["z"]) for one in events]


# -- fills in part -----------------------------------------------------------------------------------------------------


def test_a_limit_is_filled_in_part_and_rests_then_is_served_then_cancelled(exchange):
    def work(trader):
        exchange.control.set_depth("ETHUSDT", asks=[["3001", "0.3"]])
        row = trader.told("POST", "order", **LIMIT, newOrderRespType="RESULT")
        assert (row["status"], row["executedQty"], row["avgPrice"]) == ("PARTIALLY_FILLED", "0.3", "3001")
        exchange.control.set_price("ETHUSDT", mark=2990)  # nothing comes to it by itself
        exchange.control.set_depth("ETHUSDT", asks=[["3000.5", "0.1"]])
        gone = trader.told("DELETE", "order", **ETH, orderId=row["orderId"])
        assert (gone["status"], gone["executedQty"], gone["origQty"]) == ("CANCELED", "0.4", "0.5")

    trader, events = events_of(exchange, work)
    assert brief(events) == [
        ("NEW", "NEW", "0", "0"),
        ("TRADE", "PARTIALLY_FILLED", "0.3", "0.3"),
        ("TRADE", "PARTIALLY_FILLED", "0.1", "0.4"),
        ("CANCELED", "CANCELED", "0", "0.4"),
    ]
    rows = trader.told("GET", "userTrades", **ETH)
    assert [(row["price"], row["qty"], row["maker"]) for row in rows] == [
        ("3001", "0.3", False), ("3001", "0.1", True),
    ]  # fmt: skip
    assert trader.told("GET", "positionRisk", **ETH)[0]["positionAmt"] == "0.400"


@pytest.mark.parametrize(
    ("order", "status", "filled"),
    [
        ({"timeInForce": "IOC"}, "EXPIRED", "0.3"),
        ({"timeInForce": "FOK"}, "EXPIRED", "0"),
        ({"timeInForce": "FOK", "quantity": "0.3"}, "FILLED", "0.3"),
        ({"timeInForce": "GTX"}, "EXPIRED", "0"),
    ],
)
def test_times_in_force_on_a_ladder(exchange, order, status, filled):
    exchange.control.set_depth("ETHUSDT", asks=[["3001", "0.3"], ["3050", "5"]])
    row = newcomer(exchange).told("POST", "order", **LIMIT | order, newOrderRespType="RESULT")
    assert (row["status"], row["executedQty"], row["timeInForce"]) == (status, filled, order["timeInForce"])


def test_a_market_order_walks_the_ladder_up_to_the_bound_and_its_rest_expires(exchange):
    exchange.control.set_depth("ETHUSDT", asks=[["3001", "0.1"], ["3100", "0.1"], ["3151", "5"]])

    def work(trader):
        row = trader.buy("0.5", "ETHUSDT")
        assert (row["status"], row["executedQty"], row["avgPrice"]) == ("EXPIRED", "0.2", "3050.5")
        assert trader.code("POST", "order", **ETH, side="BUY", type="MARKET", quantity="0.1") == -4131

    _, events = events_of(exchange, work)
    assert [one["x"] for one in events] == ["NEW", "TRADE", "TRADE", "EXPIRED"]


def test_a_ladder_is_what_everybody_sees_and_one_account_takes_it_from_the_other(exchange):
    exchange.control.set_depth("ETHUSDT", bids=[["2999", "1"]], asks=[["3002", "0.3"], ["3001", "0.2"]])
    assert told(exchange, "depth", **ETH, limit=5)["asks"] == [["3001.000", "0.200"], ["3002.000", "0.300"]]
    assert told(exchange, "ticker/bookTicker", **ETH)["askPrice"] == "3001.000"
    first, second = newcomer(exchange), newcomer(exchange)
    assert first.buy("0.4", "ETHUSDT")["status"] == "FILLED"
    assert second.buy("0.4", "ETHUSDT")["executedQty"] == "0.1"
    assert told(exchange, "depth", **ETH, limit=5)["asks"] == []
    exchange.control.set_depth("ETHUSDT")
    assert second.buy("0.4", "ETHUSDT")["status"] == "FILLED"


def test_a_stop_for_everything_is_filled_as_far_as_the_ladder_goes(exchange):
    trader = newcomer(exchange)
    trader.buy("0.5", "ETHUSDT")
    trader.told("POST", "order", **ETH, side="SELL", type="STOP_MARKET", stopPrice="2900", closePosition="true",
                workingType="MARK_PRICE", newClientOrderId="stop")  # fmt: skip
    exchange.control.set_depth("ETHUSDT", bids=[["2890", "0.3"]])
    exchange.control.set_price("ETHUSDT", last=2899, mark=2899)
    row = trader.told("GET", "order", **ETH, origClientOrderId="stop")
    assert (row["status"], row["executedQty"], row["type"]) == ("EXPIRED", "0.3", "MARKET")
    assert trader.told("GET", "positionRisk", **ETH)[0]["positionAmt"] == "0.200"


def test_an_amendment_keeps_what_was_filled_and_one_to_less_than_that_cancels(exchange):
    exchange.control.set_depth("ETHUSDT", asks=[["3001", "0.3"]])

    def work(trader):
        number = trader.told("POST", "order", **LIMIT)["orderId"]
        row = trader.told("PUT", "order", **ETH, orderId=number, quantity="0.6", price="2995")
        assert (row["status"], row["executedQty"], row["origQty"]) == ("PARTIALLY_FILLED", "0.3", "0.6")
        row = trader.told("PUT", "order", **ETH, orderId=number, quantity="0.3", price="2995")
        assert (row["orderId"], row["status"], row["executedQty"]) == (number, "CANCELED", "0.3")

    _, events = events_of(exchange, work)
    assert brief(events)[2:] == [
        ("AMENDMENT", "PARTIALLY_FILLED", "0", "0.3"), ("CANCELED", "CANCELED", "0", "0.3"),
    ]  # fmt: skip


def test_what_was_filled_before_and_between_amendments_stands_under_one_number(exchange):
    trader = newcomer(exchange)
    exchange.control.set_depth("ETHUSDT", asks=[["3001", "0.1"]])
    number = trader.told("POST", "order", **LIMIT)["orderId"]
    for quantity in ("0.6", "0.4"):
        trader.told("PUT", "order", **ETH, orderId=number, quantity=quantity, price="2999")
        exchange.control.set_depth("ETHUSDT", asks=[["2999", "0.1"]])
    row = trader.told("GET", "openOrder", **ETH, orderId=number)
    assert (row["executedQty"], row["origQty"], row["status"]) == ("0.3", "0.4", "PARTIALLY_FILLED")
    assert [one["orderId"] for one in trader.told("GET", "userTrades", **ETH)] == [number] * 3
    assert trader.told("GET", "positionRisk", **ETH)[0]["positionAmt"] == "0.300"
    held = trader.truth().state
    assert held.margin == pytest.approx(held.positions[0].margin + 15, abs=D("0.2")), "0.1 at 2999, leverage 20, rests"


@pytest.mark.parametrize("levels", [[["3001"]], [["x", "1"]], [["3001", "0"]], [["-1", "1"]], 7])
def test_a_ladder_that_cannot_be_is_refused(exchange, levels):
    with pytest.raises(Rejected, match="level"):
        exchange.control.set_depth("ETHUSDT", asks=levels)
    asked = {"symbol": "ETHUSDT", "asks": levels}
    assert httpx2.post(f"{exchange.http}/_sim/depth", json=asked).status_code == 400


# -- kinds -------------------------------------------------------------------------------------------------------------


def test_a_stop_with_a_limit_price_becomes_a_limit_and_says_what_it_was(exchange):
    order = ETH | {"side": "BUY", "type": "STOP", "stopPrice": "3050", "price": "3040", "quantity": "0.2"}

    def work(trader):
        placed = trader.told("POST", "order", **order, newClientOrderId="s")
        assert (placed["type"], placed["origType"], placed["timeInForce"]) == ("STOP", "STOP", "GTC")
        exchange.control.set_price("ETHUSDT", last=3051)
        row = trader.told("GET", "openOrder", **ETH, origClientOrderId="s")
        assert (row["type"], row["origType"], row["status"], row["stopPrice"]) == ("LIMIT", "STOP", "NEW", "3050")
        exchange.control.set_price("ETHUSDT", last=3039)

    _, events = events_of(exchange, work)
    assert [(one["x"], one["o"], one["ot"]) for one in events] == [("NEW", "STOP", "STOP"), ("TRADE", "LIMIT", "STOP")]
    assert (events[1]["L"], events[1]["m"]) == ("3040", True)


def test_a_trailing_stop_follows_the_mark_and_fires_as_a_market_order(exchange):
    def work(trader):
        trader.buy("0.2", "ETHUSDT")
        placed = trader.told("POST", "order", **TRAILING, activationPrice="3100", newClientOrderId="t")
        assert (placed["activatePrice"], placed["priceRate"], placed["origType"]) == (
            "3100", "1", "TRAILING_STOP_MARKET",
        )  # fmt: skip
        exchange.control.set_price("ETHUSDT", last=2950, mark=2950)  # asleep
        exchange.control.set_price("ETHUSDT", last=3200, mark=3200)
        assert trader.told("GET", "openOrder", **ETH, origClientOrderId="t")["stopPrice"] == "3168"
        exchange.control.set_price("ETHUSDT", last=3168, mark=3168)
        row = trader.told("GET", "order", **ETH, origClientOrderId="t")
        assert (row["status"], row["type"], row["origType"]) == ("FILLED", "MARKET", "TRAILING_STOP_MARKET")

    _, events = events_of(exchange, work)
    new, fired = events[2:]
    assert (new["o"], new["AP"], new["cr"], fired["o"], fired["ot"]) == (
        "TRAILING_STOP_MARKET", "3100", "1", "MARKET", "TRAILING_STOP_MARKET",
    )  # fmt: skip


def test_without_an_activation_price_it_follows_from_the_latest_price(exchange):
    row = newcomer(exchange).told("POST", "order", **TRAILING | {"reduceOnly": "false"})
    assert (row["activatePrice"], row["stopPrice"]) == ("3000", "2970")


def test_in_a_batch_the_callback_goes_up_to_four_percent(exchange):
    import json

    orders = [TRAILING | {"reduceOnly": "false", "callbackRate": rate} for rate in ("4", "4.1")]
    answers = newcomer(exchange).told("POST", "batchOrders", batchOrders=json.dumps(orders))
    assert [one.get("code") for one in answers] == [None, -1130]


def test_a_protected_trigger_waits_until_mark_and_last_are_near_each_other(exchange):
    trader = newcomer(exchange)
    trader.buy("0.2", "ETHUSDT")
    stop = ETH | {"side": "SELL", "type": "STOP_MARKET", "stopPrice": "2900", "closePosition": "true"}
    trader.told("POST", "order", **stop, priceProtect="TRUE", newClientOrderId="p")
    exchange.control.set_price("ETHUSDT", last=2840, mark=3000)  # 5.3 % apart, and the bound is 5 %
    row = trader.told("GET", "openOrder", **ETH, origClientOrderId="p")
    assert (row["status"], row["priceProtect"]) == ("NEW", True)
    exchange.control.set_price("ETHUSDT", mark=2900)
    assert trader.told("GET", "order", **ETH, origClientOrderId="p")["status"] == "FILLED"


# -- what others do ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("switch", "prefix", "kind"), [("adl", "adl_autoclose", "ADL"), ("liquidate", "autoclose-", "LIQUIDATION")]
)
def test_the_venue_takes_a_position_when_it_is_told_to(exchange, switch, prefix, kind):
    def work(trader):
        trader.buy("0.2", "ETHUSDT")
        exchange.control.command(switch, {"user": trader.user, "symbol": "ETHUSDT"})
        with pytest.raises(Rejected, match="holds nothing"):
            exchange.control.command(switch, {"user": trader.user, "symbol": "ETHUSDT"})

    trader, events = events_of(exchange, work)
    taken = events[-1]
    assert (taken["x"], taken["X"], taken["o"], taken["S"]) == ("CALCULATED", "FILLED", "LIQUIDATION", "SELL")
    assert taken["c"].startswith(prefix)
    other = "ADL" if kind == "LIQUIDATION" else "LIQUIDATION"
    (row,) = trader.told("GET", "forceOrders", **ETH, autoCloseType=kind)
    assert (row["clientOrderId"], row["executedQty"], row["avgPrice"]) == (taken["c"], "0.2", "3000")
    assert trader.told("GET", "forceOrders", **ETH, autoCloseType=other) == []
    assert trader.code("GET", "forceOrders", **ETH, autoCloseType="NONE") == -1130
    assert trader.told("GET", "userTrades", **ETH)[-1]["orderId"] == row["orderId"]
    fees = [one["income"] for one in trader.told("GET", "income", incomeType="INSURANCE_CLEAR")]
    assert fees == ([] if kind == "ADL" else ["-15.00000000"])  # 2.5 % of 600
    assert trader.truth().state.positions == ()


def test_deleveraging_leaves_open_orders_and_a_liquidation_does_not(exchange):
    left = {}
    for switch in ("adl", "liquidate"):
        trader = newcomer(exchange)
        trader.buy("0.2", "ETHUSDT")
        trader.told("POST", "order", **ETH, side="SELL", type="STOP_MARKET", stopPrice="2900", closePosition="true")
        getattr(exchange.control, switch)(trader.user, "ETHUSDT")
        left[switch] = len(trader.told("GET", "openOrders"))
    assert left == {"adl": 1, "liquidate": 0}


def test_a_person_trades_by_hand_on_the_account(exchange):
    def work(trader):
        by_hand = exchange.control.order
        row = by_hand(trader.user, symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0.05")
        assert not row["clientOrderId"].startswith("vx")
        resting = by_hand(trader.user, **LIMIT | {"price": "2900"})
        assert by_hand(trader.user, "DELETE", symbol="ETHUSDT", orderId=resting["orderId"])["status"] == "CANCELED"
        with pytest.raises(Refusal) as refused:
            by_hand(trader.user, symbol="ETHUSDT", side="BUY", type="MARKET", quantity="0")
        assert refused.value.code == -4003
        with pytest.raises(Rejected, match="POST"):
            by_hand(trader.user, "PATCH", symbol="ETHUSDT")

    trader, events = events_of(exchange, work)
    assert [one["x"] for one in events] == ["NEW", "TRADE", "NEW", "CANCELED"]
    asked = {"user": trader.user, "symbol": "ETHUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.05"}
    assert httpx2.post(f"{exchange.http}/_sim/order", json=asked).json()["side"] == "SELL"
    refused = httpx2.post(f"{exchange.http}/_sim/order", json=asked | {"quantity": "0"})
    assert (refused.status_code, refused.json()["code"]) == (400, -4003)
    assert trader.truth().state.positions == ()


def test_the_face_of_binance_takes_the_new_kinds_through_its_own_service():
    markets = simulated_markets(["ETHUSDT"], start=START, history_days=1)
    markets.clock.stand()
    with binance_in_thread(markets, pulse=3600) as served:
        served.control.set_price("ETHUSDT", last=3000, mark=3000)
        trader = newcomer(served, 1)
        row = trader.told("POST", "algoOrder", **ETH, algoType="CONDITIONAL", side="BUY", type="STOP", quantity="0.1",
                          triggerPrice="3100", price="3110")  # fmt: skip
        assert (row["price"], row["triggerPrice"], row["algoStatus"]) == ("3110", "3100", "NEW")
