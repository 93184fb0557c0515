"""The test exchange takes and refuses orders as the venue documents it: each rule on both sides of its edge."""

import json
from decimal import Decimal

import pytest

from trading.domain.venue import VenueStatus
from trading.tests.signed_kit import exchange_with, newcomer

LIMIT = {"symbol": "ETHUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "2900"}
MARKET = {"symbol": "ETHUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.1"}
STOP = {
    "symbol": "ETHUSDT", "side": "SELL", "type": "STOP_MARKET", "stopPrice": "2900", "closePosition": "true",
    "workingType": "MARK_PRICE",
}  # fmt: skip
STOP_LIMIT = {
    "symbol": "ETHUSDT", "side": "BUY", "type": "STOP", "stopPrice": "3100", "price": "3110", "quantity": "0.1",
}  # fmt: skip
TRAILING = {"symbol": "ETHUSDT", "side": "SELL", "type": "TRAILING_STOP_MARKET", "quantity": "0.1", "callbackRate": "1"}
RULES = {
    "ETHUSDT": {
        "quantityPrecision": 4,
        "PRICE_FILTER": {"minPrice": "100"},
        "LOT_SIZE": {"minQty": "0.002"},
        "MAX_NUM_ORDERS": {"limit": 4},
        "MAX_NUM_ALGO_ORDERS": {"limit": 2},
    }
}
"""ETHUSDT at 3000: tick 0.1 with 3 decimals, step 0.001 with 4, from 0.002 to 10000, a tenth of it at market."""


@pytest.fixture(scope="module")
def exchange():
    with exchange_with(rules=RULES) as served:
        yield served


@pytest.fixture
def trader(exchange):
    exchange.control.clear()
    return newcomer(exchange)


def without(order, *names):
    return {name: value for name, value in order.items() if name not in names}


@pytest.mark.parametrize(
    ("code", "bad", "good"),
    [
        (-1121, LIMIT | {"symbol": "NOPEUSDT"}, LIMIT),
        (-1117, LIMIT | {"side": "LONG"}, LIMIT | {"side": "SELL", "price": "3100"}),
        (-1116, LIMIT | {"type": "OCO"}, LIMIT),
        (-1115, LIMIT | {"timeInForce": "NOW"}, LIMIT | {"timeInForce": "GTX"}),
        (-4031, LIMIT | {"workingType": "INDEX"}, LIMIT | {"workingType": "CONTRACT_PRICE"}),
        (-1136, LIMIT | {"newOrderRespType": "FULL"}, LIMIT | {"newOrderRespType": "ACK"}),
        (-1130, LIMIT | {"closePosition": "perhaps"}, LIMIT | {"closePosition": "FALSE"}),
        (-1102, without(LIMIT, "price"), LIMIT),
        (-1102, without(LIMIT, "quantity"), LIMIT),
        (-1102, without(LIMIT, "timeInForce"), LIMIT),
        (-1102, without(LIMIT, "side"), LIMIT),
        (-1102, without(LIMIT, "symbol"), LIMIT),
        (-1102, without(STOP, "closePosition"), STOP),
        (-1102, without(STOP, "stopPrice"), STOP),
        (-1102, LIMIT | {"price": "1e3"}, LIMIT),
        (-1106, MARKET | {"price": "2900"}, MARKET),
        (-1106, MARKET | {"timeInForce": "GTC"}, MARKET),
        (-1106, LIMIT | {"stopPrice": "2900"}, LIMIT),
        (-1106, MARKET | {"closePosition": "true"}, MARKET | {"closePosition": "false"}),
        (-1106, STOP | {"price": "2900"}, STOP),
        (-1106, STOP | {"reduceOnly": "true"}, STOP | {"reduceOnly": "false"}),
        (-4015, LIMIT | {"newClientOrderId": "x" * 37}, LIMIT | {"newClientOrderId": "x" * 36}),
        (-4015, LIMIT | {"newClientOrderId": "what is this"}, LIMIT | {"newClientOrderId": "./:_-aZ9"}),
        (-4060, LIMIT | {"positionSide": "UP"}, LIMIT | {"positionSide": "BOTH"}),
        (-4061, LIMIT | {"positionSide": "LONG"}, LIMIT),
        (-4137, STOP | {"quantity": "0.1"}, STOP),
        (-1014, LIMIT | {"timeInForce": "HIDDEN"}, LIMIT | {"timeInForce": "FOK"}),
        (-1014, LIMIT | {"timeInForce": "RPI"}, LIMIT | {"timeInForce": "IOC"}),
        (-1106, LIMIT | {"priceProtect": "true"}, STOP | {"priceProtect": "TRUE"}),
        (-1102, without(STOP_LIMIT, "price"), STOP_LIMIT),
        (-1102, without(STOP_LIMIT, "stopPrice"), STOP_LIMIT | {"timeInForce": "GTX"}),
        (-1102, without(TRAILING, "callbackRate"), TRAILING),
        (-1102, without(TRAILING, "quantity"), TRAILING | {"side": "BUY"}),
        (-1106, TRAILING | {"closePosition": "true"}, TRAILING | {"workingType": "MARK_PRICE"}),
        (-1106, TRAILING | {"stopPrice": "2900"}, TRAILING | {"activationPrice": "3000.1"}),
        (-1130, TRAILING | {"callbackRate": "0.09"}, TRAILING | {"callbackRate": "0.1"}),
        (-1130, TRAILING | {"callbackRate": "5.1"}, TRAILING | {"callbackRate": "5"}),
        (-4135, TRAILING | {"activationPrice": "0"}, TRAILING | {"activationPrice": "3100"}),
        (-4014, TRAILING | {"activationPrice": "3100.05"}, TRAILING | {"activationPrice": "3100.1"}),
        (-2021, TRAILING | {"activationPrice": "3000"}, TRAILING | {"side": "BUY", "activationPrice": "2999.9"}),
        (-2021, STOP_LIMIT | {"stopPrice": "3000"}, STOP_LIMIT | {"stopPrice": "3000.1"}),
        (-1111, LIMIT | {"price": "2900.0001"}, LIMIT | {"price": "2900.000"}),
        (-1111, LIMIT | {"quantity": "0.10001"}, LIMIT | {"quantity": "0.10000"}),
        (-4014, LIMIT | {"price": "2900.05"}, LIMIT | {"price": "2900.1"}),
        (-4014, STOP | {"stopPrice": "2900.05"}, STOP | {"stopPrice": "2900.1"}),
        (-4023, LIMIT | {"quantity": "0.1005"}, LIMIT | {"quantity": "0.101"}),
        (-4001, LIMIT | {"price": "0"}, LIMIT),
        (-4001, LIMIT | {"price": "-1"}, LIMIT),
        (-4006, STOP | {"stopPrice": "0"}, STOP),
        (-4013, LIMIT | {"price": "99.9"}, LIMIT | {"price": "100"}),
        (-4002, LIMIT | {"side": "SELL", "price": "10000000.1", "quantity": "0.002"},
         LIMIT | {"side": "SELL", "price": "10000000", "quantity": "0.002"}),
        (-4007, STOP | {"side": "BUY", "stopPrice": "10000000.1"}, STOP | {"side": "BUY", "stopPrice": "10000000"}),
        (-4003, LIMIT | {"quantity": "0"}, LIMIT),
        (-4004, LIMIT | {"quantity": "0.001"}, LIMIT | {"quantity": "0.002"}),
        (-4005, LIMIT | {"quantity": "10000.001"}, LIMIT),
        (-4016, LIMIT | {"price": "3150.1"}, LIMIT | {"price": "3150"}),
        (-4024, LIMIT | {"side": "SELL", "price": "2849.9"}, LIMIT | {"side": "SELL", "price": "2850"}),
        (-4164, LIMIT | {"price": "2499.9", "quantity": "0.002"}, LIMIT | {"price": "2500", "quantity": "0.002"}),
        (-2021, STOP | {"stopPrice": "3000"}, STOP | {"stopPrice": "2999.9"}),
        (-2021, STOP | {"type": "TAKE_PROFIT_MARKET", "stopPrice": "3000"},
         STOP | {"type": "TAKE_PROFIT_MARKET", "stopPrice": "3000.1"}),
    ],
)  # fmt: skip
def test_each_rule_refuses_beyond_its_edge_and_lets_through_what_lies_on_it(trader, code, bad, good):
    assert trader.code("POST", "order", **bad) == code
    assert trader.truth().orders == ()
    assert trader.told("POST", "order", **good)["symbol"] == good["symbol"]
    assert len(trader.truth().orders) == 1


def test_market_orders_have_a_most_of_their_own(trader):
    trader.told("POST", "leverage", symbol="ETHUSDT", leverage=1)
    assert trader.code("POST", "order", **MARKET | {"quantity": "1000.001"}) == -4005
    assert trader.code("POST", "order", **MARKET | {"quantity": "1000"}) == -2019


def test_a_market_order_that_the_book_cannot_carry_is_refused(exchange):
    rich = newcomer(exchange, deposit=Decimal(10**9), leverage=1)
    contract = exchange.server.markets.contracts["ETHUSDT"]
    bound = contract.info["marketTakeBound"]
    try:
        contract.info["marketTakeBound"] = "0.0001"
        assert rich.code("POST", "order", **MARKET | {"quantity": "900"}) == -4131
        assert rich.buy("0.1", "ETHUSDT")["status"] == "FILLED"
    finally:
        contract.info["marketTakeBound"] = bound


def test_an_id_is_unique_among_open_orders_only(trader):
    trader.told("POST", "order", **LIMIT, newClientOrderId="same")
    assert trader.code("POST", "order", **LIMIT, newClientOrderId="same") == -4116
    trader.told("DELETE", "order", symbol="ETHUSDT", origClientOrderId="same")
    second = trader.told("POST", "order", **LIMIT, newClientOrderId="same")
    assert trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="same")["orderId"] == second["orderId"]
    assert len(trader.truth().orders_of("same")) == 2


