"""The request weight that all processes of this installation share: one row per host, one UPDATE per request.

Venues count by address and minute. Two processes that each kept their own count would be banned together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.db import connection, transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from marketdata.models import VenueBudget
from marketdata.venues.public import Purpose, VenueBusy
from vibex.lib.connections import let_go_of_server

MINUTE: Final = timedelta(minutes=1)
DEFAULT_LIMIT: Final = 2_400
"""Weight a minute, until the venue tells its own (research: aster.md 1.3)."""
LONGEST_REASON: Final = 200
TABLE: Final = VenueBudget._meta.db_table
# Written out, because each request to a venue waits for them: putting them together anew takes longer than they do.
OTHER: Final = "(minute < %(minute)s OR minute > %(next)s)"
BOOK: Final = f"""
    UPDATE {TABLE} SET
        used = CASE WHEN {OTHER} THEN %(weight)s ELSE used + %(weight)s END,
        minute = CASE WHEN {OTHER} THEN %(minute)s ELSE minute END
    WHERE host = %(host)s AND (told_until IS NULL OR told_until <= %(now)s)
"""  # noqa: S608 - our own table
"""For closing: counted, and held back by nothing but the venue's own word."""
TAKE: Final = f"""{BOOK}
        AND (blocked_until IS NULL OR blocked_until <= %(now)s)
        AND (({OTHER} AND "limit" >= %(least)s) OR used <= "limit" * %(percent)s / 100 - %(weight)s)
"""
REPORT: Final = f"UPDATE {TABLE} SET used = %(used)s WHERE host = %(host)s AND minute = %(minute)s AND used < %(used)s"  # noqa: S608


class DatabaseBudget:
    """What may still be asked of `host`. Safe from every thread and process; each step is committed when it returns.

    No method may be called inside a transaction (RuntimeError): a rollback would give back weight that was spent.
    """

    def __init__(self, host: str, *, limit: int = DEFAULT_LIMIT) -> None:
        self.host = host
        self._first_limit = limit

    def take(self, weight: int, purpose: Purpose) -> None:
        """Spend `weight` out of the share of `purpose`. Raises VenueBusy when it is used up, or the host is blocked.

        Closing is booked also beyond the limit and through a block, except one that the venue itself has told.
        What follows is a wait for the venue: no connection to the database is held for that.
        """
        now = timezone.now()
        if not self._took(weight, purpose, now):
            self._row(now)
            # Asked a second time: until now there was no row, or a block ended in between.
            if not self._took(weight, purpose, now):
                raise self._busy(purpose, now)
        let_go_of_server()

    def report(self, used: int) -> None:
        """Take over the venue's own count of this minute where it is higher: somebody else asks from this address."""
        self._changed(REPORT, used=used, minute=_minute(timezone.now()))

    def block(self, until: datetime, reason: str, *, told: bool = False) -> None:
        """Let nobody ask before `until`, also not to close where the venue itself has `told` so. A longer block stays."""
        self._row(timezone.now())
        name, words = ("told_until", "told_reason") if told else ("blocked_until", "reason")
        shorter = Q(**{name: None}) | Q(**{f"{name}__lt": until})
        with transaction.atomic(durable=True):
            self._rows().filter(shorter).update(**{name: until, words: reason[:LONGEST_REASON]})

    def limit_set(self, limit: int) -> None:
        """Remember the weight a minute that the venue allows now."""
        self._row(timezone.now())
        with transaction.atomic(durable=True):
            self._rows().exclude(limit=limit).update(limit=limit)

    def _took(self, weight: int, purpose: Purpose, now: datetime) -> bool:
        """Compare and swap in one statement: the database hands out the weight to one after the other."""
        minute, percent = _minute(now), round(purpose.value * 100)
        # One minute ahead is a process that was quicker over the turn. Further ahead, the clock was put back.
        moments = {"minute": minute, "next": minute + MINUTE, "now": now}
        if purpose is Purpose.CLOSING:
            return self._changed(BOOK, weight=weight, **moments) == 1
        return self._changed(TAKE, weight=weight, percent=percent, least=-(-weight * 100 // percent), **moments) == 1

    def _changed(self, statement: str, **values: int | datetime) -> int:
        """Execute a statement about this host by itself. Returns how many rows it changed."""
        adapted = {name: _adapted(value) for name, value in values.items()}
        with transaction.atomic(durable=True):
            without_waiting_for_the_disk()
            with connection.cursor() as cursor:
                cursor.execute(statement, {"host": self.host, **adapted})
                return int(cursor.rowcount)

    def _busy(self, purpose: Purpose, now: datetime) -> VenueBusy:
        row = self._rows().get()
        # The one that ends last of those that hold; a close is held by the first kind only.
        soft = (row.blocked_until, row.reason) if purpose is not Purpose.CLOSING else (None, "")
        held = [(until, why) for until, why in ((row.told_until, row.told_reason), soft) if until and until > now]
        if held:
            until, why = max(held)
            return VenueBusy(why or f"{self.host} is left alone for a while.", until=until)
        share = int(row.limit * purpose.value)
        text = f"The requests of this minute to {self.host} are used up: {row.used} of {share} for this purpose."
        return VenueBusy(text, until=max(row.minute, _minute(now)) + MINUTE)

    def _rows(self) -> QuerySet[VenueBudget]:
        return VenueBudget.objects.filter(host=self.host)

    def _row(self, now: datetime) -> None:
        with transaction.atomic(durable=True):
            row = VenueBudget(host=self.host, minute=_minute(now), limit=self._first_limit)
            VenueBudget.objects.bulk_create([row], ignore_conflicts=True)


class Unmetered:
    """A budget for one question at a start, when there may be no database yet."""

    def take(self, weight: int, purpose: Purpose) -> None:
        """Allow it."""

    def report(self, used: int) -> None:
        """Remember nothing."""

    def block(self, until: datetime, reason: str, *, told: bool = False) -> None:
        """Remember nothing."""

    def limit_set(self, limit: int) -> None:
        """Remember nothing."""


def without_waiting_for_the_disk() -> None:
    """Let PostgreSQL answer before the count is on disk: a server that crashes may forget the last moment of it."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SET LOCAL synchronous_commit TO off")


def _minute(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(second=0, microsecond=0)


def _adapted(value: int | datetime) -> Any:
    """Return a value as the database keeps it."""
    return connection.ops.adapt_datetimefield_value(value) if isinstance(value, datetime) else value
