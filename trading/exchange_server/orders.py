"""The signed endpoints that place, change, cancel and show orders."""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final

from trading.domain.matching import EngineRefusal, OrderRecord
from trading.domain.venue import ZERO, OrderType, VenueStatus
from trading.exchange_server.accounts import Account, Extra
from trading.exchange_server.answers import Parameters, Refusal, limit_of, missing, needed, span_of, whole_number
from trading.exchange_server.order_rows import order_row
from trading.exchange_server.order_rules import LAST, Draft, check_order
from trading.exchange_server.rest import contract_of
from vibex.lib.clock import from_ms

type Json = Any

MOST_BATCH, MOST_CANCELS = 5, 10
DAY_MS: Final = 86_400_000
WEEK_MS: Final = 7 * DAY_MS
CODES: Final = {
    "would_trigger": (-2021, "Order would immediately trigger."),
    "reduce_only": (-2022, "ReduceOnly Order is rejected."),
    "margin": (-2019, "Margin is insufficient."),
    "leverage": (-2027, "Exceeded the maximum allowable position at current leverage."),
    "duplicate_id": (-4116, "ClientOrderId is duplicated."),
    "unknown_symbol": (-1121, "Invalid symbol."),
    "unknown_order": (-2011, "Unknown order sent."),
    "filter": (-4003, "Quantity less than zero."),
}
"""What the engine refuses, in the venue's words."""


@dataclass(frozen=True, slots=True)
class Call:
    """One signed request: whose it is, and what it says. `broken` marks which items of a batch have to fail."""

    account: Account
    given: Parameters
    broken: bool = False

    @property
    def now_ms(self) -> int:
        return self.account.markets.now_ms()


type Private = Callable[[Call], Json]


def post_order(call: Call) -> Json:
    return _placed(call.account, call.given)


def put_order(call: Call) -> Json:
    """Change price and quantity of a resting limit order. The order stays as it was when the change is refused."""
    account, given = call.account, call.given
    old = _open_order(account, given, Refusal(-2013, "Order does not exist."))
    for name in ("quantity", "price"):
        needed(given, name)
    if old.type is not OrderType.LIMIT:
        raise Refusal(-1014, "Unsupported order combination.")
    wanted = {
        "symbol": old.symbol, "side": given.get("side") or old.side.value, "type": "LIMIT",
        "timeInForce": (old.time_in_force or "GTC"), "quantity": given["quantity"], "price": given["price"],
        "reduceOnly": str(old.reduce_only).lower(), "newClientOrderId": old.client_order_id,
    }  # fmt: skip
    if wanted["side"] != old.side.value:
        raise Refusal(-1117, "Invalid side.")
    account.look(old.symbol)
    draft = check_order(account, wanted, client_id=old.client_order_id, replacing=old.client_order_id)
    if (draft.order.quantity or ZERO) <= old.filled:  # nothing of it would be left to fill
        return _cancelled(account, given)
    return order_row(account, _amended(account, old, draft))


def get_order(call: Call) -> Json:
    order = _found(call.account, call.given)
    if order is None or _forgotten(order, call.now_ms):
        raise Refusal(-2013, "Order does not exist.")
    return order_row(call.account, order)


def delete_order(call: Call) -> Json:
    return _cancelled(call.account, call.given)


def post_batch(call: Call) -> Json:
    """Place up to five orders; each is answered for itself."""
    items = _listed(call.given, "batchOrders")
    if not items or len(items) > MOST_BATCH or not all(isinstance(one, dict) for one in items):
        raise Refusal(-4082, f"Invalid number of batch place orders: {len(items)}")
    answers = []
    for place, item in enumerate(items):
        given = {name: _plain(value) for name, value in item.items()}
        try:
            if call.broken and place % 2:
                raise Refusal(-1001, "Internal error; unable to process your request. Please try again.")
            answers.append(_placed(call.account, given, in_batch=True))
        except Refusal as refusal:
            answers.append({"code": refusal.code, "msg": refusal.msg})
    return answers


def delete_batch(call: Call) -> Json:
    contract = contract_of(call.account.markets, call.given)
    numbers, names = _listed(call.given, "orderIdList"), _listed(call.given, "origClientOrderIdList")
    if not numbers and not names:
        raise missing("orderIdList")
    if max(len(numbers), len(names)) > MOST_CANCELS:
        raise Refusal(-4032, "Exceed maximum cancel order size.")
    chosen = [{"orderId": str(one)} for one in numbers] or [{"origClientOrderId": str(one)} for one in names]
    answers = []
    for place, one in enumerate(chosen):
        try:
            if call.broken and place % 2:
                raise Refusal(-1001, "Internal error; unable to process your request. Please try again.")
            answers.append(_cancelled(call.account, {"symbol": contract.symbol, **one}))
        except Refusal as refusal:
            answers.append({"code": refusal.code, "msg": refusal.msg})
    return answers


def delete_all(call: Call) -> Json:
    contract = contract_of(call.account.markets, call.given)
    call.account.cancel_all(contract.symbol)
    return {"code": "200", "msg": "The operation of cancel all open order is done."}


def countdown(call: Call) -> Json:
    contract = contract_of(call.account.markets, call.given)
    needed(call.given, "countdownTime")
    wait = whole_number(call.given, "countdownTime") or 0
    call.account.timers.pop(contract.symbol, None)
    if wait:
        call.account.timers[contract.symbol] = call.now_ms + wait
    return {"symbol": contract.symbol, "countdownTime": str(wait)}


def open_order(call: Call) -> Json:
    return order_row(call.account, _open_order(call.account, call.given, Refusal(-2013, "Order does not exist.")))