def test_so_many_orders_of_a_symbol_may_wait(trader):
    for _ in range(2):
        trader.told("POST", "order", **STOP)
    assert trader.code("POST", "order", **STOP) == -4045
    for _ in range(2):
        trader.told("POST", "order", **LIMIT)
    assert trader.code("POST", "order", **LIMIT) == -2025
    assert trader.buy("0.1", "ETHUSDT")["status"] == "FILLED"


def test_reduce_only_needs_something_to_reduce_and_never_turns_it_round(trader):
    order = MARKET | {"side": "SELL", "reduceOnly": "true", "quantity": "0.3", "newOrderRespType": "RESULT"}
    assert trader.code("POST", "order", **order) == -2022
    trader.buy("0.2", "ETHUSDT")
    assert trader.code("POST", "order", **order | {"side": "BUY"}) == -2022
    answer = trader.told("POST", "order", **order)
    assert (answer["executedQty"], answer["reduceOnly"]) == ("0.2", True)
    assert trader.truth().state.positions == ()


def test_small_reducing_orders_need_no_notional(trader):
    trader.buy("0.003", "ETHUSDT")
    assert trader.sell("0.002", "ETHUSDT", reduceOnly="true")["status"] == "FILLED"


def test_a_bracket_caps_what_a_leverage_may_hold(trader):
    trader.told("POST", "leverage", symbol="ETHUSDT", leverage=100)
    order = LIMIT | {"price": "2500"}
    assert trader.code("POST", "order", **order | {"quantity": "40.001"}) == -2027
    trader.told("POST", "order", **order | {"quantity": "30"})
    assert trader.code("POST", "order", **order | {"quantity": "10.001"}) == -2027
    trader.told("POST", "order", **order | {"quantity": "10"})


