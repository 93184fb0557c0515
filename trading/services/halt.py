"""The halt: latch first, then cancel and close everything on the account, and read the exchange until it is flat.

Latching is one commit in our own database: from then on every older intent is void, whatever becomes of the exchange.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from django.db import transaction
from django.db.models import F

from accounts.models import Account, Incident, User
from accounts.services import audit_write, incident_open, incidents_mended
from decisions.domain.portfolio import Role
from trading.domain.orders import UNRESOLVED, WORKING
from trading.domain.venue import AccountState, OrderReport
from trading.exchange.base import Refused
from trading.services.closing import flatten
from trading.services.live import world_for
from trading.services.orders import cancel, look_up, too_late_to_arrive
from trading.services.world import World
from vibex.lib.errors import NeedsOperator, Retryable
from vibex.lib.events import publish_on_commit

ROUNDS: Final = 5
"""How often the exchange is worked on in one go; what is left then is the guard's, every 30 seconds."""
APART: Final = 1.0
INCIDENT: Final = "halt"


@dataclass(slots=True)
class Halted:
    """What a halt did. `flat` is proved: the exchange showed neither position nor order, and no entry is on its way."""

    latched: bool = False
    cancelled: list[str] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    flat: bool = False
    seconds: float = 0.0
    problem: str = ""


def account_halt(*, account: Account, reason: str, actor: User | None = None) -> Halted:
    """Halt an account and work on it until it is flat, or for some rounds; the guard goes on where this ends."""
    began = time.monotonic()
    done = Halted(latched=halt_latch(account=account, reason=reason, actor=actor))
    fresh = Account.objects.select_related("limits").get(pk=account.pk)
    try:
        _flatten_all(world_for(fresh), done)
    except (Retryable, NeedsOperator) as fault:
        done.problem = str(fault)
    done.seconds = round(time.monotonic() - began, 3)
    _tell(fresh, done)
    return done


def halt_latch(*, account: Account, reason: str, actor: User | None = None) -> bool:
    """Mark an account as halted and void every intent that is on its way. False when it was halted already.

    Each call voids anew: a resume that is at work while somebody presses the button again lifts nothing.
    """
    now = datetime.now(UTC)
    with transaction.atomic():
        running = Account.objects.filter(pk=account.pk).exclude(state=Account.State.HALTED)
        latched = running.update(
            state=Account.State.HALTED,
            state_reason=reason[:300],
            state_since=now,
            halted_at=now,
            epoch=F("epoch") + 1,
        )
        if latched != 1:
            Account.objects.filter(pk=account.pk).update(epoch=F("epoch") + 1)
            return False
        audit_write(actor=actor, action="account-halt", obj=account, after={"reason": reason})
        publish_on_commit(account_id=account.pk, kind="account")
    return True


def halt_go_on(world: World, account: Account) -> bool:
    """Work further on a halted account; return whether the exchange shows it flat. Raises Retryable as the exchange does."""
    done = Halted(latched=True)
    try:
        _flatten_all(world, done)
    except Retryable as fault:
        done.problem = str(fault)
    _tell(account, done)
    return done.flat


def _flatten_all(world: World, done: Halted) -> None:
    world = replace(world, exchange=world.exchange.urgent())
    for round_ in range(ROUNDS):
        if round_:
            world.sleep(APART)
        state = world.exchange.account()
        if not state.positions and not state.orders:
            done.problem = _on_its_way(world)
            done.flat = not done.problem
            if done.flat:
                return
            continue
        world.journal.take_in(state.orders)
        _cancel(world, _openers(state), done)
        for position in state.positions:
            if flatten(world, position.symbol, purpose="flatten"):
                done.closed.append(f"{position.symbol} {position.side} {position.quantity.normalize():f}")
        _cancel(world, _left_over(world), done)


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


def _cancel(world: World, reports: Sequence[OrderReport], done: Halted) -> None:
    working = {one.order.client_order_id: one for one in world.journal.orders() if one.facts.state in WORKING}
    for report in reports:
        key = report.client_order_id
        tracked = working.get(key)
        if tracked is not None:
            if cancel(world, tracked.order):
                done.cancelled.append(key)
            continue
        try:
            world.exchange.cancel(symbol=report.symbol, client_order_id=key)
            done.cancelled.append(key)
        except (Refused, Retryable) as fault:
            done.problem = f"{report.symbol} {key}: {fault}"


def _tell(account: Account, done: Halted) -> None:
    if done.flat:
        incidents_mended(account=account, kind=INCIDENT, subject="flat")
        return
    text = f"{account.name} is halted and not flat yet{': ' + done.problem if done.problem else ''}; the guard goes on."
    severity = Incident.Severity.CRITICAL
    incident_open(account=account, kind=INCIDENT, text=text, severity=severity, subject="flat")
