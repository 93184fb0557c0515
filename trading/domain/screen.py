"""Whether an account has to be looked at on its exchange, judged by what is known of it already. Pure.

A *doubt* is a reason to look. An account without any is as a look would leave it; so whatever is not known is a doubt.
A symbol at which somebody is at work is left to him for the moment: it is *busy*, and no doubt.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from marketdata.domain.instruments import InstrumentSpec
from trading.domain.losses import Watch, breaches
from trading.domain.matching import PositionRecord
from trading.domain.matching.margin import liquidation_price
from trading.domain.orders import OrderState
from trading.domain.protection import arranged, on_its_side, trailed
from trading.domain.venue import AccountState, NewOrder, OrderSide

ARMED: Final = "armed"
IN_WORK: Final = frozenset({"none", "arming", "adjusting"})
"""States of a bracket in which somebody places or moves a stop."""
WORKED_ON: Final = timedelta(seconds=15)
"""For so long after the last thing that happened to its orders, a symbol in work is left to whoever is at work."""
FULL_EVERY: Final = timedelta(minutes=5)
"""So often an account is looked at on its exchange without any doubt."""
SPREAD_BY: Final = 97
"""Accounts of neighbouring numbers are looked at so many seconds apart, around the five minutes."""
ROUGHLY: Final = Decimal("1.25")
"""Where the price of a liquidation is only reckoned by us, it counts as near this much earlier."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Holding:
    """An open position as our books have it. `stop` and `target` are where they belong."""

    symbol: str
    side: Side
    quantity: Decimal
    cost: Decimal
    leverage: int
    bracket: str
    stop: Decimal | None = None
    target: Decimal | None = None
    foreign: bool = False
    """Nobody here decided on it, nor looks after it."""
    touched: datetime | None = None
    """Wall time at which something happened last to its orders; asked for only while its bracket is in work."""


@dataclass(frozen=True, slots=True)
class Working:
    """An order that is not over in our books."""

    role: Role
    order: NewOrder
    state: OrderState
    filled: Decimal
    ours: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark price as the feed has it, and for how long it has stood (market time)."""

    price: Decimal
    age: timedelta


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of an account without asking its exchange."""

    holdings: tuple[Holding, ...] = ()
    orders: tuple[Working, ...] = ()
    marks: Mapping[str, Mark] = field(default_factory=dict)
    specs: Mapping[str, InstrumentSpec] = field(default_factory=dict)
    limits: Limits = DEFAULTS
    claimed: frozenset[str] = frozenset()
    """Symbols of which somebody is the only writer now."""
    oldest_mark: timedelta = timedelta(seconds=30)
    """Market time after which a mark price is stale."""
    by_position: bool = True
    """Whether its exchange knows orders that close whatever is there; a final stop is one of these."""
    stated: AccountState | None = None
    """What the exchange states now. Of a live account nobody has asked."""
    unread: tuple[str, ...] = ()
    """What cannot be read from here, or is read and not in the books yet: each is a doubt."""
    halted: bool = False
    """Whether it has to become flat."""
    watch: Watch | None = None
    """Its losses, carried on to now."""
    locked: frozenset[str] = frozenset()
    """The loss limits that fired already."""
    full_at: datetime | None = None
    """Wall time of the last look at its exchange."""


@dataclass(frozen=True, slots=True)
class Screened:
    """What a screening found: doubts in words, and the symbols that are left to somebody who is at work there."""

    doubts: tuple[str, ...] = ()
    busy: tuple[str, ...] = ()


def screen(known: Known, *, account_id: int, now: datetime) -> Screened:
    """Return what is in doubt of an account at the wall time `now`."""
    busy = _busy(known, now)
    doubts = [*known.unread, *_standing(known), *_stated(known, busy), *_orders(known, busy)]
    for held in known.holdings:
        if held.symbol not in busy:
            doubts += (f"{held.symbol} {text}" for text in _held(known, held))
    if full_look_due(account_id, full_at=known.full_at, now=now):
        doubts.append("its turn has come")
    return Screened(tuple(dict.fromkeys(doubts)), tuple(sorted(busy)))


def full_look_due(account_id: int, *, full_at: datetime | None, now: datetime) -> bool:
    """Tell whether five minutes are over. Each account has a moment of its own in them: no two fall on one by design.

    They are over as well where the clock on the wall was put back since.
    """
    if full_at is None:
        return True
    phase = timedelta(seconds=SPREAD_BY * account_id) % FULL_EVERY
    return (now - phase - EPOCH) // FULL_EVERY != (full_at - phase - EPOCH) // FULL_EVERY


def _busy(known: Known, now: datetime) -> frozenset[str]:
    worked_on = {
        held.symbol
        for held in known.holdings
        if held.bracket in IN_WORK and held.touched is not None and now - held.touched < WORKED_ON
    }
    return known.claimed | worked_on