def test_margin_fee_and_what_is_lost_at_once_have_to_be_free(exchange):
    poor = newcomer(exchange, deposit=Decimal(100), leverage=10)
    poor.told("POST", "order", **LIMIT | {"price": "2500", "quantity": "0.398"})
    assert poor.code("POST", "order", **LIMIT | {"price": "2500", "quantity": "0.002"}) == -2019
    assert poor.code("POST", "order", **LIMIT | {"quantity": "0.5"}) == -2019


def test_the_answer_tells_what_became_of_it_only_when_asked(trader):
    acknowledged = trader.told("POST", "order", **MARKET)
    assert (acknowledged["status"], acknowledged["executedQty"], acknowledged["avgPrice"]) == ("NEW", "0", "0.00000")
    result = trader.told("POST", "order", **MARKET, newOrderRespType="RESULT")
    assert (result["status"], result["executedQty"], result["avgPrice"]) == ("FILLED", "0.1", "3000.3")


@pytest.mark.parametrize(
    ("order", "status"),
    [
        ({"timeInForce": "IOC", "price": "3000.3"}, "FILLED"),
        ({"timeInForce": "IOC", "price": "3000.2"}, "EXPIRED"),
        ({"timeInForce": "GTX", "price": "3000.3"}, "EXPIRED"),
        ({"timeInForce": "GTX", "price": "3000.2"}, "NEW"),
        ({"timeInForce": "GTC", "price": "3010"}, "FILLED"),
    ],
)
def test_times_in_force(trader, order, status):
    answer = trader.told("POST", "order", **LIMIT | order, newOrderRespType="RESULT")
    assert (answer["status"], answer["timeInForce"]) == (status, order["timeInForce"])
    if status == "FILLED":
        assert answer["avgPrice"] == "3000.3"


