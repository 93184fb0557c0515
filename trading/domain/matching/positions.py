"""One-way positions: what a fill makes of a position. Cost based, so that nothing is lost to a rounded average."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.matching.margin import initial_margin
from trading.domain.matching.types import PositionRecord
from trading.domain.venue import ZERO, OrderSide
from vibex.lib.money import booked
from vibex.lib.records import record


@record()
class Applied:
    """The position after a fill (None when flat) and the profit or loss it realised, in quote units."""

    position: PositionRecord | None
    realised: Decimal


def reducible(position: PositionRecord | None, side: OrderSide) -> Decimal:
    """Return how much an order of `side` can take off the position, zero when it cannot."""
    if position is None or position.sign == side.sign:
        return ZERO
    return position.size


def apply_fill(
    position: PositionRecord | None,
    *,
    symbol: str,
    side: OrderSide,
    quantity: Decimal,
    price: Decimal,
    notional: Decimal,
    leverage: int,
    at: datetime,
) -> Applied:
    """Return the position after buying or selling `quantity` at `price`, which is worth `notional`, booked.

    A fill through zero closes what was there, realises its profit and opens the rest. The proceeds of both parts
    add up to the booked notional exactly.
    """
    if position is None:
        return Applied(_increase(None, symbol, side, quantity, notional, leverage, at), ZERO)
    closing = min(quantity, reducible(position, side))
    opening = quantity - closing
    proceeds = booked(price * closing) if opening else notional
    left, realised = _reduce(position, closing, proceeds) if closing else (position, ZERO)
    if opening:
        left = _increase(left, symbol, side, opening, notional - proceeds, leverage, at)
    return Applied(left, realised)


def _reduce(position: PositionRecord, closing: Decimal, proceeds: Decimal) -> tuple[PositionRecord | None, Decimal]:
    if closing == position.size:
        return None, position.side.factor * proceeds - position.cost
    share = closing / position.size
    cost = booked(position.cost * share)
    left = replace(
        position,
        quantity=position.quantity - position.sign * closing,
        cost=position.cost - cost,
        margin=position.margin - booked(position.margin * share),
    )
    return left, position.sign * proceeds - cost


def _increase(
    position: PositionRecord | None,
    symbol: str,
    side: OrderSide,
    opening: Decimal,
    notional: Decimal,
    leverage: int,
    at: datetime,
) -> PositionRecord:
    margin = initial_margin(notional, leverage)
    if position is None:
        return PositionRecord(symbol, side.factor * opening, side.factor * notional, margin, leverage, at)
    return replace(
        position,
        quantity=position.quantity + side.sign * opening,
        cost=position.cost + side.sign * notional,
        margin=position.margin + margin,
    )
