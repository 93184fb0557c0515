"""An order as AsterDEX wants it written: exact decimals as text, and only fields that belong to its type. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.venue import NewOrder, OrderReport, OrderType, TimeInForce
from trading.exchange.base import Refusal, Refused

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")


def order_form(order: NewOrder, spec: InstrumentSpec | None) -> dict[str, str]:
    """Return the parameters of POST order. Raises Refused for an order that the venue could only refuse.

    Nothing is rounded here: who decided on a size has rounded it. `spec` is None for what lowers exposure: that is
    never refused for a tick or step, since the venue's rules may have changed since they were read.
    """
    _check_fields(order)
    if spec is not None:
        _check_filters(order, spec)
    form = {"symbol": order.symbol, "side": order.side.value, "type": order.type.value}
    if order.type is OrderType.LIMIT:
        form |= {"timeInForce": (order.time_in_force or TimeInForce.GTC).value}
    form |= {name: written(value) for name, value in _numbers(order).items() if value is not None}
    if order.type.conditional:
        form["workingType"] = "MARK_PRICE"
    if order.reduce_only:
        form["reduceOnly"] = "true"
    if order.close_position:
        form["closePosition"] = "true"
    return form | {"newClientOrderId": order.client_order_id, "newOrderRespType": "RESULT"}


def lowers(order: NewOrder) -> bool:
    """Return whether an order can only make a position smaller."""
    return order.reduce_only or order.close_position


def is_meant(order: NewOrder, found: OrderReport) -> bool:
    """Return whether an order at the venue is the one that was to be placed, and not another of the same client id."""
    if (found.side, found.type, found.close_position) != (order.side, order.type, order.close_position):
        return False
    if (found.trigger, found.reduce_only or found.close_position) != (order.trigger, lowers(order)):
        return False
    # A MARKET order has no price, and one that closes the position no quantity: what is told of these says nothing.
    return order.price in (None, found.price) and order.quantity in (None, found.quantity)


def written(value: Decimal) -> str:
    """Return a number with all its digits and no more: no exponent, no zeros at the end."""
    return format(value.normalize(), "f")


def _numbers(order: NewOrder) -> Mapping[str, Decimal | None]:
    return {"quantity": order.quantity, "price": order.price, "stopPrice": order.trigger}


def _check_fields(order: NewOrder) -> None:
    limit, conditional = order.type is OrderType.LIMIT, order.type.conditional
    if not CLIENT_ID.fullmatch(order.client_order_id):
        raise Refused(f"{order.client_order_id!r} is no client id: 1 to 36 letters, digits or . : / _ -")
    if (order.price is not None) != limit or (order.trigger is not None) != conditional:
        raise Refused(f"A {order.type} order of {order.symbol} has a price too few or too many.")
    if order.time_in_force is not None and not limit:
        raise Refused(f"A {order.type} order of {order.symbol} takes no time in force.")
    if (order.quantity is None) != order.close_position:
        raise Refused(f"An order of {order.symbol} has a quantity, or closes the position: one of the two.")
    if order.close_position and (order.reduce_only or not conditional):
        raise Refused(f"closePosition on {order.symbol} goes with a trigger, without reduceOnly.")
    for name, value in _numbers(order).items():
        if value is not None and not (value.is_finite() and value > 0):
            raise Refused(f"{name} {value} of an order of {order.symbol} is not above zero.", refusal=Refusal.FILTER)


def _check_filters(order: NewOrder, spec: InstrumentSpec) -> None:
    for value in (order.price, order.trigger):
        if value is not None and (value - spec.min_price) % spec.tick_size:
            text = f"{written(value)} is not on the tick {written(spec.tick_size)} of {spec.symbol}."
            raise Refused(text, refusal=Refusal.FILTER)
    market = order.type is not OrderType.LIMIT
    step = (market and spec.market_step_size) or spec.step_size
    if order.quantity is not None and order.quantity % step:
        text = f"{written(order.quantity)} is not a multiple of the step {written(step)} of {spec.symbol}."
        raise Refused(text, refusal=Refusal.FILTER)
