"""The user stream of the test exchange tells what happened to an account, in the order in which it happened."""

import pytest

from trading.tests.exchange_kit import heard_all, listening, run
from trading.tests.signed_kit import exchange_with, newcomer

STOP = {
    "symbol": "BTCUSDT",
    "side": "SELL",
    "type": "STOP_MARKET",
    "closePosition": "true",
    "workingType": "MARK_PRICE",
}
LIMIT = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.1", "price": "49000"}


@pytest.fixture
def exchange():
    with exchange_with() as served:
        yield served


def told(exchange, work, *, version=3, **account):
    """Return the trader, and what its stream said while `work(trader)` was done."""
    trader = newcomer(exchange, version, **account)
    key = trader.raw("POST", "listenKey", trader.sign("") if version == 3 else "").body["listenKey"]

    async def scenario():
        async with listening(exchange, f"/ws/{key}") as socket:
            await heard_all(socket)
            work(trader)
            exchange.control.step(0)
            return await heard_all(socket)

    return trader, run(scenario())


def brief(events):
    """Return the kinds of events: what happened to an order, or why the account changed."""
    return [
        (event["o"]["x"], event["o"]["X"], event["o"]["c"])
        if event["e"] == "ORDER_TRADE_UPDATE"
        else (event["e"], event.get("a", {}).get("m"))
        for event in events
    ]


@pytest.mark.parametrize("version", [3, 1])
def test_a_market_order_is_new_then_traded_then_in_the_balance(exchange, version):
    trader, events = told(exchange, lambda t: t.buy("0.1", newClientOrderId="in"), version=version)
    assert brief(events) == [("NEW", "NEW", "in"), ("TRADE", "FILLED", "in"), ("ACCOUNT_UPDATE", "ORDER")]
    new, trade, account = events
    assert (new["o"]["z"], new["o"]["q"], new["o"]["t"]) == ("0", "0.1", 0)
    (row,) = trader.told("GET", "userTrades", symbol="BTCUSDT")
    order = trade["o"]
    assert (order["i"], order["t"], order["l"], order["L"]) == (row["orderId"], row["id"], "0.1", "50005")
    assert (float(order["n"]), order["N"], order["m"], order["rp"]) == (2.0002, "USDT", False, "0")
    assert account["a"]["B"] == [{"a": "USDT", "wb": "9997.99980000", "cw": "9997.99980000", "bc": "0"}]
    (position,) = account["a"]["P"]
    assert (position["s"], position["pa"], position["ep"], position["mt"]) == ("BTCUSDT", "0.1", "50005", "cross")
    assert account["T"] == trade["T"] == row["time"]


def test_the_fields_are_those_of_the_documents(exchange, shared_data):
    import json

    examples = json.loads((shared_data / "exchange" / "aster" / "docs_v3_examples.json").read_text())
    wanted = next(one["json"] for one in examples if one.get("json", {}) and "ORDER_TRADE_UPDATE" in str(one["json"]))
    _, events = told(exchange, lambda t: t.buy("0.1"))
    trailing = {"AP", "cr"}
    for event in events[:2]:
        assert wanted["o"].keys() - trailing <= event["o"].keys()
        for name, value in wanted["o"].items():
            assert name in trailing or type(event["o"][name]) is type(value), name


def test_resting_orders_tell_no_balance_and_cancelling_is_told(exchange):
    def work(trader):
        trader.told("POST", "order", **LIMIT, newClientOrderId="a")
        trader.told("PUT", "order", symbol="BTCUSDT", origClientOrderId="a", quantity="0.2", price="49100")
        trader.told("DELETE", "order", symbol="BTCUSDT", origClientOrderId="a")

    _, events = told(exchange, work)
    assert brief(events) == [("NEW", "NEW", "a"), ("AMENDMENT", "NEW", "a"), ("CANCELED", "CANCELED", "a")]
    assert len({event["o"]["i"] for event in events}) == 1
    assert (events[1]["o"]["q"], events[1]["o"]["p"]) == ("0.2", "49100")


def test_what_expires_at_once_was_new_first(exchange):
    _, events = told(
        exchange, lambda t: t.told("POST", "order", **LIMIT | {"timeInForce": "IOC"}, newClientOrderId="i")
    )
    assert brief(events) == [("NEW", "NEW", "i"), ("EXPIRED", "EXPIRED", "i")]


