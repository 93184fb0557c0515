"""The test exchange with the face of Binance USD-M: conditional orders live in a service of their own.

Paths, rows and codes are those that differ from AsterDEX, over the same engine and the same signatures (V1). A stop is one
order of the engine and two here: the conditional one under its number and id, and, once it has fired, the order that it
became, under another number and an id of the exchange's own. The user stream still speaks as AsterDEX does.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final

from trading.domain.matching import OrderRecord
from trading.domain.venue import VenueStatus
from trading.exchange_server import orders, private, rows
from trading.exchange_server.accounts import ISOLATED, Account
from trading.exchange_server.answers import Refusal, limit_of, missing, needed, whole_number
from trading.exchange_server.markets import Markets
from trading.exchange_server.order_rows import order_row, text
from trading.exchange_server.orders import Call, Json, Private, week_of
from trading.exchange_server.rest import contract_of
from trading.exchange_server.server import ExchangeServer, Served, serve_in_thread
from vibex.lib.clock import from_ms, to_ms

ALGO_IDS: Final = 3_000_000_000_000_000
"""Conditional orders are numbered from here on."""
CONDITIONAL: Final = frozenset({"STOP", "TAKE_PROFIT", "STOP_MARKET", "TAKE_PROFIT_MARKET", "TRAILING_STOP_MARKET"})
RENAMED: Final = {
    "triggerPrice": "stopPrice",
    "clientAlgoId": "newClientOrderId",
    "activatePrice": "activationPrice",
}
"""Parameters of the algo service, and what the order service calls them."""
MEMORY: Final = timedelta(days=3)
"""A conditional order that ended without a fill is known so long."""
WORKING: Final = ("NEW", "PARTIALLY_FILLED")
APART: Final = frozenset({"leverage", "marginType", "maxNotionalValue", "isAutoAddMargin"})
"""What stands in symbolConfig instead."""
FOREIGN: Final = (("POST", "noop"), ("GET", "builder"), ("POST", "approveBuilder"), ("GET", "accountWithJoinMargin"))
"""What AsterDEX has and Binance does not."""


@contextmanager
def binance_in_thread(markets: Markets, **options: Any) -> Iterator[Served]:
    """Run an exchange that speaks as Binance does; `options` are those of ExchangeServer."""
    with serve_in_thread(markets, **options) as served:
        speak_binance(served.server)
        yield served


def speak_binance(server: ExchangeServer) -> None:
    """Let a server answer as Binance does from now on."""
    for one in FOREIGN:
        server.signed.endpoints.pop(one, None)
    server.signed.endpoints |= BINANCE


# The order service


def post_order(call: Call) -> Json:
    if call.given.get("type") in CONDITIONAL:
        raise Refusal(
            -4120, "Order type not supported for this endpoint. Please use the Algo Order API endpoints instead."
        )
    return orders.post_order(call)


def get_order(call: Call) -> Json:
    wanted, name = whole_number(call.given, "orderId"), call.given.get("origClientOrderId")
    symbol = contract_of(call.account.markets, call.given).symbol
    if wanted is None and not name:
        raise Refusal(-1102, "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!")
    for row in reversed(plain_rows(call.account, symbol)):
        if row["orderId"] == wanted or (wanted is None and row["clientOrderId"] == name):
            return row
    raise _unknown()


def delete_order(call: Call) -> Json:
    try:
        row = get_order(call)
    except Refusal as refusal:
        raise _not_open() if refusal.code == -2013 else refusal from None
    if row["status"] not in WORKING:
        raise _not_open()
    return orders.delete_order(Call(call.account, {"symbol": row["symbol"], "orderId": str(row["orderId"])}))


def open_orders(call: Call) -> Json:
    return [row for row in plain_rows(call.account, _symbol(call)) if row["status"] in WORKING]


def all_orders(call: Call) -> Json:
    first, limit = whole_number(call.given, "orderId"), limit_of(call.given, default=500, most=1_000)
    listed = plain_rows(call.account, contract_of(call.account.markets, call.given).symbol)
    if first is not None:
        return [row for row in listed if row["orderId"] >= first][:limit]
    start, end = week_of(call)
    return [row for row in listed if start <= row["time"] <= end][-limit:]


def delete_all(call: Call) -> Json:
    _cancel(call.account, [one for one in _working(call) if not one.type.conditional])
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


# The algo service


def post_algo(call: Call) -> Json:
    if call.given.get("algoType") != "CONDITIONAL":
        raise missing("algoType")
    if call.given.get("type") not in CONDITIONAL:
        raise Refusal(-1116, "Invalid orderType.")
    given = {RENAMED.get(name, name): value for name, value in call.given.items() if name != "algoType"}
    given.setdefault("newClientOrderId", secrets.token_hex(11))
    row = orders.post_order(Call(call.account, given))
    told = algo_row(call.account, call.account.orders[row["orderId"]])
    return {name: value for name, value in told.items() if not name.startswith("actual")}


def get_algo(call: Call) -> Json:
    return algo_row(call.account, _algo(call, _unknown()))


def delete_algo(call: Call) -> Json:
    order = _algo(call, _not_open())
    if not order.status.open:
        raise _not_open()
    _cancel(call.account, [order])
    return {
        "algoId": ALGO_IDS + order.exchange_id,
        "clientAlgoId": order.client_order_id,
        "code": "200",
        "msg": "success",
    }


def open_algos(call: Call) -> Json:
    return [algo_row(call.account, one) for one in _working(call) if one.type.conditional]


def all_algos(call: Call) -> Json:
    needed(call.given, "symbol")
    first, limit = whole_number(call.given, "algoId"), limit_of(call.given, default=500, most=1_000)
    listed = [algo_row(call.account, one) for one in _algos(call) if one.symbol == _symbol(call)]
    if first is not None:
        return [row for row in listed if row["algoId"] >= first][:limit]
    start, end = week_of(call)
    return [row for row in listed if start <= row["createTime"] <= end][-limit:]


def delete_all_algos(call: Call) -> Json:
    needed(call.given, "symbol")
    _cancel(call.account, [one for one in _working(call) if one.type.conditional])
    return {"code": 200, "msg": "The operation of cancel all open order is done."}


# Positions and settings


def position_risk(call: Call) -> Json:
    """Return what is held, and flat symbols with open orders; how they are set stands in symbolConfig."""
    account, symbol = call.account, _symbol(call)
    busy = {one.symbol for one in account.working()} | {one.symbol for one in account.engine.state().positions}
    names = [name for name in account.markets.contracts if name in busy and symbol in (None, name)]
    return [_risk(account, row) for name in names for row in rows.risk_rows(account, name)]


def symbol_config(call: Call) -> Json:
    account, symbol = call.account, _symbol(call)
    return [
        {
            "symbol": name,
            "marginType": account.margin_type(name),
            "isAutoAddMargin": "false",
            "leverage": account.leverage(name),
            "maxNotionalValue": "1000000",
        }
        for name in account.markets.contracts
        if symbol in (None, name)
    ]


def account_config(call: Call) -> Json:
    return {
        "feeTier": 0,
        "canTrade": True,
        "canDeposit": True,
        "canWithdraw": True,
        "dualSidePosition": call.account.dual,
        "updateTime": 0,
        "multiAssetsMargin": call.account.multi_assets,
        "tradeGroupId": -1,
    }


BINANCE: Final[dict[tuple[str, str], Private]] = {
    ("POST", "order"): post_order,
    ("GET", "order"): get_order,
    ("DELETE", "order"): delete_order,
    ("GET", "openOrders"): open_orders,
    ("GET", "allOrders"): all_orders,
    ("DELETE", "allOpenOrders"): delete_all,
    ("POST", "algoOrder"): post_algo,
    ("GET", "algoOrder"): get_algo,
    ("DELETE", "algoOrder"): delete_algo,
    ("GET", "openAlgoOrders"): open_algos,
    ("GET", "allAlgoOrders"): all_algos,
    ("DELETE", "algoOpenOrders"): delete_all_algos,
    ("GET", "positionRisk"): position_risk,
    ("GET", "symbolConfig"): symbol_config,
    ("GET", "accountConfig"): account_config,
    ("GET", "leverageBracket"): private.leverage_bracket,
}


# Rows


def plain_rows(account: Account, symbol: str | None) -> list[dict[str, Any]]:
    """Return the orders of the order service, oldest first: those placed there, and what conditional ones became."""
    chosen = (one for one in account.orders.values() if symbol in (None, one.symbol))
    found = [_child(account, one) if one.type.conditional else order_row(account, one) for one in chosen if _plain(one)]
    return sorted(found, key=lambda row: int(row["orderId"]))


def algo_row(account: Account, order: OrderRecord) -> dict[str, Any]:
    """Return a conditional order as its service shows it."""
    became = _fired(order)
    return {
        "algoId": ALGO_IDS + order.exchange_id,
        "clientAlgoId": order.client_order_id,
        "algoType": "CONDITIONAL",
        "orderType": order.type.value,
        "symbol": order.symbol,
        "side": order.side.value,
        "positionSide": "BOTH",
        "timeInForce": "GTC",
        "quantity": None if order.close_position else text(order.quantity),
        "algoStatus": "FINISHED" if became else order.status.value,
        "actualOrderId": str(order.exchange_id) if became else "",
        "actualPrice": text(order.filled_cost / order.filled) if order.filled else "0.00000",
        "triggerPrice": text(order.trigger) if order.trigger else "0",
        "price": text(order.price) if order.price else "0.00",
        "icebergQuantity": None,
        "selfTradePreventionMode": "EXPIRE_MAKER",
        "workingType": account.extras[order.exchange_id].working_type,
        "priceMatch": "NONE",
        "closePosition": order.close_position,
        "priceProtect": False,
        "reduceOnly": order.reduce_only,
        "createTime": account.extras[order.exchange_id].created_ms,
        "updateTime": to_ms(order.updated),
        "triggerTime": to_ms(order.updated) if became else 0,
        "goodTillDate": 0,
    }


def _child(account: Account, order: OrderRecord) -> dict[str, Any]:
    """Return the order that a conditional one has become: nothing in it names the other."""
    row = order_row(account, order)
    return {
        **row,
        "clientOrderId": f"x{order.exchange_id:x}child",
        "type": "MARKET",
        "origType": "MARKET",
        "stopPrice": "0",
        "closePosition": False,
        "reduceOnly": True,
        "time": row["updateTime"],
    }


def _risk(account: Account, row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in APART}
    return {
        **kept,
        "breakEvenPrice": row["entryPrice"],
        "marginAsset": "USDT",
        "adl": 2,
        "initialMargin": _margin(account, row),
    }


def _margin(account: Account, row: dict[str, Any]) -> str:
    return str(row["isolatedWallet"]) if account.margin_type(row["symbol"]) == ISOLATED else "0"


# Which orders are meant


def _fired(order: OrderRecord) -> bool:
    return order.type.conditional and (order.filled > 0 or order.status is VenueStatus.FILLED)


def _plain(order: OrderRecord) -> bool:
    return not order.type.conditional or _fired(order)


def _symbol(call: Call) -> str | None:
    return contract_of(call.account.markets, call.given).symbol if call.given.get("symbol") else None


def _working(call: Call) -> list[OrderRecord]:
    return call.account.working(_symbol(call))


def _algos(call: Call) -> Iterable[OrderRecord]:
    now = from_ms(call.now_ms)
    for order in call.account.orders.values():
        gone = not order.status.open and not order.filled and order.updated < now - MEMORY
        if order.type.conditional and not gone:
            yield order


def _algo(call: Call, unknown: Refusal) -> OrderRecord:
    """Return the conditional order that is meant: by its number, else the youngest with the client id."""
    wanted, name = whole_number(call.given, "algoId"), call.given.get("clientAlgoId")
    if wanted is None and not name:
        raise Refusal(-1102, "Param 'algoId' or 'clientAlgoId' must be sent, but both were empty/null!")
    for order in reversed(list(_algos(call))):
        if ALGO_IDS + order.exchange_id == wanted or (wanted is None and order.client_order_id == name):
            return order
    raise unknown


def _unknown() -> Refusal:
    return Refusal(-2013, "Order does not exist.")


def _not_open() -> Refusal:
    return Refusal(-2011, "Unknown order sent.")


def _cancel(account: Account, chosen: Iterable[OrderRecord]) -> None:
    for order in chosen:
        orders.delete_order(Call(account, {"symbol": order.symbol, "orderId": str(account.number(order))}))
