"""From a ruling to a protected position, or to a flat one. Every order is an intent on record before it leaves.

Nothing is sent again blindly: after an answer that never came, the exchange is asked for the client id.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from decisions.domain.portfolio import Role
from decisions.domain.proposal import Action, Ruling, Side, Verdict
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import MarketSnapshot, Quote
from trading.domain.orders import NEVER_PLACED, WORKING, OrderState, new_client_order_id
from trading.domain.venue import NewOrder, OrderReport, OrderSide, OrderType, TimeInForce
from trading.exchange.base import Ambiguous, Refusal, Refused, Unavailable
from trading.services.journal.base import Bracket, IntentVoid, TrackedOrder, TrackedPosition
from trading.services.world import Run, World

ASKS = 3
"""How often the exchange is asked for an order whose placing was not answered, before it is left to the guard."""
STOP_TRIES = 2
CLOSE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one ruling."""

    symbol: str
    action: Action
    text: str
    filled: Decimal = Decimal(0)
    price: Decimal | None = None
    protected: bool = False
    well: bool = True
    """False when it went wrong: an entry that follows on the same symbol is then left out."""


def execute(world: World, run: Run, snapshot: MarketSnapshot, rulings: Sequence[Ruling]) -> list[Done]:
    """Carry out the rulings in their order. Raises IntentVoid when the lease is lost or the account was halted."""
    done: list[Done] = []
    for index, ruling in enumerate(rulings):
        proposal = ruling.proposal
        if ruling.verdict is Verdict.REFUSED or proposal.action is Action.HOLD:
            continue
        if proposal.action.opens and any(deed.symbol == proposal.symbol and not deed.well for deed in done):
            done.append(Done(proposal.symbol, proposal.action, "not entered: what came before it failed", well=False))
            continue
        done.append(_carry_out(world, run, snapshot, index, ruling))
    return done


def _carry_out(world: World, run: Run, snapshot: MarketSnapshot, index: int, ruling: Ruling) -> Done:
    symbol, action = ruling.proposal.symbol, ruling.proposal.action
    claimed = world.journal.claim(symbol)
    if not claimed and action.opens:
        return Done(symbol, action, "not entered: another writer holds the symbol")
    try:
        if action is Action.CLOSE:
            flat = flatten(world, symbol, purpose="close", ruling=index)
            return Done(symbol, action, "closed" if flat else "could not be closed: see the incident", well=flat)
        return enter(world, run, snapshot, index, ruling)
    finally:
        if claimed:
            world.journal.release(symbol)


def enter(world: World, run: Run, snapshot: MarketSnapshot, index: int, ruling: Ruling) -> Done:
    """Open a position as ruled and protect what was filled."""
    proposal, view = ruling.proposal, snapshot.symbols[ruling.proposal.symbol]
    if ruling.quantity is None or ruling.leverage is None or proposal.stop_loss is None:
        raise ValueError(f"a ruling without size, leverage or stop was accepted for {proposal.symbol}")
    try:
        _set_leverage(world, proposal.symbol, ruling.leverage)
        order = entry_order(
            world.installation, view.instrument, view.quote, proposal.side, ruling.quantity, run.limits.max_slippage
        )
        send(world, order, role=Role.ENTRY, ruling=index)
    except (Refused, Unavailable, Ambiguous) as fault:
        book(world, proposal.symbol)
        world.journal.incident("entry-failed", f"{proposal.symbol}: {fault}")
        return Done(proposal.symbol, proposal.action, f"not entered: {fault}")
    book(world, proposal.symbol)
    position = _position(world, proposal.symbol)
    if position is None:
        return Done(proposal.symbol, proposal.action, "nothing was filled within the allowed slippage")
    protected = protect(
        world, position, stop=proposal.stop_loss, target=proposal.profit_target, leverage=ruling.leverage
    )
    text = f"{position.side} {position.quantity.normalize():f} at {position.entry_price.normalize():f}"
    if not protected:
        text += ", flattened at once: its stop could not be confirmed"
    return Done(proposal.symbol, proposal.action, text, position.quantity, position.entry_price, protected)


def entry_order(
    installation: str, spec: InstrumentSpec, quote: Quote, side: Side, quantity: Decimal, max_slippage: Decimal
) -> NewOrder:
    """Return a LIMIT IOC order at the touch plus or minus the allowed slippage, rounded towards the touch."""
    if side is Side.LONG:
        price = max(spec.price_down(quote.ask * (1 + max_slippage)), quote.ask)
    else:
        price = min(spec.price_up(quote.bid * (1 - max_slippage)), quote.bid)
    return NewOrder(
        client_order_id=new_client_order_id(installation),
        symbol=spec.symbol,
        side=OrderSide.to_open(side),
        type=OrderType.LIMIT,
        quantity=quantity,
        price=price,
        time_in_force=TimeInForce.IOC,
    )


