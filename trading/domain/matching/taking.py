"""How an order meets the market: at the touch or down a ladder, and what becomes of the rest of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from decimal import Decimal

from trading.domain.matching.book import Book
from trading.domain.matching.depth import Depth
from trading.domain.matching.ledger import Ledger
from trading.domain.matching.rules import slipped
from trading.domain.matching.types import OrderRecord
from trading.domain.venue import ZERO, OrderSide, TimeInForce, VenueStatus


def enter(ledger: Ledger, book: Book, order: OrderRecord, at: datetime) -> OrderRecord:
    """Let an order meet the market now: it waits for its trigger, is filled, rests or expires."""
    if order.waiting:
        return ledger.keep(book, order)
    if book.depth is not None and book.depth.limits(order.side):
        return climb(ledger, book, order, book.depth, at)
    return settle(ledger, book, order, _crossing_price(ledger, book, order), at)


def settle(ledger: Ledger, book: Book, order: OrderRecord, price: Decimal | None, at: datetime) -> OrderRecord:
    """Fill an order as a taker at `price`; without one it does not cross: it rests, or expires."""
    if price is None and order.time_in_force is not TimeInForce.IOC:
        return ledger.keep(book, order)
    if price is None or order.time_in_force is TimeInForce.GTX:
        return ledger.end(book, order, VenueStatus.EXPIRED, at)
    return execute(ledger, book, order, price, maker=False, at=at)


def execute(
    ledger: Ledger, book: Book, order: OrderRecord, price: Decimal, *, maker: bool, at: datetime
) -> OrderRecord:
    """Fill what can be filled of an order at `price`; the rest expires."""
    quantity = wanted(book, order)
    short = order.whole and quantity < order.remaining
    if not quantity or short or not ledger.affords(book, order, price):
        return ledger.end(book, order, VenueStatus.EXPIRED, at)
    order = ledger.fill(book, order, quantity, price, maker=maker, at=at)
    return ledger.end(book, order, VenueStatus.EXPIRED, at) if order.status.open else order


def climb(ledger: Ledger, book: Book, order: OrderRecord, depth: Depth, at: datetime) -> OrderRecord:
    """Fill an order level by level. What is left of a limit rests; of anything else it expires."""
    if order.close_position:
        order = replace(order, quantity=order.filled + wanted(book, order))
    offered = list(depth.offered(order.side, limit=order.price, mark=book.mark))
    there = min(sum(size for _, size in offered), wanted(book, order))
    goes = bool(offered) and order.time_in_force is TimeInForce.GTX
    goes = goes or (order.whole and there < order.remaining)
    for price, size in () if goes else offered:
        quantity = min(size, wanted(book, order))
        if not quantity or not ledger.affords(book, order, price):
            goes = True
            break
        order = ledger.fill(book, order, quantity, price, maker=False, at=at)
        depth.use(order.side, quantity)
    if not order.status.open:
        return order
    rests = order.price is not None and order.time_in_force is not TimeInForce.IOC and not goes
    return ledger.keep(book, order) if rests else ledger.end(book, order, VenueStatus.EXPIRED, at)


def serve(ledger: Ledger, book: Book, at: datetime) -> None:
    """Let a ladder that was just laid fill the limits that rest in front of it, at their prices."""
    depth = book.depth
    for order in _resting(book):
        if depth is not None and depth.limits(order.side):
            _serve(ledger, book, order, depth, at)


def _serve(ledger: Ledger, book: Book, order: OrderRecord, depth: Depth, at: datetime) -> None:
    for _, size in list(depth.offered(order.side, limit=order.price, mark=book.mark)):
        quantity = min(size, wanted(book, order))
        if order.price is None or not quantity or not ledger.affords(book, order, order.price):
            ledger.end(book, order, VenueStatus.EXPIRED, at)
            return
        order = ledger.fill(book, order, quantity, order.price, maker=True, at=at)
        depth.use(order.side, quantity)
        if not order.status.open:
            return


def wanted(book: Book, order: OrderRecord) -> Decimal:
    """Return how much of an order is still to be filled: never more than there is to reduce, where it only reduces."""
    if order.close_position:
        return book.reducible(order.side)
    return min(order.remaining, book.reducible(order.side)) if order.reduce_only else order.remaining


def _resting(book: Book) -> list[OrderRecord]:
    """Return the limits that rest, the best price of each side first and the oldest of a price."""
    resting = [order for order in book.orders.values() if not order.waiting]
    return sorted(resting, key=lambda order: (-order.side.sign * (order.price or ZERO), order.exchange_id))


def _crossing_price(ledger: Ledger, book: Book, order: OrderRecord) -> Decimal | None:
    """Return the price at which an order takes, None when it does not cross. A limit is never overstepped."""
    touch = book.touch(order.side, ledger.settings.spread)
    return within(order, touch, slipped(ledger, book, order.side, touch))


def within(order: OrderRecord, touch: Decimal, price: Decimal) -> Decimal | None:
    """Return `price`, or the limit where that lies nearer; None where already the touch lies beyond the limit."""
    limit = order.price
    if limit is None:
        return price
    if (limit - touch) * order.side.factor < ZERO:
        return None
    return min(price, limit) if order.side is OrderSide.BUY else max(price, limit)
