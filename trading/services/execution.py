"""From rulings to deeds: entries that are protected at once, closes that nothing holds up."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from decimal import Decimal

from decisions.domain.portfolio import Role
from decisions.domain.proposal import WAITS, Action, Proposal, Ruling, Side, Verdict
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from trading.domain.orders import new_client_order_id
from trading.domain.venue import ONE, NewOrder, OrderSide, OrderType, TimeInForce
from trading.exchange.base import Ambiguous, Held, Refusal, Refused, Unavailable
from trading.services.adding import check_addition, protect_all
from trading.services.closing import flatten
from trading.services.journal.base import EntryBarred, TrackedPosition
from trading.services.orders import book, send
from trading.services.protection import Protection, protect
from trading.services.world import Run, World
from vibex.lib.records import record


@record()
class Done:
    """What became of one ruling."""

    symbol: str
    action: Action
    text: str
    filled: Decimal = Decimal(0)
    price: Decimal | None = None
    protected: bool = False
    well: bool = True
    """False when it went wrong: the account is looked at again, and an entry that follows on the symbol is left out."""
    waits: bool = False
    """True for an entry that waits for a person."""


def execute(
    world: World, run: Run, snapshot: MarketSnapshot, rulings: Sequence[Ruling], *, waiting: Collection[int] = ()
) -> list[Done]:
    """Carry out the rulings in their order, but for those at the places of `waiting`: they wait for a person.

    Raises IntentVoid when the lease is lost or the account was halted.
    """
    done: list[Done] = []
    for index, ruling in enumerate(rulings):
        proposal = ruling.proposal
        if ruling.verdict is Verdict.REFUSED or proposal.action is Action.HOLD:
            continue
        if proposal.action.opens and any(deed.symbol == proposal.symbol and not deed.well for deed in done):
            done.append(Done(proposal.symbol, proposal.action, "not entered: what came before it failed", well=False))
            continue
        if index in waiting:
            done.append(Done(proposal.symbol, proposal.action, WAITS, waits=True))
            continue
        done.append(_carry_out(world, run, snapshot, index, ruling))
    return done


def _carry_out(world: World, run: Run, snapshot: MarketSnapshot, index: int, ruling: Ruling) -> Done:
    symbol, action = ruling.proposal.symbol, ruling.proposal.action
    claimed = world.journal.claim(symbol)
    try:
        if action is Action.CLOSE:  # whoever else is at work there: a close is reduce-only and waits for nobody
            flat = flatten(world, symbol, purpose="close", ruling=index)
            return Done(symbol, action, "closed" if flat else "could not be closed: see the incident", well=flat)
        if not claimed:
            raise EntryBarred("another writer is at work on the symbol")
        return enter(world, run, snapshot, index, ruling)
    except EntryBarred as barred:
        return Done(symbol, action, f"not entered: {barred}")
    finally:
        if claimed:
            world.journal.release(symbol)


def enter(world: World, run: Run, snapshot: MarketSnapshot, index: int, ruling: Ruling) -> Done:
    """Open a position, or add to one, as ruled, and protect all of it. Raises EntryBarred when it may not go out any more.

    Leverage is set only while nothing is open: what adds to a position was ruled at the leverage that it has.
    """
    proposal, view = ruling.proposal, snapshot.symbols[ruling.proposal.symbol]
    if ruling.quantity is None or ruling.leverage is None or proposal.stop_loss is None:
        raise ValueError(f"a ruling without size, leverage or stop was accepted for {proposal.symbol}")
    if ruling.adds:
        check_addition(proposal, position_of(world, proposal.symbol))
    try:
        if not ruling.adds:
            _set_leverage(world, proposal.symbol, ruling.leverage)
        order = entry_order(
            world.installation, view.instrument, view.quote, proposal.side, ruling.quantity, run.limits.max_slippage
        )
        report = send(world, order, role=Role.ENTRY, ruling=index)
    except (Refused, Unavailable, Ambiguous) as fault:
        if isinstance(fault, Held):
            world.journal.reducing(f"{proposal.symbol}: {fault}"[:300])
        world.journal.incident("entry-failed", f"{proposal.symbol}: {fault}")
        return Done(proposal.symbol, proposal.action, f"not entered: {fault}", well=False)
    book(world, proposal.symbol)
    position = position_of(world, proposal.symbol)
    if position is None or (ruling.adds and not report.filled):
        return Done(proposal.symbol, proposal.action, "nothing was filled within the allowed slippage")
    if ruling.adds:
        return _added(world, proposal, position, report.filled, proposal.stop_loss)
    if position.foreign:
        # Somebody opened one by hand while the bot was thinking: it is one position now, and our stop is over all of it.
        world.journal.adopted(proposal.symbol, stop=proposal.stop_loss)
    protection = protect(
        world, position, stop=proposal.stop_loss, target=proposal.profit_target, leverage=ruling.leverage
    )
    return _entered(proposal.symbol, proposal.action, position, protection)


def position_of(world: World, symbol: str) -> TrackedPosition | None:
    """Return our position in a symbol: as booked, or, while its trades could not be read, as its entry order says."""
    return booked_position(world, symbol) or world.journal.unbooked(symbol)


def booked_position(world: World, symbol: str) -> TrackedPosition | None:
    """Return our position in a symbol as its trades make it, None when flat."""
    for position in world.journal.positions():
        if position.symbol == symbol:
            return position
    return None


def entry_order(
    installation: str, spec: InstrumentSpec, quote: Quote, side: Side, quantity: Decimal, max_slippage: Decimal
) -> NewOrder:
    """Return a LIMIT IOC order at the touch plus or minus the allowed slippage, rounded towards the touch."""
    if side is Side.LONG:
        price = max(spec.price_down(quote.ask * (ONE + max_slippage)), quote.ask)
    else:
        price = min(spec.price_up(quote.bid * (ONE - max_slippage)), quote.bid)
    name, opens, trigger = new_client_order_id(installation), OrderSide.to_open(side), None
    return NewOrder(name, spec.symbol, opens, OrderType.LIMIT, quantity, price, trigger, TimeInForce.IOC)


def _added(world: World, proposal: Proposal, position: TrackedPosition, filled: Decimal, stop: Decimal) -> Done:
    symbol, action = proposal.symbol, proposal.action
    try:
        protection = protect_all(world, position, stop=stop, target=proposal.profit_target)
    except Unavailable as fault:
        text = f"added {filled.normalize():f}; its stop is looked at again, for the exchange does not answer: {fault}"
        return Done(symbol, action, text, filled, well=False)
    done = _entered(symbol, action, position, protection)
    return replace(done, text=f"added {filled.normalize():f}: {done.text}", filled=filled)


def _entered(symbol: str, action: Action, position: TrackedPosition, protection: Protection) -> Done:
    text = f"{position.side} {position.quantity.normalize():f} at {position.entry_price.normalize():f}"
    match protection:
        case Protection.CLOSED:
            text += ", closed at once: its stop could not be confirmed"
        case Protection.NAKED:
            text += ", WITHOUT A STOP: it could neither be protected nor closed yet"
    armed = protection is Protection.ARMED
    return Done(symbol, action, text, position.quantity, position.entry_price, armed, well=armed)


def _set_leverage(world: World, symbol: str, leverage: int) -> None:
    world.journal.may_set()
    shown = world.exchange.set_leverage(symbol=symbol, leverage=leverage)
    if shown != leverage:
        raise Refused(f"asked for leverage {leverage}, the exchange shows {shown}", refusal=Refusal.LEVERAGE)
