"""The request weight that all processes of this installation share: one row per host, one UPDATE per request.

Venues count by address and minute. Two processes that each kept their own count would be banned together.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from django.db import connection, transaction
from django.db.models import Case, F, Q, QuerySet, Value, When
from django.utils import timezone

from marketdata.models import VenueBudget
from marketdata.venues.public import Purpose, VenueBusy

MINUTE: Final = timedelta(minutes=1)
DEFAULT_LIMIT: Final = 2_400
"""Weight a minute, until the venue tells its own (research: aster.md 1.3)."""
LONGEST_REASON: Final = 200


class DatabaseBudget:
    """What may still be asked of `host`. Safe from every thread and process; each step is committed when it returns.

    No method may be called inside a transaction (RuntimeError): a rollback would give back weight that was spent.
    """

    def __init__(self, host: str, *, limit: int = DEFAULT_LIMIT) -> None:
        self.host = host
        self._first_limit = limit

    def take(self, weight: int, purpose: Purpose) -> None:
        """Spend `weight` out of the share of `purpose`. Raises VenueBusy when it is used up, or the host is blocked."""
        now = timezone.now()
        if self._took(weight, purpose, now):
            return
        self._row(now)
        # Asked a second time: until now there was no row, or a block ended in between.
        if not self._took(weight, purpose, now):
            raise self._busy(purpose, now)

    def report(self, used: int) -> None:
        """Take over the venue's own count of this minute where it is higher: somebody else asks from this address."""
        minute = _minute(timezone.now())
        with transaction.atomic(durable=True):
            self._rows().filter(minute=minute, used__lt=used).update(used=used)

    def block(self, until: datetime, reason: str) -> None:
        """Let nobody ask before `until`. A block that lasts longer stays."""
        self._row(timezone.now())
        shorter = Q(blocked_until=None) | Q(blocked_until__lt=until)
        with transaction.atomic(durable=True):
            self._rows().filter(shorter).update(blocked_until=until, reason=reason[:LONGEST_REASON])

    def limit_set(self, limit: int) -> None:
        """Remember the weight a minute that the venue allows now."""
        self._row(timezone.now())
        with transaction.atomic(durable=True):
            self._rows().exclude(limit=limit).update(limit=limit)

    def _took(self, weight: int, purpose: Purpose, now: datetime) -> bool:
        """Compare and swap in one statement: the database hands out the weight to one after the other."""
        minute = _minute(now)
        # One minute ahead is a process that was quicker over the turn. Further ahead, the clock was put back.
        other = Q(minute__lt=minute) | Q(minute__gt=minute + MINUTE)
        percent = round(purpose.value * 100)
        room = Q(other, limit__gte=-(-weight * 100 // percent)) | Q(used__lte=F("limit") * percent / 100 - weight)
        free = Q(blocked_until=None) | Q(blocked_until__lte=now)
        with transaction.atomic(durable=True):
            without_waiting_for_the_disk()
            changed = (
                self._rows()
                .filter(free, room)
                .update(
                    used=Case(When(other, then=Value(weight)), default=F("used") + weight),
                    minute=Case(When(other, then=Value(minute)), default=F("minute")),
                )
            )
        return changed == 1

    def _busy(self, purpose: Purpose, now: datetime) -> VenueBusy:
        row = self._rows().get()
        if row.blocked_until and row.blocked_until > now:
            return VenueBusy(row.reason or f"{self.host} is left alone for a while.", until=row.blocked_until)
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

    def block(self, until: datetime, reason: str) -> None:
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
