"""The Exchange port. Every adapter speaks it and passes the same compliance suite."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from trading.domain.venue import AccountState, Income, NewOrder, OrderReport, Trade
from vibex.lib.errors import NeedsOperator, Rejected, Retryable


class Refusal(StrEnum):
    """Why an exchange refused, as far as somebody acts on it."""

    WOULD_TRIGGER = "would_trigger"
    """The stop would fire at once: the position must be closed."""
    REDUCE_ONLY = "reduce_only"
    """Nothing to reduce: read the position again."""
    MARGIN = "margin"
    FILTER = "filter"
    """Tick, step, minimum or maximum of the instrument."""
    DUPLICATE_ID = "duplicate_id"
    UNKNOWN_ORDER = "unknown_order"
    UNKNOWN_SYMBOL = "unknown_symbol"
    LEVERAGE = "leverage"
    OTHER = "other"


class Refused(Rejected):
    """The exchange says no: nothing happened there, and that is certain."""

    def __init__(self, message: str, *, refusal: Refusal = Refusal.OTHER) -> None:
        super().__init__(message, code=refusal.value)
        self.refusal = refusal


class Held(Refused, NeedsOperator):
    """The exchange says no, that is certain, and only a person can put it right: nothing is opened until then."""


class Unavailable(Retryable):
    """The exchange could not be asked. Nothing was sent, or it was only a question."""


class Ambiguous(Retryable):
    """An order left, and nobody knows whether it arrived. Ask for its client id; never send it again blindly."""


class Exchange(Protocol):
    """One account at one venue. Calls may wait for a network: never inside a database transaction."""

    supports_close_position: bool
    """Whether an order can close whatever is there when it fires. Elsewhere stops and targets are by quantity."""
    income_reach: timedelta | None
    """How far back `income` tells; None: from the first payment on."""

    def urgent(self) -> Exchange:
        """Return the same account for closing and for what proves it: it waits behind nothing else of ours."""
        ...

    def account(self) -> AccountState:
        """Return balance, positions and open orders. Raises Unavailable."""
        ...

    def place(self, order: NewOrder) -> OrderReport:
        """Place an order. Raises Refused (certainly not placed), Unavailable (never left) or Ambiguous."""
        ...

    def cancel(self, *, symbol: str, client_order_id: str) -> OrderReport:
        """Cancel an open order. Raises Refused with UNKNOWN_ORDER when it is not open, Unavailable or Ambiguous."""
        ...

    def order(self, *, symbol: str, client_order_id: str) -> OrderReport | None:
        """Return what became of an order, None for a clean "no such order". Raises Unavailable: that proves nothing."""
        ...

    def trades(self, *, symbol: str, since: datetime) -> list[Trade]:
        """Return executions at or after `since`, oldest first. Raises Unavailable."""
        ...

    def income(self, *, since: datetime) -> list[Income]:
        """Return changes of the wallet at or after `since`, oldest first. Raises Unavailable."""
        ...

    def set_leverage(self, *, symbol: str, leverage: int) -> int:
        """Set the leverage of a symbol and return what the exchange now says. Raises Refused while a position is open."""
        ...
