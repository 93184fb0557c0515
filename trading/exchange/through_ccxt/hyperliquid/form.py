"""An order as Hyperliquid wants it written: exact decimals as text, and prices that the venue has. Pure.

The venue has no tick: a price has at most five significant figures and six decimals less those of quantities, and whole
numbers are always allowed. It has no market orders either: those are limits beyond the touch that expire at once.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from marketdata.domain.instruments import InstrumentSpec
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.exchange.aster.form import written
from trading.exchange.base import Refusal, Refused

FIGURES: Final = 5
MOST_DECIMALS: Final = 6
SLIPPAGE: Final = Decimal("0.05")
"""How far beyond the touch a market order may go, as a share of the price."""
STOP_SLIPPAGE: Final = Decimal("0.2")
"""The same for a stop or target from its trigger. Wide: one that cannot fill protects nothing."""
IN_FORCE: Final = {TimeInForce.GTC: "Gtc", TimeInForce.IOC: "Ioc", TimeInForce.GTX: "Alo"}


def checked(order: NewOrder, spec: InstrumentSpec | None) -> None:
    """Raise Refused for an order that the venue could only refuse. `spec` is None for what only lowers exposure."""
    limit, conditional = order.type is OrderType.LIMIT, order.type.conditional
    if (order.price is not None) != limit or (order.trigger is not None) != conditional:
        raise Refused(f"A {order.type} order of {order.symbol} has a price too few or too many.")
    if order.time_in_force is not None and not limit:
        raise Refused(f"A {order.type} order of {order.symbol} takes no time in force.")
    if (order.quantity is None) != order.close_position:
        raise Refused(f"An order of {order.symbol} has a quantity, or closes the position: one of the two.")
    if order.close_position and (order.reduce_only or not conditional):
        raise Refused(f"closePosition on {order.symbol} goes with a trigger, without reduceOnly.")
    for name, value in (("quantity", order.quantity), ("price", order.price), ("trigger", order.trigger)):
        if value is not None and not (value.is_finite() and value > 0):
            raise Refused(f"{name} {value} of an order of {order.symbol} is not above zero.", refusal=Refusal.FILTER)
    if spec is not None:
        _check_rules(order, spec)


def _check_rules(order: NewOrder, spec: InstrumentSpec) -> None:
    for value in (order.price, order.trigger):
        if value is not None and fitting(value, decimals_of(spec.step_size), up=True) != value:
            text = f"{written(value)} is no price of {spec.symbol}: five figures, and few decimals."
            raise Refused(text, refusal=Refusal.FILTER)
    if order.quantity is not None and order.quantity % spec.step_size:
        text = f"{written(order.quantity)} is not a multiple of the step {written(spec.step_size)} of {spec.symbol}."
        raise Refused(text, refusal=Refusal.FILTER)


def wire(order: NewOrder, *, asset: int, decimals: int, cloid: str | None, touch: Decimal | None) -> dict[str, Any]:
    """Return the order for POST exchange, its fields in the order in which they are signed.

    `decimals` are those of quantities; `touch` is what a market order would meet, needed for such only. Prices of an
    order that lowers exposure are fitted to the venue's, so that a stop fires no later than it was asked to.
    """
    buys = order.side is OrderSide.BUY
    kind: dict[str, Any] = {"limit": {"tif": IN_FORCE[order.time_in_force or TimeInForce.GTC]}}
    if order.type.conditional:
        stops = order.type is OrderType.STOP_MARKET
        # A sell stop fires on the way down, so a higher trigger is the earlier one; for a target it is the lower one.
        trigger = fitting(_there(order.trigger), decimals, up=stops is not buys)
        price = worst(trigger, order.side, STOP_SLIPPAGE, decimals)
        kind = {"trigger": {"isMarket": True, "triggerPx": written(trigger), "tpsl": "sl" if stops else "tp"}}
    elif order.type is OrderType.MARKET:
        price = worst(_there(touch), order.side, SLIPPAGE, decimals)
        kind = {"limit": {"tif": "Ioc"}}
    else:
        price = fitting(_there(order.price), decimals, up=not buys)
    made = {
        "a": asset,
        "b": buys,
        "p": written(price),
        "s": written(_there(order.quantity)),
        "r": order.reduce_only,
        "t": kind,
    }
    return made | ({"c": cloid} if cloid else {})


def worst(price: Decimal, side: OrderSide, slippage: Decimal, decimals: int) -> Decimal:
    """Return the worst price that an order of this side may be filled at."""
    return fitting(price * (1 + side.sign * slippage), decimals, up=side is OrderSide.BUY)


def fitting(price: Decimal, decimals: int, *, up: bool) -> Decimal:
    """Return the nearest price that the venue has, at or above (below) this one. Never zero."""
    places = MOST_DECIMALS - decimals
    finest = max(price.adjusted() - FIGURES + 1, -places)
    step = Decimal(1).scaleb(min(finest, 0))
    fitted = (price / step).to_integral_value(rounding=ROUND_CEILING if up else ROUND_FLOOR) * step
    return max(fitted, step)


def decimals_of(step: Decimal) -> int:
    """Return how many decimals quantities on this step have."""
    return max(-step.normalize().as_tuple().exponent, 0)  # type: ignore[operator]


def _there(value: Decimal | None) -> Decimal:
    """Return a number that `checked` has made sure of."""
    if value is None:
        raise Refused("An order lacks a number that it needs.")
    return value