def child_order(installation: str, position: TrackedPosition, role: Role, trigger: Decimal) -> NewOrder:
    """Return the stop or the target of a position: closes all of it when the mark price reaches the trigger."""
    return NewOrder(
        client_order_id=new_client_order_id(installation),
        symbol=position.symbol,
        side=OrderSide.to_close(position.side),
        type=OrderType.STOP_MARKET if role is Role.STOP else OrderType.TAKE_PROFIT_MARKET,
        trigger=trigger,
        close_position=True,
    )


def protect(
    world: World, position: TrackedPosition, *, stop: Decimal, target: Decimal | None, leverage: int | None = None
) -> bool:
    """Place the stop, read it back, then place the target. Flattens, and returns False, when the stop fails."""
    world.journal.bracket(position.symbol, Bracket.ARMING, stop=stop, target=target, leverage=leverage)
    if not _place_stop(world, position, stop):
        return False
    world.journal.bracket(position.symbol, Bracket.ARMED, verified_at=world.clock.now())
    if target is not None:
        place_target(world, position, target)
    return True


def place_target(world: World, position: TrackedPosition, target: Decimal) -> None:
    """Place the target. Its absence is an incident, not a danger: the stop stands."""
    try:
        send(world, child_order(world.installation, position, Role.TARGET, target), role=Role.TARGET)
    except Refused as refusal:
        if refusal.refusal is Refusal.WOULD_TRIGGER:
            flatten(world, position.symbol, purpose="target")  # the price is there already: take it
        else:
            world.journal.incident("target-failed", f"{position.symbol}: {refusal}")
    except (Unavailable, Ambiguous) as fault:
        world.journal.incident("target-failed", f"{position.symbol}: {fault}")


def _place_stop(world: World, position: TrackedPosition, stop: Decimal) -> bool:
    fault = ""
    for _ in range(STOP_TRIES):
        order = child_order(world.installation, position, Role.STOP, stop)
        try:
            send(world, order, role=Role.STOP)
            if _read_back(world, order):
                return True
            fault = "it is not among the working orders"
        except Refused as refusal:
            fault = str(refusal)
            if refusal.refusal is Refusal.WOULD_TRIGGER:
                break  # the price has passed it: only closing is left
        except (Unavailable, Ambiguous) as unanswered:
            fault = str(unanswered)
    if _venue_quantity(world, position.symbol) == 0:
        book(world, position.symbol)
        return True  # gone meanwhile: nothing is left to protect
    world.journal.incident(
        "stop-failed", f"{position.symbol}: the stop at {stop:f} could not be confirmed ({fault})", critical=True
    )
    flatten(world, position.symbol, purpose="flatten")
    return False


def _read_back(world: World, order: NewOrder) -> bool:
    state = world.exchange.account()
    shown = next((report for report in state.orders if report.client_order_id == order.client_order_id), None)
    if shown is not None:
        return shown.status.open and shown.trigger == order.trigger
    return state.position(order.symbol) is None  # fired at once and closed it


def flatten(world: World, symbol: str, *, purpose: str, ruling: int | None = None) -> bool:
    """Close all of a position at market, reduce-only, and sweep its children. Returns whether the exchange shows it flat."""
    for _ in range(CLOSE_TRIES):
        try:
            held = world.exchange.account().position(symbol)
            if held is None:
                break
            spec = world.market.instrument(symbol)
            order = NewOrder(
                client_order_id=new_client_order_id(world.installation),
                symbol=symbol,
                side=OrderSide.to_close(held.side),
                type=OrderType.MARKET,
                quantity=min(held.quantity, spec.max_quantity),
                reduce_only=True,
            )
            send(world, order, role=Role.CLOSE, ruling=ruling, purpose=purpose)
        except Refused as refusal:
            if refusal.refusal is not Refusal.REDUCE_ONLY:
                world.journal.incident("close-refused", f"{symbol}: {refusal}", critical=True)
        except (Unavailable, Ambiguous):
            world.sleep(0.5)
    book(world, symbol)
    flat = _venue_quantity(world, symbol) == 0
    if flat:
        cancel_children(world, symbol)
    else:
        world.journal.incident("not-flat", f"{symbol}: the position could not be closed", critical=True)
    return flat