def open_orders(call: Call) -> Json:
    symbol = contract_of(call.account.markets, call.given).symbol if call.given.get("symbol") else None
    return [order_row(call.account, order) for order in call.account.working(symbol)]


def all_orders(call: Call) -> Json:
    account, contract = call.account, contract_of(call.account.markets, call.given)
    first, limit = whole_number(call.given, "orderId"), limit_of(call.given, default=500, most=1_000)
    start, end = week_of(call)
    rows = [
        order_row(account, order)
        for order in account.orders.values()
        if order.symbol == contract.symbol and not _forgotten(order, call.now_ms)
    ]
    rows.sort(key=lambda row: row["orderId"])
    if first is not None:
        return [row for row in rows if row["orderId"] >= first][:limit]
    rows = [row for row in rows if start <= row["time"] <= end]
    return rows[:limit] if call.given.get("startTime") else rows[-limit:]


ORDERS: Final[dict[tuple[str, str], Private]] = {
    ("POST", "order"): post_order,
    ("PUT", "order"): put_order,
    ("GET", "order"): get_order,
    ("DELETE", "order"): delete_order,
    ("POST", "batchOrders"): post_batch,
    ("DELETE", "batchOrders"): delete_batch,
    ("DELETE", "allOpenOrders"): delete_all,
    ("POST", "countdownCancelAll"): countdown,
    ("GET", "openOrder"): open_order,
    ("GET", "openOrders"): open_orders,
    ("GET", "allOrders"): all_orders,
}


def week_of(call: Call) -> tuple[int, int]:
    """Return the span that is asked for: at most seven days, the last seven without one."""
    start, end = span_of(call.given)
    if start is not None and end is not None and end - start > WEEK_MS:
        raise Refusal(-4165, "Maximum time interval is 7 days.")
    if start is None:
        last = call.now_ms if end is None else end
        return last - WEEK_MS, last
    return start, start + WEEK_MS if end is None else end


def refused(refusal: EngineRefusal) -> Refusal:
    code, words = CODES.get(refusal.code, (-2010, f"NEW_ORDER_REJECTED: {refusal}"))
    return Refusal(code, words)


def _placed(account: Account, given: Parameters, *, in_batch: bool = False) -> Json:
    if (symbol := given.get("symbol")) and symbol in account.markets.contracts:
        account.look(symbol)
    draft = check_order(account, given, client_id=f"v3_{secrets.token_hex(10)}", in_batch=in_batch)
    order = draft.order
    if not (order.reduce_only or order.close_position):
        account.use_margin_of(order.symbol)
    number = account.engine.state().next_id
    account.extras[number] = Extra(draft.working_type, account.markets.now_ms(), number)
    try:
        on_last = order.type.conditional and draft.working_type == LAST
        account.do(lambda engine, at: engine.place(order, at=at, on_last=on_last, terms=draft.terms))
    except EngineRefusal as refusal:
        del account.extras[number]
        raise refused(refusal) from None
    record = account.orders[number]
    return order_row(account, record if draft.answer == "RESULT" else _as_taken(record))


def _as_taken(order: OrderRecord) -> OrderRecord:
    """Return an order as it was when it was taken, before anything was filled: the answer of type ACK."""
    quantity = ZERO if order.close_position else order.quantity
    return replace(order, status=VenueStatus.NEW, filled=ZERO, filled_cost=ZERO, quantity=quantity)


def _amended(account: Account, old: OrderRecord, draft: Draft) -> OrderRecord:
    """Put a changed order in the place of an old one, under the number that the outside knows."""
    before = account.engine.state()
    number = before.next_id
    account.extras[number] = replace(account.extras[old.exchange_id], number=account.number(old))
    try:
        account.engine.cancel(old.symbol, old.client_order_id, at=account.now)
        account.engine.place(draft.order, at=account.now, after=old)
    except EngineRefusal as refusal:
        del account.extras[number]
        account.engine.drain()
        account.restore(before)
        raise refused(refusal) from None
    account.replace_order(old)
    return account.orders[number]


def _cancelled(account: Account, given: Parameters) -> Json:
    unknown = Refusal(-2011, "Unknown order sent.")
    order = _open_order(account, given, unknown)
    try:
        account.do(lambda engine, at: engine.cancel(order.symbol, order.client_order_id, at=at))
    except EngineRefusal:
        raise unknown from None
    return order_row(account, account.orders[order.exchange_id])


def _open_order(account: Account, given: Parameters, unknown: Refusal) -> OrderRecord:
    order = _found(account, given)
    if order is None or not order.status.open:
        raise unknown
    return order


def _found(account: Account, given: Parameters) -> OrderRecord | None:
    """Return the order that is meant: by its number, else the youngest with the client id."""
    contract = contract_of(account.markets, given)
    number, name = whole_number(given, "orderId"), given.get("origClientOrderId")
    if number is None and not name:
        text = "Param 'origClientOrderId' or 'orderId' must be sent, but both were empty/null!"
        raise Refusal(-1102, text)
    fits = (
        order
        for order in reversed(account.orders.values())
        if order.symbol == contract.symbol
        and (account.number(order) == number if number is not None else order.client_order_id == name)
    )
    return next(fits, None)


def _forgotten(order: OrderRecord, now: int) -> bool:
    """Return whether the venue has forgotten an order: nothing was filled, and it ended more than a week ago."""
    ended = order.status in (VenueStatus.CANCELED, VenueStatus.EXPIRED) and not order.filled
    return ended and order.updated < from_ms(now) - timedelta(days=7)


def _listed(given: Parameters, name: str) -> list[Any]:
    words = given.get(name)
    if not words:
        return []
    try:
        items = json.loads(words)
    except ValueError:
        raise missing(name) from None
    if not isinstance(items, list):
        raise missing(name)
    return items


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
