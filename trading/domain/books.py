"""What trades make of a position. Pure: a position and a trade in, a position out.

The realised result is the exchange's own figure for each trade, so that the books tie out with it to the cent.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.venue import ZERO, OrderSide, Trade
from vibex.lib.money import booked
from vibex.lib.records import record


@record()
class BookedPosition:
    """A position from its first trade to flat. `cost` is what the open quantity cost, in quote units."""

    symbol: str
    side: Side
    quantity: Decimal
    cost: Decimal
    opened_at: datetime
    bought: Decimal
    """Quantity ever added."""
    bought_value: Decimal
    """Quote units ever paid for it."""
    sold: Decimal = ZERO
    sold_value: Decimal = ZERO
    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    peak: Decimal = ZERO
    closed_at: datetime | None = None

    @property
    def entry_price(self) -> Decimal:
        """Average entry over the whole life."""
        return self.bought_value / self.bought

    @property
    def exit_price(self) -> Decimal | None:
        """Average exit, None while nothing was sold."""
        return self.sold_value / self.sold if self.sold else None

    @property
    def net(self) -> Decimal:
        """Realised result after fees and funding."""
        return self.realised - self.fees + self.funding


def apply_trade(position: BookedPosition | None, trade: Trade) -> list[BookedPosition]:
    """Book one trade on the open position of its symbol, None when flat.

    Returns the positions that changed: one, or two when the trade went through zero (the closed one, then the new one).
    A trade beyond the open quantity is split, its fee in proportion; the realised result belongs to the closing part.
    """
    if position is None or position.quantity == 0:
        return [_open(trade, trade.quantity, trade.fee)]
    if OrderSide.to_open(position.side) is trade.side:
        return [_add(position, trade)]
    if trade.quantity <= position.quantity:
        return [_reduce(position, trade, trade.quantity, trade.fee)]
    closing_fee = booked(trade.fee * position.quantity / trade.quantity)
    closed = _reduce(position, trade, position.quantity, closing_fee)
    return [closed, _open(trade, trade.quantity - position.quantity, trade.fee - closing_fee)]


def apply_funding(position: BookedPosition, amount: Decimal) -> BookedPosition:
    """Book a funding payment, positive when received."""
    return replace(position, funding=position.funding + amount)


def exit_reason(role: Role | None, trade: Trade, order_reason: str) -> str:
    """Return in one word why a position ended: stop, target, close, flatten, liquidation, adl or external."""
    if trade.client_order_id.startswith("adl_autoclose"):
        return "adl"
    if trade.client_order_id.startswith("autoclose-"):
        return "liquidation"
    match role:
        case Role.STOP | Role.TARGET:
            return role.value
        case Role.CLOSE:
            return order_reason or "close"
        case _:
            return "external"


def _open(trade: Trade, quantity: Decimal, fee: Decimal) -> BookedPosition:
    value = booked(quantity * trade.price)
    return BookedPosition(
        trade.symbol,
        trade.side.opens,
        quantity,
        value,
        trade.at,
        quantity,
        value,
        ZERO,
        ZERO,
        ZERO,
        fee,
        ZERO,
        quantity,
    )


def _add(position: BookedPosition, trade: Trade) -> BookedPosition:
    value = booked(trade.quantity * trade.price)
    quantity = position.quantity + trade.quantity
    return replace(
        position,
        quantity=quantity,
        cost=position.cost + value,
        bought=position.bought + trade.quantity,
        bought_value=position.bought_value + value,
        fees=position.fees + trade.fee,
        peak=max(position.peak, quantity),
    )


def _reduce(position: BookedPosition, trade: Trade, quantity: Decimal, fee: Decimal) -> BookedPosition:
    left = position.quantity - quantity
    cost = booked(position.cost * left / position.quantity) if left else ZERO
    sold, sold_value = position.sold + quantity, position.sold_value + booked(quantity * trade.price)
    realised, fees, closed_at = position.realised + trade.realised, position.fees + fee, None if left else trade.at
    return BookedPosition(
        position.symbol, position.side, left, cost, position.opened_at, position.bought, position.bought_value, sold,
        sold_value, realised, fees, position.funding, position.peak, closed_at,
    )  # fmt: skip