def cancel_children(world: World, symbol: str, *, keep: str = "") -> None:
    """Cancel our stops and targets of a symbol, except the one with the client id `keep`."""
    for child in world.journal.orders():
        mine = child.order.symbol == symbol and child.role.protects
        if mine and child.order.client_order_id != keep and child.facts.state in WORKING:
            cancel(world, child)


def cancel(world: World, tracked: TrackedOrder) -> None:
    """Cancel one of our orders. What cannot be confirmed stays `cancelling` and is looked at again by the guard."""
    order = tracked.order
    world.journal.move(order.client_order_id, OrderState.CANCELLING)
    try:
        report = world.exchange.cancel(symbol=order.symbol, client_order_id=order.client_order_id)
        world.journal.observe(order.client_order_id, report)
    except Refused:
        look_up(world, tracked)
    except (Unavailable, Ambiguous) as fault:
        world.journal.incident("cancel-unanswered", f"{order.symbol} {order.client_order_id}: {fault}")


def send(world: World, order: NewOrder, *, role: Role, ruling: int | None = None, purpose: str = "") -> OrderReport:
    """Put the intent on record, send the order, take in the answer.

    Raises IntentVoid before anything left, Refused and Unavailable when certainly nothing was placed, Ambiguous when
    the exchange did not say what became of it: the order is then `unknown`.
    """
    key = order.client_order_id
    world.journal.plan(order, role=role, ruling=ruling, purpose=purpose)
    world.journal.sending(key)
    try:
        report = world.exchange.place(order)
    except (Refused, Unavailable) as certain:
        world.journal.move(key, OrderState.DONE, reason=f"{NEVER_PLACED}: {certain}"[:300])
        raise
    except IntentVoid:
        raise
    except Exception as uncertain:
        world.journal.move(key, OrderState.UNKNOWN, reason=str(uncertain)[:300])
        found = _ask_for(world, order)
        if found is None:
            raise Ambiguous(f"order {key} was sent and not answered: {uncertain}") from uncertain
        report = found
    world.journal.observe(key, report)
    return report


def look_up(world: World, tracked: TrackedOrder) -> OrderReport | None:
    """Ask the exchange what became of an order and take in the answer. None when it knows none or does not answer."""
    order = tracked.order
    try:
        report = world.exchange.order(symbol=order.symbol, client_order_id=order.client_order_id)
    except Unavailable:
        return None  # an error answer is never evidence
    if report is None:
        world.journal.asked_in_vain(order.client_order_id)
    else:
        world.journal.observe(order.client_order_id, report)
    return report


def book(world: World, symbol: str) -> None:
    """Book the trades of a symbol, and the lines of the ledger, that we do not have yet."""
    try:
        world.journal.book(world.exchange.trades(symbol=symbol, since=world.journal.trades_since(symbol)))
    except Unavailable as fault:
        world.journal.incident("books-behind", f"{symbol}: trades could not be read ({fault})")
    book_income(world)


def book_income(world: World) -> None:
    """Copy the lines of the exchange's ledger that we do not have yet."""
    try:
        world.journal.book_income(world.exchange.income(since=world.journal.income_since()))
    except Unavailable as fault:
        world.journal.incident("books-behind", f"the ledger could not be read ({fault})")


def _ask_for(world: World, order: NewOrder) -> OrderReport | None:
    for _ in range(ASKS):
        try:
            report = world.exchange.order(symbol=order.symbol, client_order_id=order.client_order_id)
            if report is not None:
                return report
            world.journal.asked_in_vain(order.client_order_id)
        except Unavailable:
            pass  # proves nothing: ask again
        world.sleep(1.0)
    return None


def _set_leverage(world: World, symbol: str, leverage: int) -> None:
    shown = world.exchange.set_leverage(symbol=symbol, leverage=leverage)
    if shown != leverage:
        raise Refused(f"asked for leverage {leverage}, the exchange shows {shown}", refusal=Refusal.LEVERAGE)


def _position(world: World, symbol: str) -> TrackedPosition | None:
    return next((position for position in world.journal.positions() if position.symbol == symbol), None)


def _venue_quantity(world: World, symbol: str) -> Decimal | None:
    """Return the open quantity as the exchange states it, None when it does not answer."""
    try:
        held = world.exchange.account().position(symbol)
    except Unavailable:
        return None
    return held.quantity if held else Decimal(0)