def test_a_stop_fires_on_the_mark_and_says_what_it_was(trader):
    trader.buy("0.2", "ETHUSDT")
    stop = trader.told("POST", "order", **STOP, newClientOrderId="stop")
    assert (stop["origQty"], stop["closePosition"], stop["type"]) == ("0", True, "STOP_MARKET")
    exchange = trader.exchange
    try:
        exchange.control.set_price("ETHUSDT", mark=2900)
        fired = trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="stop")
    finally:
        exchange.control.set_price("ETHUSDT", last=3000, mark=3000)
    assert (fired["status"], fired["type"], fired["origType"]) == ("FILLED", "MARKET", "STOP_MARKET")
    assert (fired["executedQty"], fired["orderId"]) == ("0.2", stop["orderId"])
    assert trader.told("GET", "openOrders") == []


@pytest.mark.parametrize("mode", ["keep", "cancel"])
def test_the_other_side_of_a_bracket_stays_or_goes_by_switch(trader, mode):
    exchange = trader.exchange
    exchange.control.set_orphans(mode)
    trader.buy("0.2", "ETHUSDT")
    trader.told("POST", "order", **STOP, newClientOrderId="stop")
    trader.told("POST", "order", **STOP | {"type": "TAKE_PROFIT_MARKET", "stopPrice": "3100"}, newClientOrderId="aim")
    try:
        exchange.control.set_price("ETHUSDT", last=3101, mark=3101)
        left = [row["clientOrderId"] for row in trader.told("GET", "openOrders", symbol="ETHUSDT")]
    finally:
        exchange.control.set_price("ETHUSDT", last=3000, mark=3000)
        exchange.control.set_orphans("keep")
    assert left == (["stop"] if mode == "keep" else [])
    assert trader.truth().state.positions == ()


