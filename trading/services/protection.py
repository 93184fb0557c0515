"""No position without a stop that the exchange shows: place it, read it back, and close what cannot be protected."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum

from decisions.domain.portfolio import Role
from trading.domain.orders import WORKING, new_client_order_id
from trading.domain.venue import NewOrder, OrderSide, OrderType
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.services.journal.base import Bracket, TrackedPosition
from trading.services.orders import book, cancel, send, venue_quantity
from trading.services.world import World

STOP_TRIES = 2
CLOSE_TRIES = 3


class Protection(StrEnum):
    """How the attempt to protect a position ended."""

    ARMED = "armed"
    """Its stop stands on the exchange."""
    CLOSED = "closed"
    """The stop failed and the position was closed, or it was gone already."""
    NAKED = "naked"
    """The stop failed and the position could not be closed either: the guard goes on, a person is told."""


def protect(
    world: World, position: TrackedPosition, *, stop: Decimal, target: Decimal | None, leverage: int | None = None
) -> Protection:
    """Place the stop, read it back, then place the target. Flattens when the stop fails."""
    world.journal.bracket(position.symbol, Bracket.ARMING, stop=stop, target=target, leverage=leverage)
    protection = _place_stop(world, position, stop)
    if protection is Protection.ARMED:
        world.journal.bracket(position.symbol, Bracket.ARMED, verified_at=world.clock.now())
        if target is not None:
            place_target(world, position, target)
    return protection


def place_target(world: World, position: TrackedPosition, target: Decimal) -> None:
    """Place the target. Its absence is an incident, not a danger: the stop stands."""
    try:
        send(world, child_order(world.installation, position, Role.TARGET, target), role=Role.TARGET)
    except Refused as refusal:
        if refusal.refusal is Refusal.WOULD_TRIGGER:
            flatten(world, position.symbol, purpose="target")  # the price is there already: take it
        else:
            world.journal.incident("target-failed", f"{position.symbol}: {refusal}")
    except (Unavailable, Ambiguous) as fault:
        world.journal.incident("target-failed", f"{position.symbol}: {fault}")


def child_order(installation: str, position: TrackedPosition, role: Role, trigger: Decimal) -> NewOrder:
    """Return the stop or the target of a position: closes all of it when the mark price reaches the trigger."""
    return NewOrder(
        client_order_id=new_client_order_id(installation),
        symbol=position.symbol,
        side=OrderSide.to_close(position.side),
        type=OrderType.STOP_MARKET if role is Role.STOP else OrderType.TAKE_PROFIT_MARKET,
        trigger=trigger,
        close_position=True,
    )


def flatten(world: World, symbol: str, *, purpose: str, ruling: int | None = None) -> bool:
    """Close all of a position at market, reduce-only, and sweep its children. Returns whether the exchange shows it flat."""
    for _ in range(CLOSE_TRIES):
        try:
            held = world.exchange.account().position(symbol)
            if held is None:
                break
            spec = world.market.instrument(symbol)
            order = NewOrder(
                client_order_id=new_client_order_id(world.installation),
                symbol=symbol,
                side=OrderSide.to_close(held.side),
                type=OrderType.MARKET,
                quantity=min(held.quantity, spec.max_quantity),
                reduce_only=True,
            )
            send(world, order, role=Role.CLOSE, ruling=ruling, purpose=purpose)
        except Refused as refusal:
            if refusal.refusal is not Refusal.REDUCE_ONLY:
                world.journal.incident("close-refused", f"{symbol}: {refusal}", critical=True)
        except (Unavailable, Ambiguous):
            world.sleep(0.5)
    book(world, symbol)
    flat = venue_quantity(world, symbol) == 0
    if flat:
        cancel_children(world, symbol)
    else:
        world.journal.incident("not-flat", f"{symbol}: the position could not be closed", critical=True)
    return flat


def cancel_children(world: World, symbol: str) -> None:
    """Cancel our working stops and targets of a symbol."""
    for child in world.journal.orders():
        if child.order.symbol == symbol and child.role.protects and child.facts.state in WORKING:
            cancel(world, child)


def _place_stop(world: World, position: TrackedPosition, stop: Decimal) -> Protection:
    fault = ""
    for _ in range(STOP_TRIES):
        order = child_order(world.installation, position, Role.STOP, stop)
        try:
            send(world, order, role=Role.STOP)
            if _read_back(world, order):
                return Protection.ARMED
            fault = "it is not among the working orders"
        except Refused as refusal:
            fault = str(refusal)
            if refusal.refusal is Refusal.WOULD_TRIGGER:
                break  # the price has passed it: only closing is left
        except (Unavailable, Ambiguous) as unanswered:
            fault = str(unanswered)
    if venue_quantity(world, position.symbol) == 0:
        book(world, position.symbol)
        return Protection.CLOSED  # gone meanwhile: nothing is left to protect
    text = f"{position.symbol}: the stop at {stop:f} could not be confirmed ({fault})"
    world.journal.incident("stop-failed", text, critical=True)
    return Protection.CLOSED if flatten(world, position.symbol, purpose="flatten") else Protection.NAKED


def _read_back(world: World, order: NewOrder) -> bool:
    state = world.exchange.account()
    shown = next((report for report in state.orders if report.client_order_id == order.client_order_id), None)
    return shown is not None and shown.status.open and shown.trigger == order.trigger
