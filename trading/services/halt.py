"""The halt: latch first, then cancel and close everything on the account, and read the exchange until it is flat.

Latching is one commit in our own database: from then on every older intent is void, whatever becomes of the exchange.
Each halt is a row from the latch to the proof, so whoever comes later, after a crash too, goes on where it broke off.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Final

from django.db import connection, transaction
from django.db.models import F

from accounts.domain.alerts import EventType, Severity
from accounts.models import Account, Incident, User
from accounts.services import alert_raise, audit_write, incident_open, incidents_mended
from trading.models import Halt
from trading.selectors.halts import halt_in_force
from trading.services.flattening import Work, account_flatten
from trading.services.journal.base import IntentVoid
from trading.services.live import world_for
from trading.services.waiting import approvals_void
from trading.services.world import World
from vibex.lib.commits import after_commit
from vibex.lib.errors import NeedsOperator, Rejected, Retryable
from vibex.lib.events import publish_on_commit
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)

INCIDENT: Final = "halt"
UNNAMED: Final = "emergency stop"
"""The reason of a halt for which nobody took the time to write one."""

PATIENCE: Final = "3s"
"""So long a latch waits for whoever holds the account's row: one process that stands still holds up no other account."""

type Tell = Callable[[str, str], None]
"""Called with what was done (`latched`, `cancelled`, `closed`, `flat`, `open`) and about what."""


@dataclass(frozen=True, slots=True)
class Halted:
    """How a halt stands. `flat` is proved: see `account_flatten`."""

    account_id: int
    name: str
    latched: bool
    """Whether this call latched it; False when it was halted already."""
    halted: bool = True
    """Whether it is halted now: a person may have lifted it meanwhile, or it could not be latched."""
    keep_positions: bool = False
    reason: str = ""
    cancelled: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    rounds: int = 0
    flat: bool = False
    seconds: float = 0.0
    """From the press to the proof, or until now."""
    problem: str = ""


def account_halt(
    *,
    account: Account,
    reason: str,
    actor: User | None = None,
    keep_positions: bool = False,
    tell: Tell = lambda kind, text: None,
) -> Halted:
    """Halt an account and work on it until it is flat, or for some rounds; the guard goes on where this ends."""
    latched = halt_latch(account=account, reason=reason, actor=actor, keep_positions=keep_positions)
    tell("latched", "")
    return halt_work(account_id=account.pk, latched=latched, tell=tell)


def halt_latch(*, account: Account, reason: str, actor: User | None = None, keep_positions: bool = False) -> bool:
    """Mark an account as halted and void every intent that is on its way. False when it was halted already.

    Each call voids anew: a resume that is at work while somebody presses the button again lifts nothing. Who keeps the
    positions of an account whose halt closes them keeps nothing; who does not, closes what a halt before had kept.
    Raises OperationalError when somebody does not let go of the account's row.
    """
    now, reason = datetime.now(UTC), reason.strip()[:300] or UNNAMED
    with transaction.atomic():
        _wait_at_most(PATIENCE)
        Account.objects.filter(pk=account.pk).update(epoch=F("epoch") + 1)  # who writes first holds the row
        held = Account.objects.get(pk=account.pk)
        latched = held.state != Account.State.HALTED
        if latched:
            _latch(held, reason, actor, keep_positions, now)
        else:
            _press_again(held, reason, keep_positions, now)
        after = {"reason": reason, "keep_positions": keep_positions, "again": not latched}
        audit_write(actor=actor, action="account-halt", obj=account, after=after)
        publish_on_commit(account_id=account.pk, kind="account")
        void = partial(approvals_void, account=account, reason="The account was halted after this was decided.")
        after_commit(void)
    if latched:
        _announce(held, actor, reason)
    return latched


def halt_work(*, account_id: int, latched: bool = False, tell: Tell = lambda kind, text: None) -> Halted:
    """Work on a halted account for some rounds, as it is wanted now: somebody may have pressed again meanwhile."""
    while True:
        account = Account.objects.select_related("limits").get(pk=account_id)
        halt = halt_in_force(account)
        if account.state != Account.State.HALTED or halt is None:
            return Halted(account.pk, account.name, latched, halted=False, problem="it was lifted meanwhile")
        try:
            flat = _go(lambda of=account: world_for(of), account, halt, tell)  # type: ignore[misc]
        except IntentVoid:
            continue
        halt.refresh_from_db()
        if not flat and not _as_it_was(account):
            continue
        tell("flat" if flat else "open", halt.problem)
        return report_of(halt, account, latched=latched)


def halt_go_on(world: World, account: Account) -> bool:
    """Work further on a halted account; return whether it may be looked after as any other.

    That is so when the exchange shows it flat, or when the halt keeps positions: they stay protected.
    """
    halt = halt_in_force(account) or _row_for(account)
    try:
        return _go(lambda: world, account, halt, lambda kind, text: None) or halt.keep_positions
    except IntentVoid:
        return False  # somebody pressed again, and works on it now


def report_of(halt: Halt, account: Account, *, latched: bool = False, problem: str = "") -> Halted:
    """Return how a halt stands."""
    return Halted(
        account_id=account.pk,
        name=account.name,
        latched=latched,
        keep_positions=halt.keep_positions,
        reason=halt.reason,
        cancelled=tuple(halt.cancelled),
        closed=tuple(halt.closed),
        rounds=halt.rounds,
        flat=halt.flat_at is not None,
        seconds=round(halt.seconds if halt.seconds is not None else _since(halt), 3),
        problem=problem or halt.problem,
    )


# -- the latch -------------------------------------------------------------------------------------------------------


