"""The guard: looks after an account between the cycles, and when its bots are stopped."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone

from accounts.models import Account, Incident
from accounts.services import incident_open, incident_resolve, incidents_mended
from trading.domain.venue import AccountState
from trading.exchange.paper_store import version_of
from trading.services.exchanges import Keyless
from trading.services.guard_checks import positions_check
from trading.services.guard_state import account_looked
from trading.services.halt import halt_go_on
from trading.services.journal.base import IntentVoid
from trading.services.journal.orm import OrmJournal
from trading.services.live import limits_of, world_for
from trading.services.losses import losses_check
from trading.services.restored import orders_find_again
from trading.services.settle import Settled, settle
from trading.services.standing import account_reduce
from trading.services.user_events import takeovers_note
from trading.services.world import World
from vibex.lib.errors import NeedsOperator, Retryable
from vibex.lib.logging import bound

PASSING = ("guard-blind", "books-behind", "cancel-unanswered", "target-failed", "stop-not-moved", "not-attended")
"""Incidents that say that something did not get through: a later look in which it did ends them."""
UNTIL_FLAT = ("not-flat", "close-refused")
"""Incidents about a position: over once the exchange shows that it is gone, whoever closed it."""
MISMATCH = "position-mismatch"
NEEDS_OPERATOR = "needs-operator"


def guard_run(*, account_id: int) -> Settled | None:
    """Settle an account and add a point to its equity. None when the exchange did not answer: the next run tries again.

    One that is halted and not flat yet is flattened further. What was found is written down for pages and watchers. None
    too for an account that is gone: it was deleted since it was named.
    """
    account = Account.objects.select_related("limits").filter(pk=account_id).first()
    if account is None:
        return None
    with bound(account=account_id):
        at, began, version = timezone.now(), time.monotonic(), version_of(account_id)
        look = _looked(account)
        agreed = look.settled is not None and look.settled.clean and version_of(account_id) == version
        account_looked(
            account=account,
            well=not look.left,
            text="; ".join((*look.left, *look.mended)),
            seconds=time.monotonic() - began,
            full_at=at if look.settled is not None else None,
            venue_version=version if agreed else None,
        )
        return look.settled


@dataclass(frozen=True, slots=True)
class _Look:
    """What a look found. Without `settled` the exchange was not read to the end."""

    settled: Settled | None = None
    left: Sequence[str] = ()
    mended: Sequence[str] = ()


def _looked(account: Account) -> _Look:
    try:
        with looked_at(account):
            return _look(account)
    except NeedsOperator as held:
        return _Look(left=(str(held),))  # told, and nothing is opened: a person has to act first
    except IntentVoid as overtaken:
        return _Look(left=(str(overtaken),))  # whoever halted it is at work on it


def _look(account: Account) -> _Look:
    began, world = timezone.now(), world_for(account)
    try:
        as_wanted = account.state != Account.State.HALTED or halt_go_on(world, account)
        again = orders_find_again(account=account, world=world)
        settled = settle(world)  # what a halt could not close yet is protected until it can
    except Retryable as fault:
        text = f"the exchange of {account.name} could not be read: {fault}"
        world.journal.incident("guard-blind", text, subject="exchange")
        return _Look(left=(text,))
    takeovers_note(account=account)
    world.journal.equity(settled.state)
    limits = limits_of(account.limits)
    settled.see(losses_check(world, limits, settled.state).state)
    wrong = positions_check(account, world, settled.state, limits, before=began)
    incidents_clear(account, world, before=began, shown=settled.state)
    unclosed = () if as_wanted else ("it is halted and not flat yet",)
    return _Look(settled, (*unclosed, *settled.left, *wrong), (*again, *settled.mended))


@contextmanager
def looked_at(account: Account) -> Iterator[None]:
    """Where only a person can make an exchange answer: tell, and let nothing be opened until then."""
    try:
        yield
    except NeedsOperator as held:
        text = f"{account.name} cannot be looked after: {held}"
        incident_open(
            account=account, kind=NEEDS_OPERATOR, text=text, severity=Incident.Severity.CRITICAL, subject="exchange"
        )
        # A process without the keys, a shell with another sealing key for one, says nothing about the account itself.
        if not isinstance(held, Keyless):
            account_reduce(account=account, reason=str(held))
        raise
    incidents_mended(account=account, kind=NEEDS_OPERATOR, subject="exchange")


def incidents_clear(account: Account, world: World, *, before: datetime, shown: AccountState) -> None:
    """Resolve what said that something did not get through, since a look of this world that began at `before` did.

    What that look told again is not over. That a position could not be closed is, when the account is `shown` without
    it; that the books differ about one, when they do not have it either: nobody looks at such a symbol any more.
    """
    told = world.journal.told if isinstance(world.journal, OrmJournal) else set()
    past = Incident.objects.filter(account=account, resolved__isnull=True, opened__lt=before).exclude(pk__in=told)
    booked = set(account.positions.filter(closed__isnull=True).values_list("symbol", flat=True))
    for incident in past.filter(kind__in=(*PASSING, *UNTIL_FLAT, MISMATCH)):
        symbol = incident.data.get("subject", "")
        flat = shown.position(symbol) is None and (incident.kind != MISMATCH or symbol not in booked)
        if incident.kind in PASSING or flat:
            incident_resolve(incident=incident)
