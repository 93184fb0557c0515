"""What the matching engine is made of: its settings, its records and its state. All of it plain and frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar, Final

from decisions.domain.proposal import Side
from trading.domain.venue import (
    ZERO,
    Income,
    NewOrder,
    OrderReport,
    OrderSide,
    OrderType,
    TimeInForce,
    Trade,
    VenueStatus,
)
from vibex.lib.errors import Rejected
from vibex.lib.money import booked
from vibex.lib.records import record

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SHOWN: Final = Context(prec=14, rounding=ROUND_HALF_EVEN)
"""Derived prices (average, entry, liquidation) are shown with 14 significant digits; nothing is booked from them."""


def shown(value: Decimal) -> Decimal:
    """Round a derived price for display to 14 significant digits."""
    return SHOWN.plus(value)


class MarginMode(StrEnum):
    ISOLATED = "isolated"
    """Each position can lose its own margin and no more by liquidation."""
    CROSS = "cross"
    """The whole equity of the account carries all positions."""


class Orphans(StrEnum):
    """What becomes of the other closePosition orders of a symbol once the position is flat."""

    KEEP = "keep"
    """They stay open, the worse case reported for live venues."""
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """How the simulated venue behaves. Shares are fractions: 0.0002 is two basis points."""

    margin_mode: MarginMode = MarginMode.ISOLATED
    spread: Decimal = Decimal("0.0002")
    """Ask − bid as a share of the price, where only bars are known."""
    slippage: Decimal = ZERO
    """How far beyond the touch a taker is filled, as a share of the price."""
    stop_slippage_range: Decimal = Decimal("0.05")
    """A stop or target that fires inside a bar slips by at least this share of the bar's range (and the spread)."""
    margin_buffer: Decimal = Decimal("0.001")
    """Share of the notional that must stay free on top of margin and fee when an order is placed."""
    orphans: Orphans = Orphans.KEEP
    default_leverage: int = 1
    max_open_orders: int = 200


class EngineRefusal(Rejected):
    """The venue says no and nothing happened. `code` is a value of `trading.exchange.base.Refusal`."""

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code)


@record()
class PositionRecord:
    """An open position. `quantity` and `cost` are signed alike (negative for a short); cost and margin in quote units."""

    symbol: str
    quantity: Decimal
    cost: Decimal
    margin: Decimal
    """What isolated margin has set aside for it."""
    leverage: int
    opened: datetime

    @property
    def sign(self) -> int:
        return 1 if self.quantity > ZERO else -1

    @property
    def side(self) -> Side:
        return Side.LONG if self.quantity > ZERO else Side.SHORT

    @property
    def size(self) -> Decimal:
        return abs(self.quantity)

    @property
    def entry_price(self) -> Decimal:
        """Average entry from cost ÷ quantity, for display."""
        return SHOWN.divide(self.cost, self.quantity)

    def unrealised(self, mark: Decimal) -> Decimal:
        """Return profit or loss at `mark`, booked to 8 decimals."""
        return booked(mark * self.quantity) - self.cost


@dataclass(frozen=True, slots=True)
class Terms:
    """Terms of an order that the Exchange port does not know: the test exchange asks for them, Vibex itself never does.

    A stop or target with terms may have a price: then it becomes a limit when it fires.
    """

    whole: bool = False
    """Filled at once and whole, or not at all. Such a limit is IOC."""
    protect: Decimal | None = None
    """It does not fire while mark and last price are further apart than this share of the mark."""
    trail: Decimal | None = None
    """Share by which a trailing stop follows the best price that came after its activation."""
    activation: Decimal | None = None
    """The price that a trailing stop waits for before it follows; None: it follows at once."""
    best: Decimal | None = None
    """The best price that a trailing stop has seen; None before its activation."""
    fired: bool = False
    """Its trigger has been met, and it is a limit from then on."""

    @property
    def dormant(self) -> bool:
        return self.trail is not None and self.best is None


