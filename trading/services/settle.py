"""Bring our books and the exchange together, by evidence only. The cycle, the guard and reconcile all begin with it.

First every order that is not over is looked up, then trades and the ledger are booked, then each position is checked:
a working stop for all of it, nothing left behind where it is flat. What cannot be explained becomes an incident.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from decisions.domain.portfolio import Role
from trading.domain.orders import UNRESOLVED, WORKING, OrderState
from trading.domain.venue import AccountState, OrderReport
from trading.services.execution import book, book_income, cancel, flatten, look_up, place_target, protect
from trading.services.journal.base import Bracket, TrackedOrder, TrackedPosition
from trading.services.world import World

ABSENCE_AFTER = timedelta(seconds=65)
"""An order cannot arrive any more this long after it left (nonce window 10 s, or recvWindow 60 s + 5 s)."""
NEVER_SENT_AFTER = timedelta(seconds=15)
"""A planned order leaves at once or never: one that is denied meanwhile cannot be sent any more."""
ABSENCE_ANSWERS = 3
"""Clean "no such order" answers that are needed on top."""


@dataclass(slots=True)
class Settled:
    """What the exchange states after settling, what was mended and what is left for a person."""

    state: AccountState
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)
    """Symbols on which nothing may be opened until this is cleared up, with the reason."""

    @property
    def clean(self) -> bool:
        return not self.left

    def leave(self, symbol: str, text: str) -> None:
        """Note something that is open: a person may have to look, and nothing is opened on the symbol."""
        self.left.append(f"{symbol}: {text}")
        self.blocked[symbol] = text


def settle(world: World) -> Settled:
    """Settle the account and return its state. Raises Unavailable when the exchange does not answer.

    A symbol that another writer holds is left to it.
    """
    settled = Settled(world.exchange.account())
    book_income(world)
    orders, positions = world.journal.orders(), world.journal.positions()
    symbols = {tracked.order.symbol for tracked in orders} | {position.symbol for position in positions}
    symbols |= {position.symbol for position in settled.state.positions}
    for symbol in sorted(symbols):
        if not world.journal.claim(symbol):
            continue
        try:
            for tracked in [order for order in orders if order.order.symbol == symbol]:
                _resolve(world, tracked, settled)
            book(world, symbol)
            _mend(world, symbol, settled)
        finally:
            world.journal.release(symbol)
    if symbols:
        settled.state = world.exchange.account()
    return settled


def _resolve(world: World, tracked: TrackedOrder, settled: Settled) -> None:
    key, state = tracked.order.client_order_id, tracked.facts.state
    if state is OrderState.PLANNED:
        if datetime.now(UTC) - tracked.planned_at >= NEVER_SENT_AFTER:
            world.journal.move(key, OrderState.DENIED, reason="never sent: who planned it ended before")
            settled.mended.append(f"{key} was planned and never sent")
        return
    shown = _shown(settled.state, key)
    if shown is not None:
        world.journal.observe(key, shown)
        return
    if look_up(world, tracked) is None and state in UNRESOLVED:
        _judge_absence(world, tracked, settled)


def _judge_absence(world: World, tracked: TrackedOrder, settled: Settled) -> None:
    """Declare an order absent only on evidence: the window has passed, several clean answers agree, nothing was traded."""
    key = tracked.order.client_order_id
    answers = tracked.absent_answers + 1
    late = tracked.sent_at is not None and datetime.now(UTC) - tracked.sent_at >= ABSENCE_AFTER
    if tracked.facts.state is OrderState.SENDING:
        world.journal.move(key, OrderState.UNKNOWN, reason="no answer was ever seen")
    if late and answers >= ABSENCE_ANSWERS and not tracked.facts.filled:
        world.journal.move(key, OrderState.ABSENT, reason=f"{answers} clean answers: the exchange has no such order")
        settled.mended.append(f"{key} is proved absent")
    else:
        settled.leave(tracked.order.symbol, f"nobody knows yet what became of order {key}")


def _mend(world: World, symbol: str, settled: Settled) -> None:
    state, ours = _both_sides(world, symbol)
    if _differ(state, ours, symbol):
        book(world, symbol)  # a fill may have fallen between the two readings
        state, ours = _both_sides(world, symbol)
    if text := _differ(state, ours, symbol):
        world.journal.incident("position-mismatch", f"{symbol}: {text}", critical=True)
        settled.leave(symbol, text)
    if state.position(symbol) is None:
        _sweep(world, symbol, settled)
    elif ours is not None:
        _check_protection(world, ours, state, settled)


def _both_sides(world: World, symbol: str) -> tuple[AccountState, TrackedPosition | None]:
    ours = next((position for position in world.journal.positions() if position.symbol == symbol), None)
    return world.exchange.account(), ours


def _differ(state: AccountState, ours: TrackedPosition | None, symbol: str) -> str:
    """Return in words how the two sides differ about the position, "" when they agree."""
    held = state.position(symbol)
    expected = f"{ours.side} {ours.quantity.normalize():f}" if ours else "flat"
    shown = f"{held.side} {held.quantity.normalize():f}" if held else "flat"
    return "" if expected == shown else f"our books say {expected}, the exchange says {shown}"


def _check_protection(world: World, position: TrackedPosition, state: AccountState, settled: Settled) -> None:
    stops = _children(world, position.symbol, Role.STOP, state)
    if not stops:
        _protect_again(world, position, settled)
        return
    for extra in stops[:-1]:
        cancel(world, extra)
        settled.mended.append(f"{position.symbol}: an extra stop was cancelled")
    world.journal.bracket(position.symbol, Bracket.ARMED, verified_at=world.clock.now())
    targets = _children(world, position.symbol, Role.TARGET, state)
    for extra in targets[:-1]:
        cancel(world, extra)
    if position.target is not None and not targets and not _unresolved(world, position.symbol):
        place_target(world, position, position.target)
        settled.mended.append(f"{position.symbol}: the target was placed again")


def _protect_again(world: World, position: TrackedPosition, settled: Settled) -> None:
    if position.foreign:
        text = f"{position.side} {position.quantity.normalize():f} was not opened by Vibex and has no stop of ours"
        world.journal.incident("foreign-position", f"{position.symbol}: {text}", critical=True)
        settled.leave(position.symbol, text)
        return
    if position.stop is None:
        flatten(world, position.symbol, purpose="flatten")
        settled.mended.append(f"{position.symbol}: had no stop and none was known: closed")
        return
    armed = protect(world, position, stop=position.stop, target=None)
    settled.mended.append(f"{position.symbol}: had no working stop: {'placed' if armed else 'closed'}")


def _sweep(world: World, symbol: str, settled: Settled) -> None:
    """Cancel our children of a symbol that is flat."""
    for child in world.journal.orders():
        if child.order.symbol == symbol and child.role.protects and child.facts.state in WORKING:
            cancel(world, child)
            settled.mended.append(f"{symbol}: a {child.role} without a position was cancelled")


def _children(world: World, symbol: str, role: Role, state: AccountState) -> list[TrackedOrder]:
    """Return our stops or targets of a symbol that the exchange shows as working, oldest first."""
    shown = {report.client_order_id for report in state.orders if report.status.open}
    return [
        tracked
        for tracked in world.journal.orders()
        if tracked.order.symbol == symbol and tracked.role is role and tracked.order.client_order_id in shown
    ]


def _unresolved(world: World, symbol: str) -> bool:
    return any(
        tracked.order.symbol == symbol and tracked.facts.state in UNRESOLVED for tracked in world.journal.orders()
    )


def _shown(state: AccountState, key: str) -> OrderReport | None:
    return next((report for report in state.orders if report.client_order_id == key), None)