@pytest.mark.parametrize(
    ("working", "last", "mark"), [(None, 2899, 3000), ("CONTRACT_PRICE", 2899, 3000), ("MARK_PRICE", 3000, 2899)]
)
def test_a_trigger_waits_for_the_last_price_unless_the_mark_is_named(trader, working, last, mark):
    trader.buy("0.2", "ETHUSDT")
    order = without(STOP, "workingType") | ({"workingType": working} if working else {})
    name = trader.told("POST", "order", **order, newClientOrderId="stop")["clientOrderId"]
    control = trader.exchange.control
    try:
        control.set_price("ETHUSDT", last=mark, mark=last)  # the other price alone fires nothing
        assert len(trader.told("GET", "openOrders")) == 1
        control.set_price("ETHUSDT", last=3000, mark=3000)
        control.set_price("ETHUSDT", last=last, mark=mark)
        fired = trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId=name)
    finally:
        control.set_price("ETHUSDT", last=3000, mark=3000)
    assert (fired["status"], fired["workingType"]) == ("FILLED", working or "CONTRACT_PRICE")


def test_an_amendment_keeps_the_number_and_a_refused_one_changes_nothing(trader):
    placed = trader.told("POST", "order", **LIMIT, newClientOrderId="a")
    changed = trader.told("PUT", "order", symbol="ETHUSDT", orderId=placed["orderId"], quantity="0.2", price="2950")
    assert (changed["orderId"], changed["origQty"], changed["price"]) == (placed["orderId"], "0.2", "2950")
    again = trader.told("PUT", "order", symbol="ETHUSDT", origClientOrderId="a", quantity="0.3", price="2940")
    assert again["orderId"] == placed["orderId"]
    before = trader.told("GET", "openOrders")
    bad = {"symbol": "ETHUSDT", "orderId": placed["orderId"]}
    assert trader.code("PUT", "order", **bad, quantity="0.2", price="2950.05") == -4014
    assert trader.code("PUT", "order", **bad, quantity="1000", price="2950") == -2019
    assert trader.code("PUT", "order", **bad, price="2950") == -1102
    assert trader.told("GET", "openOrders") == before
    assert trader.told("GET", "allOrders", symbol="ETHUSDT") == before
    assert trader.told("DELETE", "order", **bad)["status"] == "CANCELED"
    assert trader.code("PUT", "order", **bad, quantity="0.2", price="2950") == -2013


def test_an_amended_order_that_crosses_is_filled_under_its_number(trader):
    placed = trader.told("POST", "order", **LIMIT)
    trader.told("PUT", "order", symbol="ETHUSDT", orderId=placed["orderId"], quantity="0.2", price="3050")
    trades = trader.told("GET", "userTrades", symbol="ETHUSDT")
    assert [(row["orderId"], row["qty"], row["price"]) for row in trades] == [(placed["orderId"], "0.2", "3000.3")]


def test_cancelling_what_is_not_open_and_asking_for_what_never_was(trader):
    for method, code in (("DELETE", -2011), ("GET", -2013)):
        assert trader.code(method, "order", symbol="ETHUSDT", origClientOrderId="never") == code
        assert trader.code(method, "order", symbol="ETHUSDT", orderId=7) == code
        assert trader.code(method, "order", symbol="ETHUSDT") == -1102
    done = trader.buy("0.1", "ETHUSDT", newClientOrderId="done")
    assert trader.code("DELETE", "order", symbol="ETHUSDT", orderId=done["orderId"]) == -2011
    assert trader.code("GET", "openOrder", symbol="ETHUSDT", origClientOrderId="done") == -2013
    assert trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="done")["status"] == "FILLED"


def test_a_cancelled_order_is_forgotten_after_seven_days_a_filled_one_is_not():
    with exchange_with() as exchange:
        trader = newcomer(exchange)
        trader.told("POST", "order", **LIMIT | {"price": "1000"}, newClientOrderId="gone")
        trader.told("DELETE", "order", symbol="ETHUSDT", origClientOrderId="gone")
        trader.told("POST", "order", **MARKET, newClientOrderId="filled")
        exchange.control.step(7 * 86_400)
        assert trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="gone")["status"] == "CANCELED"
        exchange.control.step(1)
        assert trader.code("GET", "order", symbol="ETHUSDT", origClientOrderId="gone") == -2013
        assert trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="filled")["status"] == "FILLED"