def _standing(known: Known) -> Iterator[str]:
    """Yield what is in doubt of the account as a whole."""
    if known.halted:
        yield "it is halted and not flat yet"
    if known.limits.flatten_on_loss and known.locked and known.holdings:
        yield "a loss limit was reached, and something is still open"
    for breach in breaches(known.watch, known.limits) if known.watch else ():
        if breach.kind not in known.locked:
            yield breach.text


def _stated(known: Known, busy: frozenset[str]) -> Iterator[str]:
    """Yield where our books differ from what the exchange states."""
    if known.stated is None:
        return
    ours = {held.symbol: (held.side, held.quantity) for held in known.holdings}
    theirs = {held.symbol: (held.side, held.quantity) for held in known.stated.positions}
    for symbol in sorted((ours.keys() | theirs.keys()) - busy):
        if ours.get(symbol) != theirs.get(symbol):
            yield f"{symbol} is another position on the exchange than in our books"
    shown = {report.client_order_id: report for report in known.stated.orders}
    booked = {working.order.client_order_id: working for working in known.orders}
    for key in sorted(shown.keys() ^ booked.keys()):
        symbol = shown[key].symbol if key in shown else booked[key].order.symbol
        if symbol not in busy:
            yield f"{symbol} has an order on one side only"
    for key in shown.keys() & booked.keys():
        report, order = shown[key], booked[key].order
        same = (report.filled, report.trigger, report.side) == (booked[key].filled, order.trigger, order.side)
        if not same and order.symbol not in busy:
            yield f"{order.symbol} has an order that differs on the two sides"


def _orders(known: Known, busy: frozenset[str]) -> Iterator[str]:
    held = {holding.symbol for holding in known.holdings}
    for working in known.orders:
        symbol = working.order.symbol
        if symbol in busy:
            continue
        if working.state is not OrderState.LIVE:
            yield f"{symbol} has an order that is {working.state}"
        elif working.ours and not working.role.protects:
            yield f"{symbol} has a working {working.role}"
        elif working.ours and symbol not in held:
            yield f"{symbol} has a {working.role} without a position"
        elif working.filled:
            yield f"{symbol} has a {working.role} that is partly filled"


def _held(known: Known, held: Holding) -> Iterator[str]:
    """Yield what is in doubt of a position, without its symbol."""
    if held.foreign:
        yield "was not opened by Vibex"
        return
    if held.bracket != ARMED:
        yield f"is {held.bracket}, not armed"
    mark = known.marks.get(held.symbol)
    if mark is None or not mark.price.is_finite() or mark.price <= 0:
        yield "has no mark price"
        return
    if abs(mark.age) > known.oldest_mark:
        yield "has a mark price that is not of now"
    yield from _protected(known, held, mark.price)
    if _near(known, held, mark.price):
        yield "is near its liquidation"


def _protected(known: Known, held: Holding, mark: Decimal) -> Iterator[str]:
    """Yield what is wrong with stop and target: one working stop of ours, in its final form, where it belongs."""
    if held.stop is None:
        yield "has no stop on record"
        return
    if not _in_place(known, held, Role.STOP, held.stop):
        yield "has not exactly one working stop where it belongs"
    if not on_its_side(held.side, stop=held.stop, mark=mark):
        yield "has a stop that the price has passed"
    if not _in_place(known, held, Role.TARGET, held.target):
        yield "has not exactly one target where it belongs"
    distance, spec = known.limits.trailing_stop, known.specs.get(held.symbol)
    if distance is None or spec is None:
        return
    if trailed(held.side, mark=mark, stop=held.stop, distance=distance, spec=spec) is not None:
        yield "has a stop that has to follow the price"


def _in_place(known: Known, held: Holding, role: Role, wanted: Decimal | None) -> bool:
    """Tell whether what works for a position is the one order that is wanted, none where none is."""
    working = [
        each.order for each in known.orders if each.ours and each.role is role and each.order.symbol == held.symbol
    ]
    if not working:
        return wanted is None
    found = arranged(working, wanted=wanted, held=held.quantity, by_position=known.by_position)
    closes = OrderSide.to_close(held.side)
    return found.keep is not None and not found.spare and found.keep.side is closes


def _near(known: Known, held: Holding, mark: Decimal) -> bool:
    least = known.limits.min_liquidation_distance
    stated = known.stated.position(held.symbol) if known.stated else None
    if stated is not None:
        price = stated.liquidation_price
        return price is not None and too_near(mark=mark, liquidation=price, least=least)
    spec = known.specs.get(held.symbol)
    if spec is None:
        return bool(least)
    sign, margin = held.side.sign, held.cost / max(held.leverage, 1)
    record = PositionRecord(held.symbol, held.quantity * sign, held.cost * sign, margin, held.leverage, EPOCH)
    reckoned = liquidation_price(spec, record, margin)
    return reckoned is not None and too_near(mark=mark, liquidation=reckoned, least=least * ROUGHLY)


def too_near(*, mark: Decimal, liquidation: Decimal, least: Decimal) -> bool:
    """Tell whether a liquidation price lies nearer than `least`, as a share of the mark."""
    return abs(mark - liquidation) < least * mark
