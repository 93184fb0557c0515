"""Bring our books and the exchange together, by evidence only. The cycle, the guard and reconcile all begin with it.

First every order that is not over is looked up, then trades and the ledger are booked, then each position is checked:
a working stop for all of it, nothing left behind where it is flat. What cannot be explained becomes an incident.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from decisions.domain.portfolio import Role
from trading.domain.orders import UNRESOLVED, WORKING, OrderState, observed
from trading.domain.venue import AccountState, OrderReport, VenuePosition
from trading.exchange.base import Unavailable
from trading.services.closing import cancel_children, children, flatten
from trading.services.execution import booked_position, position_of
from trading.services.foreign import attend_foreign
from trading.services.journal.base import TrackedOrder, TrackedPosition
from trading.services.ledger import book_income, check_wallet
from trading.services.orders import book, look_up, too_late_to_arrive, working
from trading.services.protection import Protection, protect, secure, secure_target
from trading.services.stops import trail
from trading.services.world import World
from vibex.lib.errors import NeedsOperator, Rejected

NEVER_SENT_AFTER: Final = timedelta(seconds=15)
"""A planned order leaves at once or never: one that is denied meanwhile cannot be sent any more."""
ABSENCE_ANSWERS: Final = 3
"""Clean "no such order" answers that are needed after the window in which the order could arrive."""
LOOKS: Final = 3
"""How often books and exchange are compared, a second apart, before a difference is one: a fill may be on its way."""
LOOKS_APART: Final = 1.0
DAWN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Settled:
    """What the exchange states after settling, what was mended and what is left for a person."""

    state: AccountState
    mended: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    blocked: dict[str, str] = field(default_factory=dict)
    """Symbols on which nothing may be opened until this is cleared up, with the reason."""
    shown: dict[str, OrderReport] = field(default_factory=dict)
    """Orders that the exchange has shown to be open or over, by client id."""

    @property
    def clean(self) -> bool:
        return not self.left

    def leave(self, symbol: str, text: str) -> None:
        """Note something that is open: a person may have to look, and nothing is opened on the symbol."""
        self.left.append(f"{symbol}: {text}")
        self.blocked[symbol] = text

    def see(self, state: AccountState) -> None:
        """Take a newer statement of the account."""
        self.state = state
        for report in state.orders:
            self.shown[report.client_order_id] = report


def settle(world: World, *, thorough: bool = False) -> Settled:
    """Settle the account and return its state. Raises Unavailable when the exchange does not answer.

    A symbol that another writer holds is left to it, and blocked meanwhile. `thorough` also looks for the cause of what
    a person was told of before.
    """
    settled = Settled(world.exchange.account())
    settled.see(settled.state)
    unread = book_income(world)
    world.journal.take_in(settled.state.orders)
    symbols = {tracked.order.symbol for tracked in world.journal.orders()}
    symbols.update([position.symbol for position in world.journal.positions()])
    symbols.update([position.symbol for position in settled.state.positions], unread or ())
    for symbol in sorted(symbols):
        if not world.journal.claim(symbol):
            settled.blocked[symbol] = "another writer is at work there"
            continue
        try:
            _attend(world, symbol, settled)
        except Rejected as fault:
            if isinstance(fault, NeedsOperator):
                raise  # that is about the account
            # One symbol that cannot be dealt with keeps nobody from looking after the others.
            text = f"it could not be looked after: {fault}"
            world.journal.incident("not-attended", f"{symbol}: {text}", critical=True, subject=symbol)
            settled.leave(symbol, text)
        finally:
            world.journal.release(symbol)
    if settled.mended:
        settled.see(world.exchange.account())
    if unread is not None:
        _check_wallet(world, settled, thorough=thorough)
    return settled


def _check_wallet(world: World, settled: Settled, *, thorough: bool) -> None:
    state, fault = check_wallet(world, settled.state, thorough=thorough)
    settled.see(state)
    if fault:
        settled.left.append(fault)


def _attend(world: World, symbol: str, settled: Settled) -> None:
    """Settle one symbol. What is read here was read under the claim: nobody of ours moves it meanwhile."""
    for tracked in world.journal.orders():
        if tracked.order.symbol == symbol:
            _resolve(world, tracked, settled)
    book(world, symbol)
    ours = _compare(world, symbol, settled)
    if settled.state.position(symbol) is None and children(world, symbol):
        # Protection goes where nothing is open now: some moments ago, before the claim, proves nothing.
        settled.see(world.exchange.account())
        ours = _compare(world, symbol, settled)
    if not world.journal.claim(symbol):
        # All this reading may have taken longer than a claim lasts: what follows writes.
        settled.blocked[symbol] = "another writer is at work there"
        return
    held = settled.state.position(symbol)
    if held is None:
        settled.mended += cancel_children(world, symbol)
        return
    if ours is None or ours.foreign:
        attended = attend_foreign(world, held, ours, settled.shown)
        settled.mended += attended.mended
        if attended.left:
            settled.leave(symbol, attended.left)
        return
    _check_protection(world, ours, settled)


def _resolve(world: World, tracked: TrackedOrder, settled: Settled) -> None:
    key, state = tracked.order.client_order_id, tracked.facts.state
    if state is OrderState.PLANNED:
        if datetime.now(UTC) - tracked.planned_at >= NEVER_SENT_AFTER:
            world.journal.move(key, OrderState.DENIED, reason="never sent: who planned it ended before")
            settled.mended.append(f"{key} was planned and never sent")
        return
    shown = settled.shown.get(key)
    if shown is not None:
        facts, incident = observed(tracked.facts, shown)
        if facts is not tracked.facts or incident:  # most looks show what is known already
            world.journal.observe(key, shown)
        return
    try:
        found = look_up(world, tracked)
    except Unavailable:
        if state in UNRESOLVED:
            settled.leave(tracked.order.symbol, f"the exchange did not say what became of order {key}")
        return
    if found is not None:
        settled.shown[key] = found
    elif not tracked.ours:
        world.journal.move(key, OrderState.DONE, reason="gone from the exchange")
    elif state in WORKING:
        world.journal.move(key, OrderState.UNKNOWN, reason="the exchange does not know it any more")
        settled.leave(tracked.order.symbol, f"the exchange does not know order {key} any more")
    else:
        _judge_absence(world, tracked, settled)


def _judge_absence(world: World, tracked: TrackedOrder, settled: Settled) -> None:
    """Declare an order absent on evidence only: the window has passed, several clean answers agree, nothing moved."""
    key, symbol = tracked.order.client_order_id, tracked.order.symbol
    if tracked.facts.state is OrderState.SENDING:
        world.journal.move(key, OrderState.UNKNOWN, reason="no answer was ever seen")
    answers = tracked.absent_answers + too_late_to_arrive(tracked)
    explained = not tracked.facts.filled and not _differ(settled.state, position_of(world, symbol), symbol)
    if answers >= ABSENCE_ANSWERS and explained:
        world.journal.move(key, OrderState.ABSENT, reason=f"{answers} clean answers: the exchange has no such order")
        settled.mended.append(f"{key} is proved absent")
    else:
        settled.leave(symbol, f"nobody knows yet what became of order {key}")


def _compare(world: World, symbol: str, settled: Settled) -> TrackedPosition | None:
    """Compare the position with the exchange's, several times where they differ; return ours.

    A fill may have fallen between two readings, or have come late with an earlier time.
    """
    for look in range(LOOKS):
        booked = booked_position(world, symbol)
        if not _differ(settled.state, booked, symbol):
            world.journal.mended("position-mismatch", symbol)
            return booked
        if look:
            world.sleep(LOOKS_APART)
        book(world, symbol, since=booked.opened_at if booked else DAWN)
        settled.see(world.exchange.account())
    ours = position_of(world, symbol)
    if text := _differ(settled.state, ours, symbol):
        held = settled.state.position(symbol)
        if held is not None and ours is None:
            return None  # nothing of it is in our books: it is somebody else's
        world.journal.incident("position-mismatch", f"{symbol}: {text}", critical=True, subject=symbol)
        settled.leave(symbol, text)
    return ours


def _differ(state: AccountState, ours: TrackedPosition | None, symbol: str) -> str:
    """Return in words how the two sides differ about a position, "" when they agree."""
    held = state.position(symbol)
    if held is None and ours is None:
        return ""
    if held is not None and ours is not None and held.side is ours.side and held.quantity == ours.quantity:
        return ""
    expected = f"{ours.side} {ours.quantity.normalize():f}" if ours else "flat"
    shown = f"{held.side} {held.quantity.normalize():f}" if held else "flat"
    return f"our books say {expected}, the exchange says {shown}"


def _check_protection(world: World, position: TrackedPosition, settled: Settled) -> None:
    held = settled.state.position(position.symbol)
    if held is None:
        return
    stops = working(world, position.symbol, Role.STOP, shown=settled.shown)
    if not stops:
        _protect_again(world, position, held, settled)
        return
    settled.mended += secure(world, position, held, settled.shown, stops=stops)
    for one in world.journal.orders():
        if one.facts.state in UNRESOLVED and one.order.symbol == position.symbol:
            return
    settled.mended += secure_target(world, position, held, settled.shown)
    settled.mended += trail(world, position.symbol, held)


def _protect_again(world: World, position: TrackedPosition, held: VenuePosition, settled: Settled) -> None:
    """Place the stop of a position anew. Its target is left alone where it stands."""
    if position.stop is None:
        flatten(world, position.symbol, purpose="flatten")
        settled.mended.append(f"{position.symbol}: had no stop and none was known: closed")
        return
    protection = protect(world, position, stop=position.stop, target=None, leverage=position.leverage)
    settled.mended.append(f"{position.symbol}: had no working stop, now {protection}")
    if protection is Protection.ARMED:
        settled.mended += secure_target(world, position, held, settled.shown)
    if protection is Protection.NAKED:
        settled.leave(position.symbol, "it has no stop and could not be closed")
