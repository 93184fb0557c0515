"""What the venue checks before it takes an order, in its order: the first failure wins (research aster.md 5.3)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final

from trading.domain.matching.book import Book, adverse
from trading.domain.matching.ledger import Ledger
from trading.domain.matching.margin import notional_cap
from trading.domain.matching.types import EngineRefusal, OrderRecord, Terms
from trading.domain.venue import ONE, ZERO, NewOrder, OrderSide, OrderType, TimeInForce
from vibex.lib.money import booked

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
TRAILS: Final = (Decimal("0.001"), Decimal("0.05"))
"""The least and the most by which a trailing stop follows."""


def check_form(ledger: Ledger, book: Book, order: NewOrder, terms: Terms | None = None) -> None:
    """Check everything that does not need a price. Raises EngineRefusal."""
    _check_fields(order, terms)
    _check_client_id(ledger, order)
    _check_close_position(order)
    _check_filters(book, order)


def check_market(ledger: Ledger, book: Book, order: OrderRecord) -> None:
    """Check what depends on prices, position and margin. Raises EngineRefusal."""
    if not book.last:
        raise EngineRefusal(f"there is no price of {order.symbol} yet", code="other")
    price, reduces = order.price or book.mark, order.reduce_only or order.close_position
    if not reduces:
        _check_notional(book, order, price)
    if order.type.conditional:
        _check_trigger(order, book)
    _check_count(ledger)
    if reduces:
        _check_reduces(book, order)
        return  # it adds nothing
    added = book.added_by(order)
    if added:
        _check_status(book)
        _check_cap(book, order, added, price)
        _check_margin(ledger, book, order, added)


def reaches(order: OrderRecord, price: Decimal) -> bool:
    """Return whether a price meets what an order waits for: the mark, or the last one where it waits for that."""
    return price <= order.level if order.waits_below else price >= order.level


def taker_price(ledger: Ledger, book: Book, side: OrderSide) -> Decimal:
    """Return what a market order of `side` is filled at: the touch and the slippage of the settings."""
    return slipped(ledger, book, side, book.touch(side, ledger.settings.spread))


def slipped(ledger: Ledger, book: Book, side: OrderSide, touch: Decimal) -> Decimal:
    """Return the price of a taker who meets `touch`."""
    return adverse(book.spec, side, touch, touch * ledger.settings.slippage)


def _check_fields(order: NewOrder, terms: Terms | None) -> None:
    kind, has_price = order.type, order.price is not None
    needs_price, needs_trigger = kind is OrderType.LIMIT, kind.conditional
    if terms is not None:
        trails = terms.trail is not None
        needs_price = needs_price or (not trails and kind.conditional and has_price)  # it becomes a limit
        needs_trigger = needs_trigger and not trails
    if has_price != needs_price:
        raise EngineRefusal(f"{order.type} {'needs' if needs_price else 'takes no'} price", code="other")
    if (order.trigger is not None) != needs_trigger:
        raise EngineRefusal(f"{order.type} {'needs' if needs_trigger else 'takes no'} trigger", code="other")
    if order.time_in_force is not None and not has_price:
        raise EngineRefusal(f"{order.type} takes no time in force", code="other")
    if terms is not None:
        _check_terms(order, terms)


def _check_terms(order: NewOrder, terms: Terms) -> None:
    if terms.trail is not None:
        if order.type is not OrderType.STOP_MARKET or order.close_position:
            raise EngineRefusal("only a stop with a quantity can trail", code="other")
        if not TRAILS[0] <= terms.trail <= TRAILS[1]:
            raise EngineRefusal(f"a stop trails by {TRAILS[0]} to {TRAILS[1]} of the price", code="other")
    if terms.whole and (order.price is None or order.time_in_force is not TimeInForce.IOC):
        raise EngineRefusal("whole or not at all goes with a limit that is IOC", code="other")
    if order.close_position and order.price is not None:
        raise EngineRefusal("closePosition takes no price", code="other")


def _check_client_id(ledger: Ledger, order: NewOrder) -> None:
    if not CLIENT_ID.fullmatch(order.client_order_id):
        raise EngineRefusal("a client order id has 1 to 36 letters, digits or . : / _ -", code="other")
    for book in ledger.books.values():
        if order.client_order_id in book.orders:
            raise EngineRefusal(f"an open order has the id {order.client_order_id}", code="duplicate_id")


def _check_close_position(order: NewOrder) -> None:
    if not order.close_position:
        if order.quantity is None:
            raise EngineRefusal("a quantity is missing", code="other")
        return
    if not order.type.conditional or order.quantity is not None or order.reduce_only:
        raise EngineRefusal("closePosition goes with a trigger, without quantity and reduceOnly", code="other")


def _check_filters(book: Book, order: NewOrder) -> None:
    spec, quantity = book.spec, order.quantity
    for price in (order.price, order.trigger):
        if price is not None and (price <= ZERO or price % spec.tick_size):
            raise EngineRefusal(f"price {price} is not a multiple of the tick {spec.tick_size}", code="filter")
    if quantity is None:
        return
    if quantity % spec.step_size:
        raise EngineRefusal(f"quantity {quantity} is not a multiple of the step {spec.step_size}", code="filter")
    if not spec.step_size <= quantity <= spec.max_quantity or quantity < spec.min_quantity:
        raise EngineRefusal(f"quantity {quantity} is outside {spec.min_quantity} to {spec.max_quantity}", code="filter")


def _check_notional(book: Book, order: OrderRecord, price: Decimal) -> None:
    notional = order.quantity * price
    if notional < book.spec.min_notional:
        raise EngineRefusal(f"notional {notional} is below the minimum {book.spec.min_notional}", code="filter")


def _check_trigger(order: OrderRecord, book: Book) -> None:
    name, price = ("last", book.last) if order.on_last else ("mark", book.mark)
    if reaches(order, price):
        text = f"{name} price {price} would fire the trigger {order.level} at once"
        raise EngineRefusal(text, code="would_trigger")


def _check_count(ledger: Ledger) -> None:
    count = 0
    for book in ledger.books.values():
        count += len(book.orders)
    if count >= ledger.settings.max_open_orders:
        raise EngineRefusal(f"{ledger.settings.max_open_orders} orders are open", code="other")


def _check_reduces(book: Book, order: OrderRecord) -> None:
    if order.reduce_only and not book.reducible(order.side):
        raise EngineRefusal(f"there is nothing that {order.side} could reduce", code="reduce_only")


def _check_status(book: Book) -> None:
    if book.spec.status != "TRADING":
        raise EngineRefusal(f"{book.spec.symbol} is {book.spec.status}: only reducing orders", code="other")


def _check_cap(book: Book, order: OrderRecord, added: Decimal, price: Decimal) -> None:
    taken = added
    if book.position is not None and book.position.side is order.side.opens:
        taken += book.position.size
    for other in book.orders.values():
        if other.side is order.side:
            taken += book.added_by(other)
    notional = taken * price
    cap = notional_cap(book.spec, book.leverage)
    if notional > cap:
        raise EngineRefusal(f"{notional} would be above {cap}, the most at leverage {book.leverage}", code="leverage")


def _dearest(ledger: Ledger, book: Book, order: OrderRecord) -> Decimal:
    """Return the highest price an entry can be filled at: a bought limit is never paid above itself."""
    if order.price is not None and order.side is OrderSide.BUY:
        return order.price
    price = taker_price(ledger, book, order.side)
    return price if order.price is None else max(order.price, price)


def _check_margin(ledger: Ledger, book: Book, order: OrderRecord, added: Decimal) -> None:
    price = _dearest(ledger, book, order)
    lost_at_once = max(ZERO, order.side.factor * (price - book.mark)) * added
    share = ONE / Decimal(book.leverage) + book.spec.taker_fee + ledger.settings.margin_buffer
    needed = booked(added * price * share + lost_at_once)
    if needed > (free := ledger.free()):
        raise EngineRefusal(f"margin, fee and buffer need {needed}, {max(free, ZERO)} is free", code="margin")
