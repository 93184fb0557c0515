"""No position without a stop that the exchange shows: place it, read it back, and close what cannot be protected.

Whatever stands on the exchange, `secure` brings it to one stop at the wanted price that covers all of the position. It
can be called again after it broke off anywhere: there is a working stop at every moment in between.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.portfolio import Role
from trading.domain.orders import new_client_order_id
from trading.domain.protection import Arrangement, arranged
from trading.domain.venue import NewOrder, OrderReport, OrderSide, OrderType, VenuePosition
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from trading.services.closing import flatten
from trading.services.journal.base import Bracket, TrackedPosition
from trading.services.orders import book, cancel, send, working
from trading.services.world import World

STOP_TRIES: Final = 2
READS: Final = 3
"""How often a stop that was taken is read back, a second apart, while the exchange does not answer."""
type Shown = Mapping[str, OrderReport]
"""Orders that the exchange shows, by client id."""


class Protection(StrEnum):
    """How the attempt to protect a position ended."""

    ARMED = "armed"
    """Its stop stands on the exchange."""
    CLOSED = "closed"
    """The stop failed and the position was closed, or it was gone already."""
    NAKED = "naked"
    """The stop failed and the position could not be closed either: the guard goes on, a person is told."""


def protect(
    world: World, position: TrackedPosition, *, stop: Decimal, target: Decimal | None, leverage: int | None = None
) -> Protection:
    """Protect a position that has no stop yet: stop first, then the target. Flattens when the stop fails."""
    world.journal.bracket(position.symbol, Bracket.ARMING, stop=stop, target=target, leverage=leverage)
    protection = _place_stop(world, position, stop)
    if protection is Protection.ARMED:
        world.journal.bracket(position.symbol, Bracket.ARMED, verified_at=world.clock.now())
        if target is not None:
            place_target(world, position, target)
    return protection


def secure(
    world: World,
    position: TrackedPosition,
    held: VenuePosition,
    shown: Shown,
    *,
    stops: Sequence[NewOrder] | None = None,
) -> list[str]:
    """Bring the stops of a position to the one that is wanted; return what was mended, in words.

    `position.stop` is the wanted trigger; without it the newest that covers the position is taken. There has to be a
    working stop among `shown`, else `protect` is called for; who has just looked for them gives these `stops`.
    """
    symbol = position.symbol
    stops = working(world, symbol, Role.STOP, shown=shown) if stops is None else stops
    found = _arranged(world, stops, held, wanted=position.stop)
    if found.cover is None:
        return [_cover(world, position, held, stops)]
    stands = position.stop or found.cover.trigger
    mended = list[str]()
    if found.keep is None:
        text, stands = _replace(world, position, held, found)
        mended.append(text)
    for extra in found.spare if found.keep is not None else ():
        cancel(world, extra)
        mended.append(f"{symbol}: an extra stop was cancelled")
    world.journal.bracket(symbol, Bracket.ARMED, stop=stands, verified_at=world.clock.now())
    return mended


def secure_target(world: World, position: TrackedPosition, held: VenuePosition, shown: Shown) -> list[str]:
    """Bring the targets of a position to the one that is wanted; return what was mended, in words."""
    targets = working(world, position.symbol, Role.TARGET, shown=shown)
    found = _arranged(world, targets, held, wanted=position.target)
    surplus = found.spare if found.keep is not None else tuple(targets)
    mended = [f"{position.symbol}: a target that does not fit was cancelled" for one in surplus if cancel(world, one)]
    if position.target is not None and found.keep is None and len(mended) == len(surplus):
        place_target(world, position, position.target, quantity=held.quantity)
        mended.append(f"{position.symbol}: the target was placed again")
    return mended


def place_target(world: World, position: TrackedPosition, target: Decimal, *, quantity: Decimal | None = None) -> None:
    """Place the target. Its absence is an incident, not a danger: the stop stands."""
    symbol = position.symbol
    try:
        order = child_order(world, position, Role.TARGET, target, quantity=quantity or position.quantity)
        send(world, order, role=Role.TARGET)
    except Refused as refusal:
        if refusal.refusal is Refusal.WOULD_TRIGGER:
            flatten(world, symbol, purpose="target")  # the price is there already: take it
        else:
            world.journal.incident("target-failed", f"{symbol}: {refusal}", subject=symbol)
    except (Unavailable, Ambiguous) as fault:
        world.journal.incident("target-failed", f"{symbol}: {fault}", subject=symbol)


def child_order(
    world: World, position: TrackedPosition, role: Role, trigger: Decimal, *, quantity: Decimal, helper: bool = False
) -> NewOrder:
    """Return the stop or the target of a position in its final form: it closes all of it at the trigger (mark price).

    A `helper`, and any at a venue that knows no such order, is reduce-only over the quantity.
    """
    whole = world.exchange.supports_close_position and not helper
    name, closes = new_client_order_id(world.installation), OrderSide.to_close(position.side)
    kind = OrderType.STOP_MARKET if role is Role.STOP else OrderType.TAKE_PROFIT_MARKET
    size, price = None if whole else quantity, None
    return NewOrder(name, position.symbol, closes, kind, size, price, trigger, None, not whole, whole)


def confirmed(world: World, order: NewOrder) -> bool:
    """Read a stop back: whether the exchange shows it as working at its trigger. Raises Unavailable."""
    shown = world.exchange.order(symbol=order.symbol, client_order_id=order.client_order_id)
    if shown is None:
        return False
    world.journal.observe(order.client_order_id, shown)
    return shown.status.open and shown.trigger == order.trigger


def _read_back(world: World, order: NewOrder) -> bool:
    """Read a stop back; ask again for some seconds while nobody answers. Raises Unavailable."""
    for _ in range(READS - 1):
        try:
            return confirmed(world, order)
        except Unavailable:
            world.sleep(1.0)
    return confirmed(world, order)


def _arranged(world: World, orders: Sequence[NewOrder], held: VenuePosition, *, wanted: Decimal | None) -> Arrangement:
    side, by_position = OrderSide.to_close(held.side), world.exchange.supports_close_position
    wrong = tuple([order for order in orders if order.side is not side])
    right = [order for order in orders if order.side is side] if wrong else orders
    found = arranged(right, wanted=wanted, held=held.quantity, by_position=by_position)
    return Arrangement(found.keep, found.cover, found.spare + wrong) if wrong else found


def _cover(world: World, position: TrackedPosition, held: VenuePosition, short: Sequence[NewOrder]) -> str:
    """Place a stop over all of a position whose stops cover a part of it; they stay until it stands."""
    stop = position.stop or short[-1].trigger
    assert stop is not None, "a stop has a trigger"  # noqa: S101
    protection = _place_stop(world, position, stop, quantity=held.quantity)
    if protection is Protection.ARMED:
        for order in short:
            cancel(world, order)
        world.journal.bracket(position.symbol, Bracket.ARMED, stop=stop, verified_at=world.clock.now())
    return f"{position.symbol}: its stop covered a part only, now {protection}"


def _replace(
    world: World, position: TrackedPosition, held: VenuePosition, found: Arrangement
) -> tuple[str, Decimal | None]:
    """Put the wanted stop in the place of what covers the position now, which goes last; return where the stop stands.

    Two orders that close the position may not stand side by side at a venue. So a helper by quantity bridges the change.
    """
    symbol, cover = position.symbol, found.cover
    assert cover is not None, "something covers it"  # noqa: S101
    to, spare = position.stop or cover.trigger, found.spare
    assert to is not None, "a stop has a trigger"  # noqa: S101
    world.journal.bracket(symbol, Bracket.ADJUSTING)
    if cover.trigger != to:
        helper = child_order(world, position, Role.STOP, to, quantity=held.quantity, helper=True)
        if not _sent(world, helper):
            text = f"{symbol}: the stop stays where it was: another at {to.normalize():f} could not be placed"
            return text, cover.trigger
        world.journal.bracket(symbol, Bracket.ADJUSTING, stop=to)
        cover, spare = helper, (*spare, cover)
    for old in spare:
        cancel(world, old)
    if not _final(world, cover, held):
        final = child_order(world, position, Role.STOP, to, quantity=held.quantity)
        if _sent(world, final):
            cancel(world, cover)
    return f"{symbol}: the stop was moved to {to.normalize():f}", to


def _final(world: World, order: NewOrder, held: VenuePosition) -> bool:
    return order.close_position if world.exchange.supports_close_position else order.quantity == held.quantity


def _sent(world: World, order: NewOrder) -> bool:
    """Place a stop beside one that stands, and read it back; tell whether it stands. What is unknown is swept later."""
    try:
        send(world, order, role=Role.STOP)
        return confirmed(world, order)
    except (Refused, Unavailable, Ambiguous) as fault:
        world.journal.incident("stop-not-moved", f"{order.symbol}: {fault}", subject=order.symbol)
        return False


def _place_stop(
    world: World, position: TrackedPosition, stop: Decimal, *, quantity: Decimal | None = None
) -> Protection:
    symbol, fault, passed = position.symbol, "", False
    for _ in range(STOP_TRIES):
        order = child_order(world, position, Role.STOP, stop, quantity=quantity or position.quantity)
        try:
            send(world, order, role=Role.STOP)
            if _read_back(world, order):
                return Protection.ARMED
            fault = "it is not among the working orders"
        except Refused as refusal:
            fault, passed = str(refusal), refusal.refusal is Refusal.WOULD_TRIGGER
            if passed or isinstance(refusal, Held):
                break  # the price has passed it, or no other will be taken: only closing is left
        except (Unavailable, Ambiguous) as unanswered:
            fault = str(unanswered)
    if ended := _ended_well(world, position, stop, passed=passed):
        return ended
    text = f"{symbol}: the stop at {stop:f} could not be confirmed ({fault})"
    world.journal.incident("stop-failed", text, critical=True)
    if not passed:
        world.journal.lock(symbol, text[:300])
    return Protection.CLOSED if flatten(world, symbol, purpose="flatten") else Protection.NAKED


def _ended_well(world: World, position: TrackedPosition, stop: Decimal, *, passed: bool) -> Protection | None:
    """Look at the account before a position is given up for want of a stop: it may be gone, or stopped after all.

    An exchange refuses a second order that closes the position: one whose answer was lost, or another writer's, stands.
    """
    try:
        state = world.exchange.account()
    except Unavailable:
        return None
    held = state.position(position.symbol)
    if held is None:
        book(world, position.symbol)
        return Protection.CLOSED  # gone meanwhile: nothing is left to protect
    shown = {report.client_order_id: report for report in state.orders}
    standing = _arranged(world, working(world, position.symbol, Role.STOP, shown=shown), held, wanted=stop)
    covered = standing.cover is not None and standing.cover.trigger == stop
    return Protection.ARMED if covered and not passed else None