def test_a_batch_answers_for_each_item(trader):
    items = [LIMIT | {"newClientOrderId": "b1"}, LIMIT | {"price": "1"}, without(LIMIT, "side"), STOP]
    answers = trader.told("POST", "batchOrders", batchOrders=json.dumps(items))
    assert [row.get("code", row.get("status")) for row in answers] == ["NEW", -4013, -1102, "NEW"]
    assert trader.code("POST", "batchOrders", batchOrders=json.dumps([LIMIT] * 6)) == -4082
    assert trader.code("POST", "batchOrders", batchOrders="[]") == -4082
    assert trader.code("POST", "batchOrders", batchOrders="{") == -1102


def test_orders_are_cancelled_by_lists(trader):
    first = trader.told("POST", "order", **LIMIT, newClientOrderId="c1")
    trader.told("POST", "order", **LIMIT, newClientOrderId="c2")
    names = json.dumps(["c2", "c3"])
    answers = trader.told("DELETE", "batchOrders", symbol="ETHUSDT", origClientOrderIdList=names)
    assert [row.get("code", row.get("status")) for row in answers] == ["CANCELED", -2011]
    numbers = json.dumps([first["orderId"]])
    assert trader.told("DELETE", "batchOrders", symbol="ETHUSDT", orderIdList=numbers)[0]["status"] == "CANCELED"
    many = json.dumps(list(range(1, 12)))
    assert trader.code("DELETE", "batchOrders", symbol="ETHUSDT", orderIdList=many) == -4032


def test_cancelling_everything_is_for_one_symbol_and_answers_with_text(trader):
    trader.told("POST", "order", **LIMIT)
    trader.told("POST", "order", **LIMIT | {"symbol": "BTCUSDT", "price": "40000"})
    assert trader.code("DELETE", "allOpenOrders") == -1102
    assert trader.told("DELETE", "allOpenOrders", symbol="ETHUSDT") == {
        "code": "200", "msg": "The operation of cancel all open order is done.",
    }  # fmt: skip
    assert [row["symbol"] for row in trader.told("GET", "openOrders")] == ["BTCUSDT"]
    assert trader.told("GET", "openOrders", symbol="ETHUSDT") == []


def test_the_countdown_cancels_a_symbol_unless_it_is_renewed():
    with exchange_with() as exchange:
        trader = newcomer(exchange)
        for symbol, price in (("ETHUSDT", "1000"), ("BTCUSDT", "10000")):
            trader.told("POST", "order", **LIMIT | {"symbol": symbol, "price": price})
        asked = {"symbol": "ETHUSDT", "countdownTime": 10_000}
        assert trader.told("POST", "countdownCancelAll", **asked) == {"symbol": "ETHUSDT", "countdownTime": "10000"}
        exchange.control.step(9)
        trader.told("POST", "countdownCancelAll", **asked)
        exchange.control.step(9)
        assert len(trader.truth().working()) == 2
        exchange.control.step(1)
        assert [one.symbol for one in trader.truth().working()] == ["BTCUSDT"]
        trader.told("POST", "countdownCancelAll", symbol="BTCUSDT", countdownTime=10_000)
        trader.told("POST", "countdownCancelAll", symbol="BTCUSDT", countdownTime=0)
        exchange.control.step(60)
        assert len(trader.truth().working()) == 1


def test_all_orders_come_by_number_and_by_time(trader):
    numbers = [trader.told("POST", "order", **LIMIT)["orderId"] for _ in range(3)]
    rows = trader.told("GET", "allOrders", symbol="ETHUSDT")
    assert [row["orderId"] for row in rows] == numbers
    assert [row["orderId"] for row in trader.told("GET", "allOrders", symbol="ETHUSDT", limit=2)] == numbers[1:]
    after = trader.told("GET", "allOrders", symbol="ETHUSDT", orderId=numbers[1], limit=1)
    assert [row["orderId"] for row in after] == [numbers[1]]
    now = trader.exchange.server.markets.now_ms()
    week = 7 * 86_400_000
    assert trader.code("GET", "allOrders", symbol="ETHUSDT", startTime=now - week - 1, endTime=now) == -4165
    assert len(trader.told("GET", "allOrders", symbol="ETHUSDT", startTime=now - week, endTime=now)) == 3
    assert trader.told("GET", "allOrders", symbol="ETHUSDT", startTime=now + 1) == []


