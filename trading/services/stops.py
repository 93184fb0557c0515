"""Moving the stop or the target of a position that stands. The new one is confirmed before the old one goes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from enum import StrEnum

from trading.domain.protection import beyond_liquidation, on_its_side, trailed
from trading.domain.venue import OrderReport, VenuePosition
from trading.services.closing import flatten
from trading.services.execution import position_of
from trading.services.journal.base import TrackedPosition
from trading.services.protection import secure, secure_target
from trading.services.world import World
from vibex.lib.errors import Rejected, Retryable


class AtWork(Retryable):
    """Another writer holds the symbol just now."""


class Moved(StrEnum):
    """How moving a stop ended."""

    MOVED = "moved"
    KEPT = "kept"
    """The new one could not be placed; the old one stands."""
    CLOSED = "closed"
    """The price had passed the new one: the position was closed."""


def move_stop(world: World, symbol: str, to: Decimal) -> Moved:
    """Move the stop of a position.

    Raises Rejected without a position, for a stop on the side where it gains, and for one that liquidation forestalls.
    Who gives a stop to a position that Vibex did not open asks Vibex to look after it.
    """
    with _alone(world, symbol):
        position, held, shown = _standing(world, symbol)
        to = world.market.instrument(symbol).price_near(to)
        if not on_its_side(held.side, stop=to, mark=held.mark_price):
            side = "below" if held.side.sign > 0 else "above"
            raise Rejected(
                f"The stop of a {held.side} {symbol} has to be {side} the mark price {held.mark_price:f}.", code="stop"
            )
        if to <= 0 or beyond_liquidation(held.side, stop=to, liquidation=held.liquidation_price):
            where = "zero" if held.liquidation_price is None else f"the liquidation price {held.liquidation_price:f}"
            raise Rejected(f"A stop of {symbol} at {to:f} would never fire: {where} comes first.", code="liquidation")
        if position.foreign:
            world.journal.adopted(symbol, stop=to)
        secure(world, replace(position, stop=to, foreign=False), held, shown)
        after = position_of(world, symbol)
        if after is None:
            return Moved.CLOSED
        return Moved.MOVED if after.stop == to else Moved.KEPT


def move_target(world: World, symbol: str, to: Decimal) -> Moved:
    """Move the target of a position: the old one goes first, for the stop stands.

    Raises Rejected as `move_stop`, and for a position that Vibex does not look after: it has no stop of ours.
    """
    with _alone(world, symbol):
        position, held, shown = _standing(world, symbol)
        if position.foreign:
            raise Rejected(f"Vibex does not look after {symbol}: give it a stop first.", code="foreign")
        to = world.market.instrument(symbol).price_near(to)
        if on_its_side(held.side, stop=to, mark=held.mark_price) or to == held.mark_price:
            side = "above" if held.side.sign > 0 else "below"
            raise Rejected(
                f"The target of a {held.side} {symbol} has to be {side} the mark price {held.mark_price:f}.",
                code="target",
            )
        world.journal.bracket(symbol, position.bracket, target=to)
        secure_target(world, replace(position, target=to), held, shown)
        return Moved.MOVED


def trail(world: World, symbol: str, held: VenuePosition) -> list[str]:
    """Let the stop follow a price that went the right way, where the account wants it; return what was done, in words."""
    distance = world.care.trailing_stop
    if distance is None:
        return []
    position = position_of(world, symbol)
    if position is None or position.stop is None or position.foreign:
        return []
    try:
        spec = world.market.instrument(symbol)
    except (Rejected, Retryable):
        return []  # it stands where it is: nobody knows the ticks of the symbol
    to = trailed(held.side, mark=held.mark_price, stop=position.stop, distance=distance, spec=spec)
    if to is None:
        return []
    _, held, shown = _standing(world, symbol)
    if not on_its_side(held.side, stop=to, mark=held.mark_price):
        flatten(world, symbol, purpose="stop")
        return [f"{symbol}: the price fell back past its trailing stop at {to:f}: closed"]
    return secure(world, replace(position, stop=to), held, shown)


@contextmanager
def _alone(world: World, symbol: str) -> Iterator[None]:
    """Be the only writer of the symbol meanwhile. Raises AtWork where another one is: the guard looks every 30 s."""
    if not world.journal.claim(symbol):
        raise AtWork(f"Another writer is at work on {symbol}: try again in a few seconds.")
    try:
        yield
    finally:
        world.journal.release(symbol)


def _standing(world: World, symbol: str) -> tuple[TrackedPosition, VenuePosition, dict[str, OrderReport]]:
    state = world.exchange.account()
    position, held = position_of(world, symbol), state.position(symbol)
    if position is None or held is None:
        raise Rejected(f"There is no open position in {symbol}.", code="position")
    return position, held, {report.client_order_id: report for report in state.orders}
