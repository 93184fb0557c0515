"""Adding to a position: what was there keeps its stop all the while, and at the end one stop covers all of it."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Proposal, Side
from trading.services.journal.base import EntryBarred, TrackedPosition
from trading.services.orders import working
from trading.services.protection import Protection, protect, secure, secure_target
from trading.services.world import World


def check_addition(proposal: Proposal, position: TrackedPosition | None) -> None:
    """Raise EntryBarred unless what it was ruled to add to is still there, on its side, and ours."""
    if position is None or position.side is not proposal.side or position.foreign:
        raise EntryBarred("the position that it was to add to is not there any more")


def protect_all(world: World, position: TrackedPosition, *, stop: Decimal, target: Decimal | None) -> Protection:
    """Bring the stop of a position that grew to `stop`, over all of it, and the target to `target` if one is given.

    One that came nearer since the ruling stays. The stop that stood goes last. Where it was hit meanwhile, what was added is protected like a new position. What
    is wanted is on record first, so that the guard goes on where this breaks off. Raises Unavailable.
    """
    symbol, stop = position.symbol, _nearer(position.side, stop, position.stop)
    wanted = replace(position, stop=stop, target=target or position.target)
    world.journal.bracket(symbol, position.bracket, stop=stop, target=target)
    state = world.exchange.account()
    held, shown = state.position(symbol), {report.client_order_id: report for report in state.orders}
    if held is None:
        return Protection.CLOSED
    if not working(world, symbol, Role.STOP, shown=shown):
        return protect(world, wanted, stop=stop, target=wanted.target, leverage=held.leverage)
    secure(world, wanted, held, shown)
    secure_target(world, wanted, held, shown)
    return _proved(world, symbol)


def _nearer(side: Side, stop: Decimal, standing: Decimal | None) -> Decimal:
    if standing is None:
        return stop
    return max(stop, standing) if side is Side.LONG else min(stop, standing)


def _proved(world: World, symbol: str) -> Protection:
    state = world.exchange.account()
    if state.position(symbol) is None:
        return Protection.CLOSED
    shown = {report.client_order_id: report for report in state.orders}
    return Protection.ARMED if working(world, symbol, Role.STOP, shown=shown) else Protection.NAKED