def test_too_many_orders_are_refused_with_a_word_about_the_limit(trader):
    signed = trader.exchange.server.signed
    before, signed.order_limits = signed.order_limits, ((10, 2, "10 SECOND"),)
    try:
        answers = [trader.post("order", **LIMIT) for _ in range(3)]
    finally:
        signed.order_limits = before
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].body["code"] == -1015
    assert [answer.headers.get("X-MBX-ORDER-COUNT-1M") for answer in answers[:2]] == ["1", "2"]


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("503-after", 503, None), ("-1007-after", 400, -1007), ("-1006-after", 400, -1006), ("drop-after", 0, None)],
)
def test_an_order_whose_answer_is_lost_was_executed(trader, kind, status, code):
    import httpx2

    trader.exchange.control.fault(kind, path="*/order", method="POST", count=1)
    if kind == "drop-after":
        with pytest.raises(httpx2.TransportError):
            trader.post("order", **MARKET, newClientOrderId="lost")
    else:
        answer = trader.post("order", **MARKET, newClientOrderId="lost")
        assert answer.status == status
        assert code is None or answer.body["code"] == code
    assert trader.told("GET", "order", symbol="ETHUSDT", origClientOrderId="lost")["status"] == "FILLED"
    assert [one.status for one in trader.truth().orders_of("lost")] == [VenueStatus.FILLED]


@pytest.mark.parametrize("kind", ["-1021", "-4225", "503", "429", "-1001"])
def test_an_order_that_was_refused_at_the_door_was_not_executed(trader, kind):
    trader.exchange.control.fault(kind, path="*/order", method="POST", count=1)
    answer = trader.post("order", **MARKET, newClientOrderId="early")
    assert answer.status >= 400
    if kind.startswith("-"):
        assert answer.body["code"] == int(kind)
    assert trader.truth().orders == ()
    trader.exchange.control.clear()
    assert trader.buy("0.1", "ETHUSDT", newClientOrderId="early")["status"] == "FILLED"


def test_a_late_answer_comes_after_the_order(trader):
    trader.exchange.control.fault("delay-after", path="*/order", method="POST", count=1, seconds=0.05)
    assert trader.buy("0.1", "ETHUSDT")["status"] == "FILLED"


def test_half_of_a_batch_can_fail(trader):
    trader.exchange.control.fault("batch-partial", path="*/batchOrders", count=1)
    items = [LIMIT | {"newClientOrderId": f"p{place}"} for place in range(4)]
    answers = trader.told("POST", "batchOrders", batchOrders=json.dumps(items))
    assert [row.get("code", row.get("status")) for row in answers] == ["NEW", -1001, "NEW", -1001]
    assert [one.client_order_id for one in trader.truth().working()] == ["p0", "p2"]


def test_what_is_not_traded_takes_no_order(shared_data):
    from trading.exchange_server.build import simulated_markets
    from trading.exchange_server.server import serve_in_thread

    recorded = shared_data / "exchange" / "aster" / "exchangeInfo_full_2025-12-24.json.gz"
    markets = simulated_markets(None, exchange_info=recorded, history_days=0)
    closed = next(name for name, one in markets.contracts.items() if one.spec.status == "SETTLING")
    pending = next((name for name, one in markets.contracts.items() if one.spec.status == "PENDING_TRADING"), None)
    markets.clock.stand()
    with serve_in_thread(markets, pulse=3600) as exchange:
        trader = newcomer(exchange)
        assert trader.code("POST", "order", **MARKET | {"symbol": closed}) == -4141
        if pending:
            assert trader.code("POST", "order", **MARKET | {"symbol": pending}) == -4140
        assert trader.buy("0.1", "ETHUSDT")["status"] == "FILLED"
