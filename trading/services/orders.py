"""Orders on their way to the exchange and back. The intent is on record before anything leaves, and nothing is sent again
blindly: after an answer that never came, the exchange is asked for the client id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from decisions.domain.portfolio import Role
from trading.domain.orders import ARRIVES_WITHIN, NEVER_PLACED, OrderState
from trading.domain.venue import NewOrder, OrderReport
from trading.exchange.base import Ambiguous, Held, Refused, Unavailable
from trading.services.journal.base import TrackedOrder
from trading.services.world import World

ASKS = 3
"""How often the exchange is asked at once for an order whose placing was not answered; then the guard goes on asking."""


def send(world: World, order: NewOrder, *, role: Role, ruling: int | None = None, purpose: str = "") -> OrderReport:
    """Put the intent on record, send the order, take in the answer.

    Raises IntentVoid or EntryBarred before anything left, Refused and Unavailable when certainly nothing was placed,
    Ambiguous when the exchange did not say what became of it: the order is then `unknown`.
    """
    key = order.client_order_id
    world.journal.plan(order, role=role, ruling=ruling, purpose=purpose)
    world.journal.sending(key)
    try:
        report = world.exchange.place(order)
    except (Refused, Unavailable) as certain:
        world.journal.move(key, OrderState.DONE, reason=f"{NEVER_PLACED}: {certain}"[:300])
        if isinstance(certain, Held):
            world.journal.reducing(f"{order.symbol}: {certain}"[:300])
        raise
    except Exception as uncertain:
        world.journal.move(key, OrderState.UNKNOWN, reason=str(uncertain)[:300])
        found = _ask_for(world, order)
        if found is None:
            raise Ambiguous(f"order {key} was sent and not answered: {uncertain}") from uncertain
        report = found
    world.journal.observe(key, report)
    return report


def working(world: World, symbol: str, role: Role, *, shown: Mapping[str, OrderReport]) -> list[NewOrder]:
    """Return our orders of a role on a symbol that the exchange shows as open, oldest first."""
    return [
        tracked.order
        for tracked in world.journal.orders()
        if tracked.role is role
        and tracked.ours
        and tracked.order.symbol == symbol
        and (report := shown.get(tracked.order.client_order_id)) is not None
        and report.status.open
    ]


def look_up(world: World, tracked: TrackedOrder) -> OrderReport | None:
    """Ask the exchange what became of an order and take in the answer. None for a clean "no such order".

    Raises Unavailable when it does not answer: that proves nothing.
    """
    order = tracked.order
    report = world.exchange.order(symbol=order.symbol, client_order_id=order.client_order_id)
    if report is not None:
        world.journal.observe(order.client_order_id, report)
    elif too_late_to_arrive(tracked):
        world.journal.asked_in_vain(order.client_order_id)
    return report


def too_late_to_arrive(tracked: TrackedOrder) -> bool:
    """Tell whether the window has passed in which the exchange could still take the order in."""
    return tracked.sent_at is not None and datetime.now(UTC) - tracked.sent_at >= ARRIVES_WITHIN


def cancel(world: World, order: NewOrder) -> bool:
    """Cancel one order; return whether it is known to be over.

    What cannot be confirmed stays `cancelling` and is looked at again by the guard. Raises IntentVoid when overtaken.
    """
    key = order.client_order_id
    world.journal.cancelling(key)
    try:
        report = world.exchange.cancel(symbol=order.symbol, client_order_id=key)
    except Refused as refusal:
        if isinstance(refusal, Held):
            world.journal.reducing(f"{order.symbol}: {refusal}"[:300])
            world.journal.incident("cancel-refused", f"{order.symbol} {key}: {refusal}", subject=key)
        return _look_again(world, order)
    except (Unavailable, Ambiguous) as fault:
        world.journal.incident("cancel-unanswered", f"{order.symbol} {key}: {fault}", subject=key)
        return False
    world.journal.observe(key, report)
    return not report.status.open


def book(world: World, symbol: str, *, since: datetime | None = None) -> int | None:
    """Book the trades of a symbol that we do not have yet, all of them from `since`; return how many they were.

    None when they could not be read: then nothing follows from what is missing.
    """
    try:
        start = world.journal.trades_since(symbol) if since is None else since
        return world.journal.book(world.exchange.trades(symbol=symbol, since=start))
    except Unavailable as fault:
        world.journal.incident("books-behind", f"{symbol}: trades could not be read ({fault})", subject=symbol)
        return None


def venue_quantity(world: World, symbol: str) -> Decimal | None:
    """Return the open quantity as the exchange states it, None when it does not answer."""
    try:
        held = world.exchange.account().position(symbol)
    except Unavailable:
        return None
    return held.quantity if held else Decimal(0)


def _look_again(world: World, order: NewOrder) -> bool:
    """Ask what became of an order whose cancel was refused: it has ended by itself, as a rule."""
    key = order.client_order_id
    try:
        report = world.exchange.order(symbol=order.symbol, client_order_id=key)
    except Unavailable as fault:
        world.journal.incident("cancel-unanswered", f"{order.symbol} {key}: {fault}", subject=key)
        return False
    if report is not None:
        world.journal.observe(key, report)
    return report is not None and not report.status.open


def _ask_for(world: World, order: NewOrder) -> OrderReport | None:
    """Ask a few times at once. "No such order" means nothing yet: the request may still be on its way."""
    for _ in range(ASKS):
        try:
            report = world.exchange.order(symbol=order.symbol, client_order_id=order.client_order_id)
        except Unavailable:
            report = None
        if report is not None:
            return report
        world.sleep(1.0)
    return None