@pytest.mark.parametrize("orphans", ["keep", "cancel"])
def test_a_stop_that_fires_is_a_market_order_that_remembers_what_it_was(exchange, orphans):
    exchange.control.set_orphans(orphans)

    def work(trader):
        trader.buy("0.1", newClientOrderId="in")
        trader.told("POST", "order", **STOP, stopPrice="49000", newClientOrderId="stop")
        trader.told(
            "POST", "order", **STOP | {"type": "TAKE_PROFIT_MARKET"}, stopPrice="52000", newClientOrderId="aim"
        )  # fmt: skip
        exchange.control.set_price("BTCUSDT", mark=48_999)

    _, events = told(exchange, work)
    gone = [("CANCELED", "CANCELED", "aim")] if orphans == "cancel" else []
    wanted = [
        ("NEW", "NEW", "stop"), ("NEW", "NEW", "aim"), ("TRADE", "FILLED", "stop"), ("ACCOUNT_UPDATE", "ORDER"), *gone,
    ]  # fmt: skip
    assert brief(events)[3:] == wanted
    fired = events[5]["o"]
    assert (fired["o"], fired["ot"], fired["sp"], fired["cp"]) == ("MARKET", "STOP_MARKET", "49000", True)
    assert events[6]["a"]["P"][0]["pa"] == "0"
    assert float(events[6]["a"]["P"][0]["cr"]) == float(fired["rp"]) != 0


def test_settings_that_change_are_told(exchange):
    def work(trader):
        trader.told("POST", "marginType", symbol="BTCUSDT", marginType="ISOLATED")
        trader.told("POST", "leverage", symbol="BTCUSDT", leverage=7)

    _, events = told(exchange, work)
    assert brief(events) == [("ACCOUNT_UPDATE", "MARGIN_TYPE_CHANGE"), ("ACCOUNT_CONFIG_UPDATE", None)]
    assert events[1]["ac"] == {"s": "BTCUSDT", "l": 7}


def test_deposits_and_withdrawals_are_told_with_their_amount(exchange):
    def work(trader):
        exchange.control.deposit(trader.user, 50)
        exchange.control.deposit(trader.user, "-20.5")

    _, events = told(exchange, work)
    assert brief(events) == [("ACCOUNT_UPDATE", "DEPOSIT"), ("ACCOUNT_UPDATE", "WITHDRAW")]
    assert [event["a"]["B"][0]["bc"] for event in events] == ["50", "-20.5"]


@pytest.mark.parametrize(("margin_type", "positions"), [("CROSSED", 0), ("ISOLATED", 1)])
def test_funding_tells_the_balance_and_the_position_only_with_isolated_margin(exchange, margin_type, positions):
    def work(trader):
        trader.buy("0.01")
        exchange.control.clock(at="2025-10-10T16:00:00")

    _, events = told(exchange, work, margin_type=margin_type, leverage=1)
    paid = [event for event in events if event["e"] == "ACCOUNT_UPDATE" and event["a"]["m"] == "FUNDING_FEE"]
    assert len(paid) == 1
    assert len(paid[0]["a"]["P"]) == positions
    assert float(paid[0]["a"]["B"][0]["bc"]) != 0


@pytest.mark.parametrize("margin_type", ["CROSSED", "ISOLATED"])
def test_a_margin_call_goes_out_once_and_then_the_liquidation_is_told(exchange, margin_type):
    from decimal import Decimal

    def work(trader):
        trader.buy("0.2", newClientOrderId="in")
        trader.told("POST", "order", **STOP, stopPrice="30000", newClientOrderId="stop")
        limit = float(trader.told("GET", "positionRisk", symbol="BTCUSDT")[0]["liquidationPrice"])
        for away in (40, 30, 20, -1):
            exchange.control.set_price("BTCUSDT", mark=limit + away)

    _, events = told(exchange, work, margin_type=margin_type, leverage=20, deposit=Decimal(600))
    kinds = [kind[0] for kind in brief(events)]
    assert kinds.count("MARGIN_CALL") == 1
    call = events[kinds.index("MARGIN_CALL")]
    assert call["p"][0]["s"] == "BTCUSDT"
    assert call["p"][0]["mt"] == margin_type
    end = brief(events)[kinds.index("MARGIN_CALL") + 1 :]
    assert end[0] == ("CANCELED", "CANCELED", "stop")
    assert end[1][:2] == ("CALCULATED", "FILLED")
    assert end[1][2].startswith("autoclose-")
    assert end[2] == ("ACCOUNT_UPDATE", "ORDER")
    forced = next(event["o"] for event in events if event.get("o", {}).get("x") == "CALCULATED")
    assert forced["o"] == "LIQUIDATION"


