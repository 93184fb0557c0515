"""The guard: looks after an account between the cycles, and when its bots are stopped.

Reconcile is the same look with a record of what differed; it runs at start and on demand.
"""

from __future__ import annotations

from datetime import datetime

from django.utils import timezone

from accounts.models import Account, Incident
from accounts.services import incident_resolve
from trading.models import Reconciliation
from trading.services.live import world_for
from trading.services.settle import Settled, settle
from vibex.lib.errors import Retryable
from vibex.lib.events import publish_on_commit
from vibex.lib.logging import bound

PASSING = ("guard-blind", "books-behind")
"""Incidents that say that the exchange could not be read: reading it again ends them."""


def guard_run(*, account_id: int) -> Settled | None:
    """Settle an account and add a point to its equity. None when the exchange did not answer: the next run tries again."""
    account = Account.objects.get(pk=account_id)
    with bound(account=account_id):
        return _look(account)


def _look(account: Account) -> Settled | None:
    began, world = timezone.now(), world_for(account)
    try:
        settled = settle(world)
    except Retryable as fault:
        world.journal.incident("guard-blind", f"the exchange of {account.name} could not be read: {fault}")
        return None
    world.journal.equity(settled.state)
    _clear(account, before=began)
    publish_on_commit(account_id=account.pk, kind="equity")
    return settled


def account_reconcile(*, account_id: int, trigger: str) -> Reconciliation:
    """Compare books and exchange, mend what evidence allows and put the result on record.

    Raises Retryable when the exchange does not answer.
    """
    account = Account.objects.get(pk=account_id)
    began, world = timezone.now(), world_for(account)
    settled = settle(world)
    world.journal.equity(settled.state)
    _clear(account, before=began)
    return Reconciliation.objects.create(
        account=account, trigger=trigger, agreed=settled.clean, mended=settled.mended, left=settled.left
    )


def _clear(account: Account, *, before: datetime) -> None:
    past = Incident.objects.filter(account=account, kind__in=PASSING, resolved__isnull=True, opened__lt=before)
    for incident in past:
        incident_resolve(incident=incident)
