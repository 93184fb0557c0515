"""Counters of what models use, in the database: a row for each bot and day, locked for as long as a step takes.

A counter that is made anew is a new row, so a reservation, which carries the row's key, is never taken from one that
does not hold it.
"""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import QuerySet
from django.utils import timezone

from decisions.domain.till import QUIET, Allowed, Entry, Till
from decisions.llm.shared import short_transaction
from decisions.models import SpendDay

KEPT: Final = timedelta(days=7)


class DatabaseTills:
    """The port `Tills` in the rows of `SpendDay`. Raises DatabaseError when the database does not answer."""

    def read(self, bot_id: int, day: date) -> Till | None:
        with short_transaction():
            row = _rows(bot_id, day).first()
            return _till(row) if row and _holds(row) else None

    def begin(self, bot_id: int, day: date, till: Till, *, anew: bool = False) -> None:
        with short_transaction():
            row = _rows(bot_id, day).select_for_update().first()
            if row and _holds(row) and not anew:
                return
            SpendDay.objects.filter(bot_id=bot_id, day__lt=day - KEPT).delete()
            if row:
                row.delete()
            fresh = SpendDay(bot_id=bot_id, day=day, spent=till.spent, tokens=till.tokens, rebuilt_at=timezone.now())
            SpendDay.objects.bulk_create([fresh], ignore_conflicts=True)

    def reserve(self, bot_id: int, day: date, allowed: Allowed, wanted: Entry) -> tuple[Till | None, str]:
        with short_transaction():
            row = _rows(bot_id, day).select_for_update().first()
            if row is None or not _holds(row):
                return None, ""
            till = _till(row)
            if not till.has_room(allowed, wanted.cost, wanted.tokens):
                return till, ""
            _write(row, till.reserve(wanted.cost, wanted.tokens))
            return till, str(row.pk)

    def settle(self, bot_id: int, day: date, held: Entry | None, cost: Decimal, tokens: int) -> None:
        with short_transaction():
            row = _rows(bot_id, day).select_for_update().first()
            if row is None or not _holds(row):
                return
            till = _till(row).spend(cost, tokens)
            if held and held.key == str(row.pk):
                till = till.release(held.cost, held.tokens)
            _write(row, till)


def _rows(bot_id: int, day: date) -> QuerySet[SpendDay]:
    return SpendDay.objects.filter(bot_id=bot_id, day=day)


def _holds(row: SpendDay) -> bool:
    """Tell whether a row is no older than the last quiet while."""
    return row.rebuilt_at is not None and timezone.now() - row.rebuilt_at < timedelta(seconds=QUIET)


def _till(row: SpendDay) -> Till:
    return Till(row.spent, row.tokens, row.reserved, row.tokens_reserved)


def _write(row: SpendDay, till: Till) -> None:
    _rows(row.bot_id, row.day).filter(pk=row.pk).update(
        spent=till.spent,
        tokens=till.tokens,
        reserved=till.reserved,
        tokens_reserved=till.tokens_reserved,
        rebuilt_at=timezone.now(),
    )
