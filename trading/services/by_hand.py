"""What a person does to one position or order: close, move stop or target, cancel. Audit and diary say who it was.

The steps are those of cycle and guard: an intent before anything leaves, one writer at a time, a working stop at every
moment. Closing waits for nobody and is tried until it is proved, or time is up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.db import transaction

from accounts.models import Account, Bot, User
from accounts.services import audit_write
from decisions.models import DiaryEntry
from decisions.services import diary_write
from trading.domain.orders import FINAL, UNRESOLVED, OrderState
from trading.models import Order, Position
from trading.selectors.approvals import market_now
from trading.services.closing import flatten
from trading.services.journal.base import IntentVoid, TrackedOrder
from trading.services.live import world_for
from trading.services.orders import book, cancel, look_up
from trading.services.stops import AtWork, Moved, move_stop, move_target
from trading.services.world import World
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected, Retryable
from vibex.lib.events import publish_on_commit

PURPOSE: Final = "flatten"
"""Why the closing order is sent, in the words of the books: not by a decision of the bot."""
KEEPS_AT_IT: Final = 60.0
"""Seconds for which a position is tried to be closed; then the guard has it, with its stop."""
PATIENCE: Final = 10.0
"""Seconds for which another writer of the symbol is waited for: his claim runs out by itself after eight."""
APART: Final = 1.0

type Tell = Callable[[str], None]


def nobody(text: str) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Closed:
    """How a close ended."""

    position: Position
    already: bool
    """Whether it had ended before."""


def position_close(
    *,
    position: Position,
    actor: User,
    tell: Tell = nobody,
    keep_at_it: float = KEEPS_AT_IT,
    note_failure: bool = True,
) -> Closed:
    """Close all of a position at market, reduce-only, until the exchange shows it flat. Nothing refuses or delays it.

    Doing it twice is harmless. Raises Retryable when it could not be closed in time: it is protected as it was, and a
    person has been told. Who tries again himself notes the failure (`note_failure`) himself, once.
    """
    if _over(position):
        return Closed(position, already=True)
    before, until = _told(position), Deadline(keep_at_it)
    while True:
        position.refresh_from_db()  # closed by now, another one may be open there: that is not meant
        text = "" if _over(position) else _close_try(position, tell)
        if not text:
            break
        tell(text)
        if until.passed():
            if note_failure:
                position_left_open(position=position, actor=actor, text=text, before=before)
            raise Retryable(
                f"{position.symbol} is not closed yet: {text} It keeps its stop, and the guard looks after it."
            )
        time.sleep(APART)
    position.refresh_from_db()
    after = _told(position)
    _note(position, actor, "position-close", before, after, f"Closed by {actor}: {_size(before)}{_at(position)}.")
    return Closed(position, already=False)


def position_left_open(*, position: Position, actor: User, text: str, before: dict[str, Any] | None = None) -> None:
    """Leave in audit and diary that a position was to be closed and is open still, and why."""
    after = {"open": True, "problem": text}
    _note(position, actor, "position-close", before or _told(position), after, f"Not closed yet: {text}")


def position_stop_move(*, position: Position, price: Decimal, actor: User) -> Moved:
    """Move the stop of a position. It never moves past the mark price or the liquidation price.

    Raises Rejected as `move_stop`, and when the new one could not be placed: the old one stands then. Raises Retryable
    when the exchange does not answer.
    """
    return _moved(position, price, actor, "stop", move_stop)


def position_target_move(*, position: Position, price: Decimal, actor: User) -> Moved:
    """Move the target of a position, or give it one. Errors as `position_stop_move`."""
    return _moved(position, price, actor, "target", move_target)


def order_cancel(*, order: Order, actor: User) -> Order:
    """Cancel an entry or a target. One that is over already stays as it is.

    Raises Rejected for what protects or closes, and for an order of which nobody knows yet whether it arrived; Retryable
    when the exchange does not say that it is over.
    """
    if order.state in FINAL:
        return order
    _refuse_needed(order)
    account, before = _account_of(order), {"state": order.state}
    world = world_for(account)
    world = replace(world, exchange=world.exchange.urgent())
    with _void_told(account), _claimed(world, order.symbol):
        over = _cancel(world, order)
        if over and order.role == Order.Role.TARGET:
            _target_given_up(order)
        book(world, order.symbol)  # it may have been filled instead
    order.refresh_from_db()
    after = {"state": order.state, "reason": order.reason, "filled": _plain(order.filled)}
    with transaction.atomic():
        audit_write(actor=actor, action="order-cancel", obj=order, before=before, after=after)
        text = f"The {order.role} {order.client_order_id} was cancelled by {actor}."
        _diary(account, order.bot, order.symbol, text if over else f"{text} It is not known to be over yet.", after)
    if not over:
        raise Retryable(
            f"The exchange has not said yet that {order.client_order_id} is over; the guard goes on asking."
        )
    return order


# -- closing -----------------------------------------------------------------------------------------------------------


def _over(position: Position) -> bool:
    return position.closed is not None


def _close_try(position: Position, tell: Tell) -> str:
    """Try to close a position; return why it is not known to be flat, "" when it is."""
    account = _account_of(position)
    world = world_for(account)
    world = replace(world, exchange=world.exchange.urgent())
    claimed = world.journal.claim(position.symbol)  # nice to have: a close is reduce-only and waits for nobody
    try:
        tell(f"closing {position.symbol}")
        return "" if flatten(world, position.symbol, purpose=PURPOSE) else "the exchange does not show it flat."
    except IntentVoid:
        return "the account was halted in this moment."  # the next try is made under the new epoch
    except Retryable as fault:
        return f"the exchange does not answer: {fault}"
    finally:
        if claimed:
            world.journal.release(position.symbol)


# -- moving ------------------------------------------------------------------------------------------------------------


def _moved(
    position: Position, price: Decimal, actor: User, what: str, move: Callable[[World, str, Decimal], Moved]
) -> Moved:
    _refuse_over(position)
    account, before = _account_of(position), _told(position)
    world = world_for(account)

    def try_it() -> Moved:
        position.refresh_from_db()  # while another writer was waited for, another position may have been opened there
        _refuse_over(position)
        return move(world, position.symbol, price)

    with _void_told(account):
        moved = _when_free(try_it)
    position.refresh_from_db()
    after, name = _told(position), f"position-{what}"
    if moved is Moved.KEPT:
        text = f"The {what} of {position.symbol} could not be moved to {price:f}: the one before stands."
        _note(position, actor, name, before, {**after, "problem": text}, text)
        raise Rejected(text, code="kept")
    done = "closed: the price had passed it" if moved is Moved.CLOSED else f"moved to {after[what]}"
    text = f"The {what} of {position.symbol} was set by {actor}, from {before[what]}: {done}."
    _note(position, actor, name, before, after, text)
    return moved


def _refuse_over(position: Position) -> None:
    if _over(position):
        raise Rejected(f"This position in {position.symbol} is closed.", code="closed")


def _when_free(move: Callable[[], Moved]) -> Moved:
    """Move as soon as no other writer is at work on the symbol. Raises Retryable when one still is after some seconds."""
    patience = Deadline(PATIENCE)
    while True:
        try:
            return move()
        except AtWork:
            if patience.passed():
                raise
            time.sleep(APART)


# -- cancelling --------------------------------------------------------------------------------------------------------


def _refuse_needed(order: Order) -> None:
    if order.role == Order.Role.STOP:
        text = "A stop protects its position and is not cancelled: move it, or close the position."
        raise Rejected(text, code="protects")
    if order.role == Order.Role.CLOSE:
        raise Rejected("A close is not cancelled: nothing holds it up.", code="closes")


def _cancel(world: World, order: Order) -> bool:
    """Cancel an order and tell whether it is known to be over."""
    tracked = _tracked(world, order)
    if tracked is not None and tracked.facts.state in UNRESOLVED:
        look_up(world, tracked)
        tracked = _tracked(world, order)
    if tracked is None:
        return True  # it ended meanwhile
    if tracked.facts.state in (OrderState.PLANNED, *UNRESOLVED):
        text = "Nobody knows yet whether this order has arrived: it is asked for. A halt cancels whatever comes of it."
        raise Rejected(text, code="on-its-way")
    return cancel(world, tracked.order)


def _tracked(world: World, order: Order) -> TrackedOrder | None:
    """Return the order as the books know it, None once it is over."""
    return next((one for one in world.journal.orders() if one.order.client_order_id == order.client_order_id), None)


def _target_given_up(order: Order) -> None:
    """Let the position do without a target, else the guard would place it again; unless another one is wanted by now."""
    held = Position.objects.filter(account=order.account_id, symbol=order.symbol, closed__isnull=True)
    if held.filter(target=order.trigger).update(target=None):
        publish_on_commit(account_id=order.account_id, kind="position", data={"open": order.symbol})


@contextmanager
def _claimed(world: World, symbol: str) -> Iterator[None]:
    """Be the only writer of a symbol, as soon as that can be; what ends something does not wait longer than that."""
    patience, claimed = Deadline(PATIENCE), world.journal.claim(symbol)
    while not claimed and not patience.passed():
        time.sleep(APART)
        claimed = world.journal.claim(symbol)
    try:
        yield
    finally:
        if claimed:
            world.journal.release(symbol)


# -- telling -----------------------------------------------------------------------------------------------------------


@contextmanager
def _void_told(account: Account) -> Iterator[None]:
    try:
        yield
    except IntentVoid as void:
        raise Rejected(f"{account.name} was halted in this moment: look again.", code="halted") from void


def _account_of(row: Position | Order) -> Account:
    return Account.objects.select_related("limits").get(pk=row.account_id)


def _told(position: Position) -> dict[str, Any]:
    """Return what a person may have changed of a position, as plain JSON."""
    return {
        "side": position.side,
        "quantity": _plain(position.quantity),
        "stop": _plain(position.stop),
        "target": _plain(position.target),
        "exit_price": _plain(position.exit_price),
        "closed": position.closed.isoformat() if position.closed else None,
    }


def _note(
    position: Position, actor: User, action: str, before: dict[str, Any], after: dict[str, Any], text: str
) -> None:
    """Leave it in the audit trail and in the diary of the bot."""
    account = _account_of(position)
    with transaction.atomic():
        audit_write(actor=actor, action=action, obj=position, before=before, after=after)
        _diary(account, position.bot, position.symbol, text, {"position": position.pk, "by": str(actor)})


def _diary(account: Account, bot: Bot | None, symbol: str, text: str, data: dict[str, Any]) -> None:
    """Add to the history of the bot; a position of nobody has none."""
    if bot is not None:
        now, kind = market_now(account.market), DiaryEntry.Kind.TRADE
        diary_write(bot=bot, cycle=None, at=now, kind=kind, symbol=symbol, text=text, data=data)


def _size(before: dict[str, Any]) -> str:
    return f"{before['side']} {before['quantity']}"


def _at(position: Position) -> str:
    return "" if position.exit_price is None else f" at {_plain(position.exit_price)}"


def _plain(amount: Decimal | None) -> str | None:
    return None if amount is None else f"{amount.normalize():f}"
