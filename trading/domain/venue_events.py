"""What a venue tells of an account by itself, in the words of the Exchange port. Plain data, applied by the services.

Events may come twice, late or in any order, and some not at all: they make the books quick, never right. What makes
them right is asking; a `Gap` says when.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from decisions.domain.proposal import Side
from trading.domain.venue import OrderReport, Trade


class Execution(StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"
    AMENDMENT = "AMENDMENT"
    CALCULATED = "CALCULATED"
    """Taken over by the venue: a liquidation, or an auto-deleveraging."""
    OTHER = "OTHER"


class TakenBy(StrEnum):
    """Who closed a position without being asked."""

    NOBODY = ""
    LIQUIDATION = "liquidation"
    ADL = "adl"


@dataclass(frozen=True, slots=True)
class OrderChanged:
    """An order as it is after something happened to it; `trade` is the execution, where it was one."""

    at: datetime
    """Event time of the venue."""
    execution: Execution
    report: OrderReport
    trade: Trade | None = None
    taken_by: TakenBy = TakenBy.NOBODY


@dataclass(frozen=True, slots=True)
class PositionTold:
    """A position as an account event tells it. `quantity` is positive, zero when flat."""

    symbol: str
    side: Side
    quantity: Decimal
    entry_price: Decimal


@dataclass(frozen=True, slots=True)
class AccountChanged:
    """Balances and positions that changed, and why (ORDER, FUNDING_FEE, DEPOSIT, …). What is available is not told."""

    at: datetime
    reason: str
    wallet: Decimal | None = None
    """Balance in USDT, None where it is not told."""
    positions: tuple[PositionTold, ...] = ()


@dataclass(frozen=True, slots=True)
class MarginCalled:
    """The venue warns that positions are near their liquidation."""

    at: datetime
    symbols: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConfigChanged:
    """Somebody changed the leverage of a symbol or a mode of the account."""

    at: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Events may have been missed until now: after every connection, expired key or silence. Ask by REST."""

    at: datetime
    reason: str


type VenueEvent = OrderChanged | AccountChanged | MarginCalled | ConfigChanged | Gap
