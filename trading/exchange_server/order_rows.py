"""An order as REST shows it, and the words in which the venue tells what it is and what it has become."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, Final

from trading.domain.matching import OrderRecord
from trading.domain.matching.types import shown
from trading.domain.venue import ZERO
from trading.exchange_server.accounts import Account
from vibex.lib.clock import to_ms

FORCED: Final = ("autoclose-", "adl_autoclose")
"""How the ids begin under which the venue itself closes a position."""


def order_row(account: Account, order: OrderRecord) -> dict[str, Any]:
    """Return an order as REST shows it. A stop that has fired shows what it has become, and what it was."""
    extra, kind = account.extras[order.exchange_id], kind_of(order)
    average = shown(order.filled_cost / order.filled) if order.filled else ZERO
    liquidation = is_forced(order)
    return {
        "orderId": extra.number,
        "clientOrderId": order.client_order_id,
        "symbol": order.symbol,
        "status": order.status.value,
        "side": order.side.value,
        "positionSide": "BOTH",
        "type": kind_now(order),
        "origType": kind,
        "timeInForce": time_of(order),
        "price": text(average if liquidation else order.price or ZERO),
        "avgPrice": text(average) if order.filled else "0.00000",
        "origQty": text(order.quantity),
        "executedQty": text(order.filled),
        "cumQty": text(order.filled),
        "cumQuote": text(order.filled_cost),
        "stopPrice": text(order.trigger or ZERO),
        "reduceOnly": order.reduce_only,
        "closePosition": order.close_position,
        "workingType": extra.working_type,
        "priceProtect": order.terms is not None and order.terms.protect is not None,
        "time": extra.created_ms,
        "updateTime": to_ms(order.updated),
        **trail_of(order),
    }


def kind_of(order: OrderRecord) -> str:
    """Return the type that an order was placed with, in the venue's words."""
    if is_forced(order):
        return "LIMIT"
    if not order.type.conditional or order.terms is None:
        return order.type.value
    if order.terms.trail is not None:
        return "TRAILING_STOP_MARKET"
    return order.type.value.removesuffix("_MARKET") if order.price is not None else order.type.value


def kind_now(order: OrderRecord) -> str:
    """Return what an order has become: one that has fired is a market order, or a limit if it has a price."""
    if order.type.conditional and order.terms is not None and order.terms.fired:
        return "LIMIT"
    return "MARKET" if order.type.conditional and order.filled > 0 else kind_of(order)


def time_of(order: OrderRecord) -> str:
    if order.whole:
        return "FOK"
    return "IOC" if is_forced(order) else (order.time_in_force or "GTC")


def is_forced(order: OrderRecord) -> bool:
    """Return whether the venue has closed a position with it: liquidation, or deleveraging."""
    return order.client_order_id.startswith(FORCED)


def trail_of(order: OrderRecord) -> dict[str, str]:
    """Return the fields that only a trailing stop has."""
    if order.terms is None or order.terms.trail is None:
        return {}
    rate, activation = order.terms.trail * 100, order.terms.activation or order.terms.best
    return {"activatePrice": text(activation or ZERO), "priceRate": text(rate)}


def text(value: Decimal) -> str:
    """Return a decimal as the venue writes it: plain, without zeros at the end."""
    return f"{value.normalize() if value else ZERO:f}"
