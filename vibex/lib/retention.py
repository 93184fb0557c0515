"""What goes after its time, as data: one rule per table, carried out in batches that are each a transaction of their own.

Deleting is cheap to stop and cheap to go on with: what a batch has removed is gone, what it has not is found again.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import Error, transaction
from django.db.models import QuerySet
from django.utils import timezone

BATCH: Final = 2_000
"""Rows of one transaction: nobody waits long for a lock, and autovacuum keeps up."""

type Rows = QuerySet[Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """What goes from one table, and when."""

    table: str
    """Label of the model: accounts.SignIn."""
    what: str
    """In words, in the plural."""
    after: str
    """Name of the variable that holds the days; or, for what nobody has to choose, the time in words."""
    count: Callable[[], int]
    """How much is due now."""
    batches: Callable[[], Iterator[int]]
    """Carry it out; yields how many rows each batch took, after its commit."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What one rule did in a run, or would do."""

    rule: Rule
    rows: int
    seconds: float
    ended: bool
    """Whether nothing of it was left when the run ended."""


def days_before(name: str) -> datetime:
    """Return the wall time before which the variable of this name lets things go."""
    return timezone.now() - timedelta(days=getattr(settings, name))


def deleting(table: str, what: str, after: str, rows: Callable[[], Rows]) -> Rule:
    """Return the rule that deletes these rows, oldest key first."""
    return Rule(table, what, after, lambda: rows().count(), lambda: each_batch(rows, lambda some: some.delete()))


def each_batch(rows: Callable[[], Rows], treat: Callable[[Rows], Any]) -> Iterator[int]:
    """Treat the rows batch by batch until none is left; each must be treated so that it is found no more.

    The condition stands in the statement itself: what somebody has changed since the keys were read is left alone.
    """
    while keys := list(rows().order_by("pk").values_list("pk", flat=True)[:BATCH]):
        with transaction.atomic():
            treat(rows().filter(pk__in=keys))
        yield len(keys)


def rules_carried_out(rules: Iterable[Rule], *, seconds: float) -> Iterator[Pruned]:
    """Carry out each rule; yield what it did. After `seconds` nothing new is begun: the next run goes on there.

    One that the database refuses, as a table that is locked, keeps no other from its turn. Its fault is raised at the end.
    """
    until, faults = time.monotonic() + seconds, list[Error]()
    for rule in rules:
        began, rows, ended = time.monotonic(), 0, True
        if began >= until:
            yield Pruned(rule, 0, 0.0, ended=False)
            continue
        try:
            for taken in rule.batches():
                rows += taken
                if time.monotonic() >= until:
                    ended = False
                    break
        except Error as fault:
            fault.add_note(f"Met while letting go of {rule.what} ({rule.table}).")
            faults.append(fault)
            ended = False
        yield Pruned(rule, rows, time.monotonic() - began, ended)
    if faults:
        raise faults[0]


def rules_counted(rules: Iterable[Rule]) -> Iterator[Pruned]:
    """Yield what each rule would do now. Changes nothing."""
    for rule in rules:
        began = time.monotonic()
        rows = rule.count()
        yield Pruned(rule, rows, time.monotonic() - began, ended=rows == 0)
