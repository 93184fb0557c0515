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
from trading.exchange.base import Unavailable
from trading.services.execution import booked_position, position_of
from trading.services.journal.base import Bracket, TrackedOrder, TrackedPosition
from trading.services.orders import book, book_income, cancel, look_up, too_late_to_arrive
from trading.services.protection import Protection, flatten, place_target, protect
from trading.services.world import World

NEVER_SENT_AFTER = timedelta(seconds=15)
"""A planned order leaves at once or never: one that is denied meanwhile cannot be sent any more."""
ABSENCE_ANSWERS = 3
"""Clean "no such order" answers that are needed after the window in which the order could arrive."""
DAWN = datetime(1970, 1, 1, tzinfo=UTC)


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

    A symbol that another writer holds is left to it, and blocked meanwhile.
    """
    settled = Settled(world.exchange.account())
    book_income(world)
    orders, positions = world.journal.orders(), world.journal.positions()
    symbols = {tracked.order.symbol for tracked in orders} | {position.symbol for position in positions}
    symbols |= {position.symbol for position in settled.state.positions}
    for symbol in sorted(symbols):
        if not world.journal.claim(symbol):
            settled.blocked[symbol] = "another writer is at work there"
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
    _check_wallet(world, settled)
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
    try:
        found = look_up(world, tracked)
    except Unavailable:
        if state in UNRESOLVED:
            settled.leave(tracked.order.symbol, f"the exchange did not say what became of order {key}")
        return
    if found is None and state in UNRESOLVED:
        _judge_absence(world, tracked, settled)


def _judge_absence(world: World, tracked: TrackedOrder, settled: Settled) -> None:
    """Declare an order absent on evidence only: the window has passed, several clean answers agree, nothing moved."""
    key, symbol = tracked.order.client_order_id, tracked.order.symbol
    if tracked.facts.state is OrderState.SENDING:
        world.journal.move(key, OrderState.UNKNOWN, reason="no answer was ever seen")
    answers = tracked.absent_answers + too_late_to_arrive(tracked)
    explained = not tracked.facts.filled and not _differ(settled.state, position_of(world, symbol))
    if answers >= ABSENCE_ANSWERS and explained:
        world.journal.move(key, OrderState.ABSENT, reason=f"{answers} clean answers: the exchange has no such order")
        settled.mended.append(f"{key} is proved absent")
    else:
        settled.leave(symbol, f"nobody knows yet what became of order {key}")


def _mend(world: World, symbol: str, settled: Settled) -> None:
    state, booked = world.exchange.account(), booked_position(world, symbol)
    if _differ(state, booked, symbol):
        # A fill may have fallen between the two readings, or have come late with an earlier time.
        book(world, symbol, since=booked.opened_at if booked else DAWN)
        state = world.exchange.account()
    ours = position_of(world, symbol)
    if text := _differ(state, ours, symbol):
        world.journal.incident("position-mismatch", f"{symbol}: {text}", critical=True)
        settled.leave(symbol, text)
    if state.position(symbol) is None:
        _sweep(world, symbol, settled)
    elif ours is not None:
        _check_protection(world, ours, state, settled)


def _differ(state: AccountState, ours: TrackedPosition | None, symbol: str = "") -> str:
    """Return in words how the two sides differ about a position, "" when they agree."""
    held = state.position(symbol or (ours.symbol if ours else ""))
    expected = f"{ours.side} {ours.quantity.normalize():f}" if ours else "flat"
    shown = f"{held.side} {held.quantity.normalize():f}" if held else "flat"
    return "" if expected == shown else f"our books say {expected}, the exchange says {shown}"


def _check_wallet(world: World, settled: Settled) -> None:
    """Compare the wallet with the sum of its ledger; a line that came late is found by reading all of it again."""
    if world.journal.ledger_total() == settled.state.wallet:
        return
    book_income(world, since=DAWN)
    settled.state = world.exchange.account()
    total = world.journal.ledger_total()
    if total != settled.state.wallet:
        text = f"the ledger adds up to {total:f}, the exchange says the wallet holds {settled.state.wallet:f}"
        world.journal.incident("ledger-mismatch", text, critical=True)
        settled.left.append(text)


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
    protection = protect(world, position, stop=position.stop, target=position.target, leverage=position.leverage)
    settled.mended.append(f"{position.symbol}: had no working stop, now {protection}")
    if protection is Protection.NAKED:
        settled.leave(position.symbol, "it has no stop and could not be closed")


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
