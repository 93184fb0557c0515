"""How things stand: one function per part, each with its own few queries, so that one that breaks hides no other."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

from django.conf import settings
from django.db import connection

from accounts.models import Account, Backup
from decisions.selectors import metrics as decided
from marketdata.selectors import metrics as market
from trading.selectors.metrics import standing
from trading.services.watchers import watched
from vibex.health import health_checks
from vibex.lib.queue_length import waiting_by_queue
from vibex.lib.release import release
from vibex.metrics import families, sockets
from vibex.metrics.families import Family

MOST_ACCOUNTS: Final = 200
"""Accounts that are told one by one: those in trouble first, then live ones, then those that are guarded."""
MOST_BUDGETS: Final = 200


class Sample(NamedTuple):
    """One value of one metric."""

    family: Family
    labels: tuple[str, ...]
    value: float


type Part = Callable[[datetime], Iterator[Sample]]


def ready(_: datetime) -> Iterator[Sample]:
    """Tell what `ready` tells, and of each look it is made of."""
    checks = health_checks()
    yield Sample(families.READY, (), all(check.ok for check in checks))
    for check in checks:
        yield Sample(families.CHECK, (check.name,), check.ok)


def not_ready() -> Iterator[Sample]:
    """Tell the same where the database does not answer, without waiting for it once more."""
    yield Sample(families.READY, (), False)
    yield Sample(families.CHECK, ("database",), False)


def build(_: datetime) -> Iterator[Sample]:
    processes = "several" if settings.REDIS_URL else "one"
    yield Sample(families.BUILD, (release(), settings.VIBEX_ENV, connection.vendor, processes), 1)


def late(_: datetime) -> Iterator[Sample]:
    """Tell what is late, by the first word of its subject: bot, cycle, guard, scheduler, backup."""
    counts = dict.fromkeys(("bot", "cycle", "guard", "scheduler", "backup"), 0)
    for one in watched.look():
        subject = one.subject.partition(" ")[0]
        counts[subject] = counts.get(subject, 0) + 1
    for subject, count in counts.items():
        yield Sample(families.LATE, (subject,), count)


def scheduler(now: datetime) -> Iterator[Sample]:
    if (ran := standing.heartbeat_at()) is not None:
        yield Sample(families.BEAT_AGE, (), max(0.0, (now - ran).total_seconds()))


def queues(_: datetime) -> Iterator[Sample]:
    """Tell how long the queues are. Raises OSError when Redis does not answer."""
    if not settings.REDIS_URL:
        return
    waiting = waiting_by_queue()
    if waiting is None:
        raise ConnectionError("Redis does not answer")
    for queue, count in waiting.items():
        yield Sample(families.QUEUE, (queue,), count)


def streams(_: datetime) -> Iterator[Sample]:
    yield Sample(families.SOCKETS, (), sockets.clients())


def disk(_: datetime) -> Iterator[Sample]:
    folder = Path(settings.VIBEX_DATA_DIR)
    there = next((each for each in (folder, *folder.absolute().parents) if each.exists()), folder)
    yield Sample(families.DISK, (), shutil.disk_usage(there).free)


def backups(now: datetime) -> Iterator[Sample]:
    newest = Backup.objects.filter(well=True).order_by("-at").values_list("at", flat=True).first()
    yield Sample(families.BACKUPS, (), newest is not None)
    yield Sample(families.BACKUPS_DUE, (), settings.BACKUP_HOURLY)
    if newest is not None:
        yield Sample(families.BACKUP_AGE, (), max(0.0, (now - newest).total_seconds()))


def cycles(now: datetime) -> Iterator[Sample]:
    running = decided.cycles_running(now=now)
    yield Sample(families.RUNNING, (), running.number)
    yield Sample(families.OVERDUE, (), running.overdue)
    yield Sample(families.OLDEST, (), (now - running.oldest).total_seconds() if running.oldest else 0)
    yield Sample(families.APPROVALS, (), decided.approvals_awaiting())
    for status, count in standing.bots_by_status().items():
        yield Sample(families.BOTS, (status,), count)


def budgets(now: datetime) -> Iterator[Sample]:
    for spend in standing.spends(most=MOST_BUDGETS, now=now):
        labels = (*_labels(spend.bot.account), spend.bot.name)
        yield Sample(families.SPENT, labels, float(spend.spent))
        yield Sample(families.BUDGET, labels, float(spend.limit))


def accounts(now: datetime) -> Iterator[Sample]:
    """Tell of each account, and of the orders that are open on any."""
    found, left_out = standing.standings(most=MOST_ACCOUNTS, now=now)
    yield Sample(families.LEFT_OUT, (), left_out)
    counts: dict[tuple[str, str], int] = {}
    for one in found:
        key = (one.account.state, one.account.badge)
        counts[key] = counts.get(key, 0) + 1
        yield from _account(one)
    for key, count in counts.items():
        yield Sample(families.ACCOUNTS, key, count)
    for role, state, count in standing.orders_open():
        yield Sample(families.OPEN_ORDERS, (role, state), count)


def _account(one: standing.Standing) -> Iterator[Sample]:
    labels = _labels(one.account)
    for state in Account.State.values:
        yield Sample(families.STATE, (*labels, state), one.account.state == state)
    yield Sample(families.LOCKED, labels, one.locked)
    yield Sample(families.POSITIONS, labels, one.held.count)
    yield Sample(families.UNPROTECTED, labels, one.held.unprotected)
    if one.guard_age is not None and one.held.count:
        yield Sample(families.PROTECTION_AGE, labels, one.guard_age)
    if one.read_age is not None:
        yield Sample(families.READ_AGE, labels, one.read_age)
    if one.hears is not None:
        yield Sample(families.HEARS, labels, one.hears)
    if one.differences is not None:
        yield Sample(families.DIFFERENCES, labels, one.differences)
    if one.losses is not None:
        yield Sample(families.EQUITY, labels, float(one.losses.equity))
        yield Sample(families.DRAWDOWN, labels, float(one.losses.drawdown))
        yield Sample(families.DRAWDOWN_LIMIT, labels, float(one.losses.drawdown_limit))
        yield Sample(families.DAY_LOSS, labels, float(one.losses.day_loss))
        yield Sample(families.DAY_LOSS_LIMIT, labels, float(one.losses.day_loss_limit))


def troubles(now: datetime) -> Iterator[Sample]:
    """Tell what is open: incidents, halts, messages to people that did not leave."""
    for kind, severity, count in standing.incidents_open():
        yield Sample(families.INCIDENTS_OPEN, (kind, severity), count)
    halted, unproved = standing.halts_in_force()
    yield Sample(families.HALTED, (), halted)
    yield Sample(families.UNPROVED, (), unproved)
    for state, count in standing.deliveries_by_state(now=now).items():
        yield Sample(families.DELIVERIES, (state,), count)


def markets(now: datetime) -> Iterator[Sample]:
    for feed in market.feeds_now(now=now):
        if feed.age is not None:
            yield Sample(families.FEED_AGE, (feed.venue, feed.kind), feed.age)
        yield Sample(families.FEED_WELL, (feed.venue, feed.kind), feed.well)
        if feed.clock_offset is not None:
            yield Sample(families.CLOCK_OFFSET, (feed.venue,), feed.clock_offset)
    for weight in market.weights_now(now=now):
        yield Sample(families.WEIGHT, (weight.host,), weight.used)
        yield Sample(families.BLOCKED, (weight.host,), weight.blocked)


OUTSIDE: Final[tuple[Part, ...]] = (build, disk, queues, streams)
"""What needs no database."""
INSIDE: Final[tuple[Part, ...]] = (*(ready, late, scheduler, backups, cycles, budgets, accounts, troubles, markets),)


def _labels(account: Account) -> tuple[str, str, str]:
    return str(account.pk), account.name, account.badge
