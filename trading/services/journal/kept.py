"""What the journal of a backtest keeps of an order, a position and a lock, and how the port tells of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Ruling
from trading.domain.books import BookedPosition
from trading.domain.history import Ended
from trading.domain.orders import OrderFacts
from trading.domain.venue import ZERO, NewOrder
from trading.services.journal.base import Bracket, TrackedOrder, TrackedPosition


@dataclass(slots=True)
class KeptOrder:
    """One order with everything that is known of it."""

    role: Role
    order: NewOrder
    facts: OrderFacts
    planned_at: datetime
    ruling: Ruling | None
    purpose: str
    sent_at: datetime | None = None
    absent_answers: int = 0
    traded: Decimal = ZERO
    traded_value: Decimal = ZERO
    told: TrackedOrder | None = None
    """As it was told last; None when something has changed since."""

    def tracked(self) -> TrackedOrder:
        """Return it as the port tells it."""
        self.told = TrackedOrder(self.role, self.order, self.facts, self.planned_at, self.sent_at, self.absent_answers)
        return self.told


@dataclass(slots=True)
class KeptPosition:
    """An open position with its protection and the ruling it came from."""

    booked: BookedPosition
    stop: Decimal | None = None
    target: Decimal | None = None
    bracket: Bracket = Bracket.NONE
    leverage: int = 1
    ruling: Ruling | None = None
    exit_reason: str = ""
    adopted: bool = False
    told: TrackedPosition | None = None
    """As it was told last; None when something has changed since."""


@dataclass(frozen=True, slots=True)
class KeptLock:
    """A limit that fired. Nobody lifts it: one of the day ends with the day, any other holds until the run is over."""

    symbol: str
    kind: str
    reason: str
    since: datetime
    until: datetime | None

    def holds(self, at: datetime) -> bool:
        return self.until is None or at < self.until


def tracked_entry(order: NewOrder, facts: OrderFacts, at: datetime, ruling: Ruling | None) -> TrackedPosition:
    """Return what an entry order filled as a position whose trades are not booked yet."""
    proposal = ruling.proposal if ruling else None
    return TrackedPosition(
        symbol=order.symbol,
        side=order.side.opens,
        quantity=facts.filled,
        entry_price=facts.average_price or order.price or ZERO,
        leverage=(ruling.leverage if ruling else None) or 1,
        opened_at=at,
        stop=proposal.stop_loss if proposal else None,
        target=proposal.profit_target if proposal else None,
        foreign=ruling is None,
    )


def ended_of(position: BookedPosition, at: datetime) -> Ended:
    """Return how a position ended, as those ask who rule on entries."""
    return Ended(position.symbol, position.side, position.opened_at, at, position.net)


def tracked_of(kept: KeptPosition) -> TrackedPosition:
    """Return a position as the port tells it, and keep that until something changes."""
    booked, proposal = kept.booked, kept.ruling.proposal if kept.ruling else None
    entry, stop, target = booked.cost / booked.quantity, kept.stop, kept.target
    foreign = kept.ruling is None and not kept.adopted
    if proposal is None:
        told = TrackedPosition(
            booked.symbol, booked.side, booked.quantity, entry, kept.leverage, booked.opened_at, stop, target, kept.bracket,
            foreign=foreign,
        )  # fmt: skip
    else:
        told = TrackedPosition(
            booked.symbol, booked.side, booked.quantity, entry, kept.leverage, booked.opened_at, stop or proposal.stop_loss,
            target or proposal.profit_target, kept.bracket, proposal.invalidation_condition, proposal.confidence,
            proposal.risk_usd, foreign,
        )  # fmt: skip
    kept.told = told
    return told