@record(slots=False)
class OrderRecord:
    """An order as the venue keeps it. `quantity` is zero for closePosition until it fires."""

    exchange_id: int
    client_order_id: str
    symbol: str
    side: OrderSide
    type: OrderType
    time_in_force: TimeInForce | None
    status: VenueStatus
    quantity: Decimal
    price: Decimal | None
    trigger: Decimal | None
    reduce_only: bool
    close_position: bool
    filled: Decimal
    filled_cost: Decimal
    """Sum of price × quantity of its fills, quote units, booked."""
    created: datetime
    updated: datetime
    on_last: bool = False
    """Its trigger waits for the last price instead of the mark: for the test exchange, Vibex itself never asks for it."""
    terms: Terms | None = None

    @classmethod
    def accepted(
        cls, order: NewOrder, *, exchange_id: int, at: datetime, on_last: bool = False, terms: Terms | None = None
    ) -> OrderRecord:
        """Return the record of an order that has just passed all checks."""
        quantity, in_force = order.quantity or ZERO, _time_in_force(order)
        return cls(
            exchange_id, order.client_order_id, order.symbol, order.side, order.type, in_force, VenueStatus.NEW, quantity,
            order.price, order.trigger, order.reduce_only, order.close_position, ZERO, ZERO, at, at, on_last, terms,
        )  # fmt: skip

    @property
    def remaining(self) -> Decimal:
        return self.quantity - self.filled

    @property
    def only_reduces(self) -> bool:
        return self.reduce_only or self.close_position

    @property
    def waiting(self) -> bool:
        """True while it waits for a trigger, or for its activation."""
        return self.type.conditional and (self.terms is None or not self.terms.fired)

    @property
    def whole(self) -> bool:
        """True when it is filled whole or not at all."""
        return self.terms is not None and self.terms.whole

    @property
    def is_stop(self) -> bool:
        """True for a stop that would fire; not for a trailing one before its activation."""
        if self.type is not OrderType.STOP_MARKET:
            return False
        return self.terms is None or not (self.terms.fired or self.terms.dormant)

    @property
    def takes_profit(self) -> bool:
        """True for a target: take-profit, or a limit that can only reduce."""
        if self.waiting:
            return self.type is OrderType.TAKE_PROFIT_MARKET
        return self.reduce_only and self.price is not None

    @property
    def waits_below(self) -> bool:
        """True when a falling price reaches it: sell stop, buy target, buy limit, activation of a trailing buy."""
        is_stop = self.type is OrderType.STOP_MARKET if self.terms is None else self.is_stop
        return (self.side is OrderSide.SELL) == is_stop

    @property
    def level(self) -> Decimal:
        """The price it waits for: the trigger (mark, or last) of a conditional order, the price (last) of a limit."""
        if self.terms is not None:
            if self.terms.fired:
                return self.price or ZERO
            if self.terms.dormant:
                return self.terms.activation or ZERO
        return self.trigger or self.price or ZERO

    def following(self, price: Decimal) -> OrderRecord:
        """Return a trailing stop with `price` as the best that it has seen, and its trigger behind that."""
        terms = self.terms
        if terms is None or terms.trail is None:
            return self
        trigger = price * (1 + self.side.sign * terms.trail)
        return replace(self, trigger=trigger, terms=replace(terms, best=price))

    def taking_over(self, before: OrderRecord) -> OrderRecord:
        """Return the order with what another one, whose place it takes, has filled."""
        if not before.filled:
            return self
        return replace(self, status=VenueStatus.PARTIALLY_FILLED, filled=before.filled, filled_cost=before.filled_cost)

    def with_fill(self, *, quantity: Decimal, cost: Decimal, at: datetime) -> OrderRecord:
        """Return the record after an execution of `quantity` for `cost` quote units."""
        filled = self.filled + quantity
        wanted = self.quantity or filled
        status = VenueStatus.FILLED if filled == wanted else VenueStatus.PARTIALLY_FILLED
        return self._amended(status, wanted, filled, self.filled_cost + cost, at)

    def ended(self, status: VenueStatus, at: datetime) -> OrderRecord:
        """Return the record with a final status, never dated before its creation: a liquidation may be seen late."""
        return self._amended(status, self.quantity, self.filled, self.filled_cost, max(at, self.created))

    def _amended(
        self, status: VenueStatus, quantity: Decimal, filled: Decimal, cost: Decimal, updated: datetime
    ) -> OrderRecord:
        """Return what `replace` returns, in a tenth of its time: a fill and an end are what orders are made of."""
        return OrderRecord(
            self.exchange_id, self.client_order_id, self.symbol, self.side, self.type, self.time_in_force, status, quantity,
            self.price, self.trigger, self.reduce_only, self.close_position, filled, cost, self.created, updated,
            self.on_last, self.terms,
        )  # fmt: skip

    _told: ClassVar[OrderReport | None] = None
    """Its report, once somebody has asked: in the record's own dictionary, not among its fields."""

    @property
    def report(self) -> OrderReport:
        """What the venue says of it."""
        told = self._told
        if told is None:
            told = self.__dict__["_told"] = self._reported()
        return told

    def _reported(self) -> OrderReport:
        average = SHOWN.divide(self.filled_cost, self.filled) if self.filled else None
        return OrderReport(
            self.client_order_id, str(self.exchange_id), self.symbol, self.side, self.type, self.status, self.quantity,
            self.filled, average, self.price, self.trigger, self.reduce_only, self.close_position, self.updated,
        )  # fmt: skip


def _time_in_force(order: NewOrder) -> TimeInForce | None:
    if order.price is not None:
        return order.time_in_force or TimeInForce.GTC
    return order.time_in_force


@dataclass(frozen=True, slots=True)
class Prices:
    """The prices of a symbol that the engine saw last. Bid and ask are None after a bar, which has none."""

    last: Decimal
    mark: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None


@dataclass(frozen=True, slots=True)
class EngineState:
    """Everything the engine needs to go on: written after an event, read before the next."""

    wallet: Decimal = ZERO
    next_id: int = 1
    leverages: Mapping[str, int] = field(default_factory=dict)
    positions: tuple[PositionRecord, ...] = ()
    orders: tuple[OrderRecord, ...] = ()
    """Open orders only, oldest first."""
    prices: Mapping[str, Prices] = field(default_factory=dict)


@record()
class Changes:
    """What happened since the last look: executions, changes of the wallet, orders that are new or different."""

    trades: tuple[Trade, ...] = ()
    income: tuple[Income, ...] = ()
    orders: tuple[OrderRecord, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.trades or self.income or self.orders)


def state_to_plain(state: EngineState) -> dict[str, Any]:
    """Return the state as JSON-ready data: decimals and times as text."""
    plain: dict[str, Any] = _adapter().dump_python(state, mode="json")
    return plain


def state_from_plain(plain: Mapping[str, Any]) -> EngineState:
    """Return the state that `state_to_plain` wrote. Raises pydantic.ValidationError for anything else."""
    return _adapter().validate_python(plain)


@cache
def _adapter() -> TypeAdapter[EngineState]:
    from pydantic import TypeAdapter  # the models of every process import this module; few processes keep a state

    return TypeAdapter(EngineState)
