"""The work of a halt at one exchange: cancel what could open, close everything or keep it, read until it is so.

It knows no table but the journal, so it runs against any exchange. Who halts is told of each thing as it is done.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from decisions.domain.portfolio import Role
from trading.domain.orders import UNRESOLVED, WORKING
from trading.domain.venue import AccountState, OrderReport, VenuePosition
from trading.exchange.base import Refused
from trading.services.closing import children, flatten
from trading.services.journal.base import IntentVoid
from trading.services.orders import cancel, look_up, too_late_to_arrive
from trading.services.world import World
from vibex.lib.errors import Rejected, Retryable

ROUNDS: Final = 5
"""How often the exchange is worked on in one go; what is left then is the guard's, every 30 seconds."""
APART: Final = 1.0


def _nobody(kind: str, text: str) -> None:
    """Tell nobody."""


@dataclass(slots=True)
class Work:
    """What was done. `flat` is proved: see `account_flatten`."""

    cancelled: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    rounds: int = 0
    flat: bool = False
    problem: str = ""
    open: bool = False
    """Whether the exchange showed something to be done when it was read last."""
    tell: Callable[[str, str], None] = _nobody
    """Called with `cancelled` and a client id, or `closed` and what it was, right after it was done."""

    def did(self, kind: str, text: str) -> None:
        (self.cancelled if kind == "cancelled" else self.closed).append(text)
        self.tell(kind, text)


def account_flatten(
    world: World, work: Work, *, keep_positions: bool = False, go_on: Callable[[], bool] = lambda: True
) -> None:
    """Cancel every order that could open something, close every position, cancel the rest; all of it on the account.

    `work.flat` is set when the exchange then showed neither position nor order, and no entry is on its way any more. With
    `keep_positions` positions and the orders that only lower them stay, and flat means: no order that could open.
    `go_on` is asked before each round. Raises Retryable as the exchange does, IntentVoid when somebody halted anew.
    """
    world = replace(world, exchange=world.exchange.urgent())
    for round_ in range(ROUNDS):
        if round_:
            world.sleep(APART)
        if not go_on():
            return
        work.rounds += 1
        state = world.exchange.account()
        openers = _openers(state)
        work.open = bool(openers or (not keep_positions and (state.positions or state.orders)))
        if not work.open:
            work.problem = _on_its_way(world)
            work.flat = not work.problem
            if work.flat:
                return
            continue
        work.problem = ""
        world.journal.take_in(state.orders)
        _cancel(world, openers, work)
        if not keep_positions:
            _close(world, state.positions, work)
            _cancel(world, _left_over(world), work)


def _close(world: World, positions: Sequence[VenuePosition], work: Work) -> None:
    """Close them one after the other; one that cannot be closed keeps nobody from closing the others."""
    for position in positions:
        protected = _protects(world, position.symbol)
        try:
            gone = flatten(world, position.symbol, purpose="flatten")
        except IntentVoid:
            raise
        except (Rejected, Retryable) as fault:
            work.problem = f"{position.symbol}: {fault}"
            continue
        if gone:
            world.journal.release(position.symbol)  # nobody waits for a claim on what is gone
            work.did("closed", f"{position.symbol} {position.side} {position.quantity.normalize():f}")
            for client_order_id in sorted(protected - _protects(world, position.symbol)):
                work.did("cancelled", client_order_id)
        else:
            work.problem = f"{position.symbol}: the position could not be closed"


def _protects(world: World, symbol: str) -> set[str]:
    """Return the client ids of our working stops and targets of a symbol."""
    return {child.order.client_order_id for child in children(world, symbol)}


def _on_its_way(world: World) -> str:
    """Ask for the entries of which nobody knows what became; say which may still arrive, "" when none can."""
    for tracked in world.journal.orders():
        if tracked.role is Role.ENTRY and tracked.facts.state in UNRESOLVED and not too_late_to_arrive(tracked):
            found = look_up(world, tracked)
            if found is None or found.status.open or found.filled:
                return f"entry {tracked.order.client_order_id} of {tracked.order.symbol} was on its way"
    return ""


def _openers(state: AccountState) -> list[OrderReport]:
    """Return the orders that may open something: they go first. What protects stays until its position is gone."""
    return [report for report in state.orders if not report.reduce_only and not report.close_position]


def _left_over(world: World) -> list[OrderReport]:
    state = world.exchange.account()
    held = {position.symbol for position in state.positions}
    return [report for report in state.orders if report.symbol not in held]


def _cancel(world: World, reports: Sequence[OrderReport], work: Work) -> None:
    working = {one.order.client_order_id: one for one in world.journal.orders() if one.facts.state in WORKING}
    for report in reports:
        key = report.client_order_id
        tracked = working.get(key)
        try:
            if tracked is None:
                world.exchange.cancel(symbol=report.symbol, client_order_id=key)
            elif not cancel(world, tracked.order):
                work.problem = f"{report.symbol} {key}: not known to be cancelled yet"
                continue
        except (Refused, Retryable) as fault:
            work.problem = f"{report.symbol} {key}: {fault}"
            continue
        work.did("cancelled", key)