def _wait_at_most(patience: str) -> None:
    """Let this transaction wait no longer for a row; SQLite has a patience of its own."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('lock_timeout', %s, true)", [patience])


def _latch(account: Account, reason: str, actor: User | None, keep: bool, now: datetime) -> None:
    account.state, account.state_reason, account.state_since = Account.State.HALTED, reason, now
    account.halted_at, account.halt_keeps_positions = now, keep
    account.save(update_fields=["state", "state_reason", "state_since", "halted_at", "halt_keeps_positions"])
    # Whoever let the account go again without lifting its halt has lifted it.
    Halt.objects.filter(account=account, lifted__isnull=True).update(lifted=now)
    Halt.objects.create(account=account, at=now, pressed=now, actor=actor, reason=reason, keep_positions=keep)


def _press_again(account: Account, reason: str, keep: bool, now: datetime) -> None:
    halt = Halt.objects.select_for_update().filter(account=account, lifted__isnull=True).first() or _row_for(account)
    halt.keep_positions = halt.keep_positions and keep
    if reason not in halt.reason:
        halt.reason = f"{halt.reason}; {reason}"[:300]
    halt.pressed, halt.flat_at, halt.seconds = now, None, None
    halt.save(update_fields=["keep_positions", "reason", "pressed", "flat_at", "seconds"])
    Account.objects.filter(pk=account.pk).update(halt_keeps_positions=halt.keep_positions)


def _row_for(account: Account) -> Halt:
    """Return the row of a halt that was latched before halts had rows."""
    at = account.halted_at or account.state_since
    row = {"at": at, "pressed": at, "reason": account.state_reason or UNNAMED}
    halt, _ = Halt.objects.get_or_create(
        account=account, lifted=None, defaults=row | {"keep_positions": account.halt_keeps_positions}
    )
    return halt


# -- the work --------------------------------------------------------------------------------------------------------


def _go(world: Callable[[], World], account: Account, halt: Halt, tell: Tell) -> bool:
    """Work on the exchange in one go, keep and tell what came of it; return whether it is proved flat."""

    def did(kind: str, text: str) -> None:
        _keep(halt.pk, kind, text)
        tell(kind, text)

    work = Work(tell=did)
    try:
        account_flatten(world(), work, keep_positions=halt.keep_positions, go_on=lambda: _as_it_was(account))
    except IntentVoid:
        raise
    except (Retryable, NeedsOperator, Rejected) as fault:
        work.problem = str(fault)
    except Exception as bug:
        log.exception("the halt of account %s broke off", account.pk)
        work.problem = f"{type(bug).__name__}: {bug}"
    work.problem = mask_text(work.problem)  # it is stored, and told
    flat = _ended(account, halt.pk, work)
    _alarm(account, flat=flat, problem=work.problem)
    return flat


def _as_it_was(account: Account) -> bool:
    """Tell whether the account is still halted, and nobody pressed again since it was read."""
    return Account.objects.filter(pk=account.pk, state=Account.State.HALTED, epoch=account.epoch).exists()


def _keep(halt_id: int, kind: str, text: str) -> None:
    """Add what was done to the row at once: a crash forgets nothing. Two that work at once add to one list."""
    with transaction.atomic():
        halt = Halt.objects.select_for_update().get(pk=halt_id)
        done: list[str] = getattr(halt, kind)
        if text not in done:
            done.append(text)
            halt.save(update_fields=[kind])


def _ended(account: Account, halt_id: int, work: Work) -> bool:
    """Keep how a go ended. A proof counts only while the halt is the one that was worked on."""
    with transaction.atomic():
        now = Account.objects.select_for_update().get(pk=account.pk)
        halt = Halt.objects.select_for_update().get(pk=halt_id)
        halt.rounds += work.rounds
        halt.problem = work.problem[:300]
        current = now.state == Account.State.HALTED and now.epoch == account.epoch and halt.lifted is None
        flat = work.flat and current
        if flat and (halt.flat_at is None or work.cancelled or work.closed):
            halt.flat_at = datetime.now(UTC)
            halt.seconds = round(_since(halt), 3) if halt.seconds is None else halt.seconds
            publish_on_commit(account_id=account.pk, kind="halt")
        elif work.open:
            halt.flat_at = None
        halt.save(update_fields=["rounds", "problem", "flat_at", "seconds"])
    return flat


def _since(halt: Halt) -> float:
    return max(0.0, (datetime.now(UTC) - halt.pressed).total_seconds())


def _alarm(account: Account, *, flat: bool, problem: str) -> None:
    """Tell, once until it is over, that a halted account is not flat. Trouble with telling holds up no halt."""
    try:
        if flat:
            incidents_mended(account=account, kind=INCIDENT, subject="flat")
            return
        text = f"{account.name} is halted and not flat yet{': ' + problem if problem else ''}; the guard goes on."
        severity = Incident.Severity.CRITICAL
        incident_open(account=account, kind=INCIDENT, text=text, severity=severity, subject="flat")
    except Exception:
        log.exception("how the halt of account %s stands could not be told", account.pk)


def _announce(account: Account, actor: User | None, reason: str) -> None:
    """Tell the owner that the account is halted, once that is committed. Each latch is news, also soon after the last."""
    text, subject = (
        f"{account.name} ({account.badge}) was halted by {actor or 'Vibex'}: {reason}",
        f"halt {account.epoch}",
    )
    try:
        alert_raise(account=account, type=EventType.HALT, severity=Severity.WARNING, message=text, subject=subject)
    except Exception:
        log.exception("the halt of account %s could not be told", account.pk)
