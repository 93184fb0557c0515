"""What the venue does when a position can no longer be carried.

Isolated: the position is lost at its bankruptcy price, and the account loses exactly the isolated margin. Of it, the
liquidation fee is rate × notional at the mark, but at most what the mark price still leaves of the margin; the rest is
booked as realised loss. A gap beyond the bankruptcy price is the insurance fund's.
Cross: positions are closed at their mark price, the one that moved first, then by maintenance margin, until equity
covers the maintenance of what remains; the fee is at most the equity that is left.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

from trading.domain.matching.book import Book
from trading.domain.matching.ledger import Ledger
from trading.domain.matching.types import PositionRecord
from trading.domain.venue import ZERO, VenueStatus
from vibex.lib.money import booked

DELEVERAGED: Final = "adl_autoclose"
"""The client id under which a position is closed against somebody's liquidation."""


def liquidate(ledger: Ledger, book: Book, *, at: datetime) -> None:
    """Liquidate the position of a book at its mark price, and with cross margin what else has to go."""
    if book.position is not None:
        _take(ledger, book, book.position, at)
    while not ledger.isolated and (weakest := ledger.under_water(at)) is not None:
        _take(ledger, *weakest, at)
    ledger.cover(book.spec.symbol, at)


def deleverage(ledger: Ledger, book: Book, *, at: datetime) -> None:
    """Close the position of a book against somebody's liquidation: at the mark price, without a fee. Orders stay."""
    position = book.position
    if position is None:
        return
    price, realised = book.mark_or_entry, book.unrealised
    ledger.take_over(book, position, price=price, realised=realised, fee=ZERO, at=at, name=DELEVERAGED)
    ledger.cover(book.spec.symbol, at)


def _take(ledger: Ledger, book: Book, position: PositionRecord, at: datetime) -> None:
    for order in tuple(book.orders.values()):
        ledger.end(book, order, VenueStatus.CANCELED, at)
    unrealised = book.unrealised
    left = position.margin + unrealised if ledger.isolated else ledger.wallet + ledger.unrealised()
    fee = _fee(book, position.size * book.mark_or_entry, left)
    realised = fee - position.margin if ledger.isolated else unrealised
    price = booked((realised + position.cost) / position.quantity)
    ledger.take_over(book, position, price=price, realised=realised, fee=fee, at=at)


def _fee(book: Book, notional: Decimal, left: Decimal) -> Decimal:
    return min(booked(notional * book.spec.liquidation_fee), max(left, ZERO))
