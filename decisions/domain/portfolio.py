"""Equity, margin, positions and working orders of an account, as the exchange states them."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from decisions.domain.proposal import Side
from vibex.lib.records import record


class Role(StrEnum):
    """Why an order exists."""

    ENTRY = "entry"
    STOP = "stop"
    TARGET = "target"
    CLOSE = "close"

    protects: bool
    """Whether it is there to close a position when a price is met."""

    def __init__(self, word: str) -> None:
        self.protects = word in ("stop", "target")


@record()
class WorkingOrder:
    """An order that rests on the exchange. `role` is None when it is not one of ours."""

    symbol: str
    client_order_id: str
    role: Role | None
    side: str
    """BUY or SELL, as the exchange writes it."""
    type: str
    quantity: Decimal
    price: Decimal | None = None
    trigger: Decimal | None = None
    reduce_only: bool = False
    close_position: bool = False


@record()
class PositionView:
    """An open position. `quantity` is positive, `side` gives the direction; prices and amounts in quote units."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    leverage: int
    unrealised: Decimal
    margin: Decimal
    liquidation_price: Decimal | None = None
    stop: Decimal | None = None
    target: Decimal | None = None
    opened_at: datetime | None = None
    plan: str = ""
    """The decider's own invalidation condition, as it gave it at entry."""
    confidence: float | None = None
    risk_usd: Decimal | None = None

    @property
    def notional(self) -> Decimal:
        return self.quantity * self.mark_price


@record()
class Portfolio:
    """State of an account at `at`. equity = wallet + unrealised; available is what a new position may use as margin."""

    at: datetime
    wallet: Decimal
    unrealised: Decimal
    margin: Decimal
    available: Decimal
    positions: tuple[PositionView, ...] = ()
    orders: tuple[WorkingOrder, ...] = ()
    starting_balance: Decimal = Decimal(0)

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealised

    def position(self, symbol: str) -> PositionView | None:
        """Return the open position of `symbol`, or None."""
        for position in self.positions:
            if position.symbol == symbol:
                return position
        return None
