"""The guard: looks after an account between the cycles, and when its bots are stopped.

Reconcile is the same look with a record of what differed; it runs at start and on demand.
"""

from __future__ import annotations

import logging

from accounts.models import Account
from trading.models import Reconciliation
from trading.services.live import world_for
from trading.services.settle import Settled, settle
from vibex.lib.errors import Retryable
from vibex.lib.events import publish_on_commit

log = logging.getLogger(__name__)


def guard_run(*, account_id: int) -> Settled | None:
    """Settle an account and add a point to its equity. None when the exchange did not answer: the next run tries again."""
    account = Account.objects.get(pk=account_id)
    world = world_for(account)
    try:
        settled = settle(world)
    except Retryable as fault:
        world.journal.incident("guard-blind", f"the exchange of {account.name} could not be read: {fault}")
        return None
    world.journal.equity(settled.state)
    publish_on_commit(account_id=account.pk, kind="equity")
    return settled


def account_reconcile(*, account_id: int, trigger: str) -> Reconciliation:
    """Compare books and exchange, mend what evidence allows and put the result on record.

    Raises Retryable when the exchange does not answer.
    """
    account = Account.objects.get(pk=account_id)
    world = world_for(account)
    settled = settle(world)
    world.journal.equity(settled.state)
    return Reconciliation.objects.create(
        account=account, trigger=trigger, agreed=settled.clean, mended=settled.mended, left=settled.left
    )
