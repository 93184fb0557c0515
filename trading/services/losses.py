"""Loss limits at work: what an account has lost is looked at, and a limit that is reached lets nothing be opened."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from accounts.domain.limits import Limits
from trading.domain.losses import Breach, breaches, unknown_equity
from trading.domain.protection import Foreign
from trading.domain.venue import AccountState
from trading.exchange.base import Unavailable
from trading.services.closing import flatten
from trading.services.world import World
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.records import record

PURPOSE = "loss"
"""Why positions were closed that a loss limit closed."""
UNKNOWN = "guard-blind"
"""The incident about an equity that is not known: like every look that saw nothing, over with the next that does."""
BACK = timedelta(minutes=5)
"""Statements come out of order by seconds; what is older by more than this was made after a clock was put back."""


@record()
class Checked:
    """The newest statement of an account, and why nothing may be opened on it. Empty: no loss limit is reached."""

    state: AccountState
    reasons: tuple[str, ...] = ()

    def barring(self, blocked: Mapping[str, str]) -> dict[str, str]:
        """Return what is blocked already, by symbol ("" = all), with these reasons besides."""
        said = blocked.get("", "")
        fresh = [reason for reason in self.reasons if reason not in said]
        return {**blocked, "": "; ".join([said, *fresh] if said else fresh)} if fresh else dict(blocked)


def losses_check(world: World, limits: Limits, state: AccountState) -> Checked:
    """Lock an account that has reached a loss limit, once, and close what is open where the limits say so.

    `state` is the statement that was given to the journal as the newest point of equity. A lock holds until a person
    lifts it, whatever the limits are changed to. An equity that is not known reaches no limit and lifts none: nothing is
    opened until it is known. Nor while losses are counted up to a moment that is still to come, for none is seen then.
    """
    journal, reasons = world.journal, []
    if unknown := unknown_equity(state):
        reasons.append(f"the equity is not known: {unknown}")
        journal.incident(UNKNOWN, reasons[0], critical=True, subject="equity")
    elif watch := journal.watch():
        reasons = [
            journal.lock("", found.text, kind=found.kind, data=_figures(found)) for found in breaches(watch, limits)
        ]
        if watch.at - state.at > BACK * max(1.0, world.clock.speed):
            reasons.append(
                f"the clock was put back: losses are counted up to {watch.at:%F %T} UTC, and it is {state.at:%F %T}"
            )
    if limits.flatten_on_loss and state.positions and journal.loss_locked(at=state.at):
        state = _close_all(world, state)
    return Checked(state, tuple(reasons))


def _close_all(world: World, state: AccountState) -> AccountState:
    """Close every position, but leave alone what is not ours where the account says so. What fails is tried again later."""
    ours = {position.symbol for position in world.journal.positions() if not position.foreign}
    for held in state.positions:
        if held.symbol in ours or world.care.foreign is not Foreign.FLAG:
            _close(world, held.symbol)
    with suppress(Unavailable):  # the next look sees what came of it
        state = world.exchange.account()
        world.journal.equity(state)
    return state


def _close(world: World, symbol: str) -> None:
    """Close a position. One that is refused keeps no other open."""
    try:
        flatten(world, symbol, purpose=PURPOSE)
    except Rejected as fault:
        if isinstance(fault, NeedsOperator):
            raise  # that is about the account
        text = f"{symbol}: the position could not be closed: {fault}"
        world.journal.incident("not-flat", text, critical=True, subject=symbol)
    finally:
        world.journal.release(symbol)


def _figures(found: Breach) -> dict[str, str]:
    return {name: f"{number.normalize():f}" for name, number in found.numbers.items()}
