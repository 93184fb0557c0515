"""What the scheduler sends and workers run. Each task finds out from the database whether there is anything to do."""

from __future__ import annotations

import logging

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerGone

from accounts.models import Account
from trading.services import periodic, schedule, waiting, watchers
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.services.live import cycle_run
from trading.services.performance import performance_refresh_all
from trading.services.reconcile import account_reconcile
from trading.services.restored import accounts_restored
from trading.services.retention import prune
from vibex.lib.connections import AWAY

log = logging.getLogger(__name__)

GUARD_EXPIRES = 25
"""Seconds after which a look that nobody took is left to the next one."""
RECONCILE_EXPIRES = 3500
RESTORED_EXPIRES = 55
"""The same of comparisons: while an exchange hangs they would pile up before everything else that is slow."""
COMPARED_WITHIN = 600
"""Seconds over which comparisons are spread: all at once would use up an address's weight, and looks of the guard wait."""


@shared_task(
    autoretry_for=AWAY,
    retry_backoff=1,
    retry_backoff_max=10,
    retry_kwargs={"max_retries": 8},
)
def bot_tick(bot_id: int, at_once: bool = False) -> None:
    """Run the bot's cycle for its latest closed candle, at its own moment after the close, once."""
    tick = schedule.tick_of(bot_id)
    if tick is None:
        return
    if tick.wait_seconds > 0 and not at_once:
        schedule.tick_send(bot_id, countdown=tick.wait_seconds)
        return
    cycle_run(bot_id=bot_id, scheduled_for=tick.slot)


@shared_task
def guard_all() -> None:
    """Look after every account that has something open: all in one pass, and who is in doubt in a look of its own.

    So one that hangs, or fails, hides no other. Where the broker went away meanwhile, who is left is looked at here: to
    find that out again for each would take ten seconds every time.
    """
    there = True
    for account_id in guard_pass().doubts:
        there = there and _look_sent(account_id)
        if not there:
            _looked_here(account_id)


def _look_sent(account_id: int) -> bool:
    try:
        guard_account.apply_async(args=(account_id,), expires=GUARD_EXPIRES)
    except BrokerGone:
        return False
    return True


def _looked_here(account_id: int) -> None:
    try:
        guard_run(account_id=account_id)
    except Exception:  # what is wrong with one account hides no other
        log.exception("account %s could not be looked after", account_id)


@shared_task
def guard_account(account_id: int) -> None:
    """Look after one account."""
    guard_run(account_id=account_id)


@shared_task
def service_watch() -> None:
    """Tell people of what is late: the guard, decisions, cycles whose process died."""
    watchers.service_watch()


@shared_task
def reconcile_all(trigger: str = "hourly") -> None:
    """Compare the books of every account in play with the exchange, one after the other."""
    accounts = schedule.accounts_to_reconcile()
    for place, account_id in enumerate(accounts):
        wait = COMPARED_WITHIN * place / len(accounts)
        reconcile_account.apply_async(args=(account_id, trigger), countdown=wait, expires=RECONCILE_EXPIRES)


@shared_task
def restored_reconcile() -> None:
    """Compare accounts that were restored from a backup, until their books agree: nothing is opened on them before."""
    for account_id in accounts_restored():
        reconcile_account.apply_async(args=(account_id, "restore"), expires=RESTORED_EXPIRES)


@shared_task
def reconcile_account(account_id: int, trigger: str) -> None:
    """Compare the books of one account with the exchange, unless it was deleted while the task waited."""
    if Account.objects.filter(pk=account_id).exists():
        account_reconcile(account_id=account_id, trigger=trigger)


@shared_task
def schedules_sync() -> None:
    """Mend schedules that were edited, and find decisions that were missed."""
    schedule.schedules_sync()
    schedule.ticks_catch_up()


@shared_task
def approvals_sweep() -> None:
    """End what waited for a person too long, or may not be done any more."""
    waiting.approvals_sweep()


@shared_task
def performance_sum() -> None:
    """Bring the stored figures of accounts with something new up to date."""
    performance_refresh_all()


@shared_task
def beat_heartbeat() -> None:
    """Prove that beat sends and a worker runs: health reads the age of this."""
    periodic.system_heartbeat()


@shared_task
def prune_all() -> None:
    """Let go what was kept long enough."""
    prune()
