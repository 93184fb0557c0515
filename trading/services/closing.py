"""Closing a position. Nothing holds it up: no claim, no rule, no limit, no instrument that is not listed any more."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.orders import WORKING, new_client_order_id
from trading.domain.venue import NewOrder, OrderSide, OrderType
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.services.journal.base import TrackedOrder
from trading.services.orders import book, cancel, send, venue_quantity
from trading.services.world import World
from vibex.lib.errors import Rejected, Retryable

CLOSE_TRIES: Final = 3
"""Tries that change nothing; one that made the position smaller does not count."""
MOST_CLOSES: Final = 50
"""A position of so many times the largest order is left to the next look."""


def flatten(world: World, symbol: str, *, purpose: str, ruling: int | None = None) -> bool:
    """Close all of a position at market, reduce-only, and sweep its children. Returns whether the exchange shows it flat."""
    tries, smallest = 0, Decimal("Infinity")
    for _ in range(MOST_CLOSES):
        left = _close_once(world, symbol, purpose=purpose, ruling=ruling)
        if left == 0:
            break
        tries, smallest = (1, left) if left is not None and left < smallest else (tries + 1, smallest)
        if tries >= CLOSE_TRIES:
            break
    book(world, symbol)
    flat = venue_quantity(world, symbol) == 0
    if flat:
        cancel_children(world, symbol)
        for kind in ("not-flat", "close-refused"):
            world.journal.mended(kind, symbol)
    else:
        text = f"{symbol}: the position could not be closed"
        world.journal.incident("not-flat", text, critical=True, subject=symbol)
    return flat


def _close_once(world: World, symbol: str, *, purpose: str, ruling: int | None) -> Decimal | None:
    """Close what is open now; return how much that was, zero when flat, None when it cannot be read."""
    size = None
    try:
        held = _held(world, symbol)
        if held is None:
            return Decimal(0)
        size = held.quantity
        send(world, _close(world, symbol, held), role=Role.CLOSE, ruling=ruling, purpose=purpose)
    except Refused as refusal:
        if refusal.refusal is not Refusal.REDUCE_ONLY:
            world.journal.incident("close-refused", f"{symbol}: {refusal}", critical=True, subject=symbol)
    except (Unavailable, Ambiguous):
        world.sleep(0.5)
    return size


def cancel_children(world: World, symbol: str) -> list[str]:
    """Cancel our working stops and targets of a symbol; return in words what was cancelled."""
    cancelled = []
    for child in children(world, symbol):
        cancel(world, child.order)
        cancelled.append(f"{symbol}: a {child.role} without a position was cancelled")
    return cancelled


def children(world: World, symbol: str) -> list[TrackedOrder]:
    """Return our working stops and targets of a symbol."""
    return [
        child
        for child in world.journal.orders()
        if child.ours and child.order.symbol == symbol and child.role.protects and child.facts.state in WORKING
    ]


@dataclass(frozen=True, slots=True)
class _Open:
    """What is to be closed."""

    side: Side
    quantity: Decimal


def _held(world: World, symbol: str) -> _Open | None:
    """Return side and size to be closed: as the exchange states it, or as our books do while it does not answer.

    A close is reduce-only, so one that follows books which are behind closes too little, never too much.
    """
    try:
        held = world.exchange.account().position(symbol)
    except Unavailable:
        ours = next((position for position in world.journal.positions() if position.symbol == symbol), None)
        ours = ours or world.journal.unbooked(symbol)
        if ours is None:
            raise
        return _Open(ours.side, ours.quantity)
    return _Open(held.side, held.quantity) if held else None


def _close(world: World, symbol: str, held: _Open) -> NewOrder:
    quantity = held.quantity
    with suppress(Rejected, Retryable):  # where the rules cannot be read, the venue shall say what is too much
        quantity = market_piece(world.market.instrument(symbol), quantity)
    return NewOrder(
        client_order_id=new_client_order_id(world.installation),
        symbol=symbol,
        side=OrderSide.to_close(held.side),
        type=OrderType.MARKET,
        quantity=quantity,
        reduce_only=True,
    )


def market_piece(rules: InstrumentSpec, quantity: Decimal) -> Decimal:
    """Return how much of a position one market order may close: all of it, or as much as leaves an order for the rest."""
    most = min(rules.max_quantity, rules.market_max_quantity or rules.max_quantity)
    if quantity <= most:
        return quantity
    step, least = max(rules.step_size, rules.market_step_size), max(rules.min_quantity, rules.market_min_quantity)
    short = max(Decimal(0), least - (quantity - most))  # what would be left is less than the least order
    piece = (most - short) // step * step
    return piece if piece >= least else most