def test_everybody_hears_of_a_liquidation(exchange):
    from decimal import Decimal

    trader = newcomer(exchange, leverage=20, deposit=Decimal(600))

    async def scenario():
        async with listening(exchange, "/ws/btcusdt@forceOrder") as socket:
            await heard_all(socket)
            trader.buy("0.2")
            exchange.control.set_price("BTCUSDT", mark=45_000)
            return await heard_all(socket)

    (event,) = run(scenario())
    assert (event["e"], event["o"]["s"], event["o"]["S"], event["o"]["q"]) == ("forceOrder", "BTCUSDT", "SELL", "0.2")


def test_a_listen_key_that_expires_says_so_and_then_nothing(exchange):
    def work(trader):
        trader.buy("0.01", newClientOrderId="before")
        exchange.control.expire_listen_key(trader.user)
        trader.buy("0.01", newClientOrderId="after")

    trader, events = told(exchange, work)
    assert brief(events)[-1] == ("listenKeyExpired", None)
    assert trader.code("PUT", "listenKey") == -1125


def test_a_listen_key_that_nobody_keeps_alive_expires_by_itself(exchange):
    def work(trader):
        account = exchange.server.signed.accounts.of(trader.user)
        account.listen_until -= 3_601

    _, events = told(exchange, work)
    assert brief(events) == [("listenKeyExpired", None)]


def test_a_listen_key_can_be_subscribed_to_on_an_open_connection(exchange):
    trader = newcomer(exchange)
    key = trader.told("POST", "listenKey")["listenKey"]

    async def scenario():
        async with listening(exchange, "/stream") as socket:
            await socket.send_json({"method": "SUBSCRIBE", "params": [key], "id": 1})
            await heard_all(socket)
            trader.buy("0.01")
            return await heard_all(socket)

    events = run(scenario())
    assert [event["stream"] for event in events] == [key] * 3


def test_nobody_hears_of_the_account_of_another(exchange):
    stranger = newcomer(exchange)
    _, events = told(exchange, lambda _: stranger.buy("0.01"))
    assert events == []


@pytest.mark.parametrize("kind", ["lose", "duplicate"])
def test_private_events_suffer_the_faults_of_the_streams(exchange, kind):
    def work(trader):
        exchange.control.stream_fault(kind, path="*", count=1)
        trader.buy("0.01", newClientOrderId="in")

    _, events = told(exchange, work)
    first = [("NEW", "NEW", "in")] * (2 if kind == "duplicate" else 0)
    assert brief(events) == [*first, ("TRADE", "FILLED", "in"), ("ACCOUNT_UPDATE", "ORDER")]


def test_the_control_tells_the_truth_over_http(exchange):
    import httpx2

    trader = newcomer(exchange)
    trader.buy("0.1")
    told = httpx2.post(f"{exchange.http}/_sim/account", json={"user": trader.user}).json()
    assert told["state"]["positions"][0]["symbol"] == "BTCUSDT"
    assert told["state"]["wallet"] == "9997.99980000"
    assert len(told["orders"]) == 1
    opened = httpx2.post(f"{exchange.http}/_sim/open-account", json={"user": "0x" + "11" * 20, "deposit": 5})
    assert opened.status_code == 200
    refused = httpx2.post(f"{exchange.http}/_sim/account", json={"user": "nobody"})
    assert (refused.status_code, "no account" in refused.json()["error"]) == (400, True)
    assert httpx2.post(f"{exchange.http}/_sim/orphans", json={"mode": "perhaps"}).status_code == 400
