"""Turns and places in the database: each look is one short transaction that the rows' locks put in a line."""

from __future__ import annotations

import time
from typing import Final

from django.db import connection

from decisions.domain.turns import LATE, Bucket, Step, Wanted, take
from decisions.llm.shared import short_transaction
from decisions.models import AskBucket, AskPlace

PLACES: Final = "places of "
"""Before a provider's name: the row that is locked while its places are counted."""


class DatabaseTurns:
    """The port `Turns` in the rows `AskBucket` and `AskPlace`. Raises DatabaseError when the database does not answer."""

    def take(self, wanted: Wanted, *, longest: float, keep: float) -> Step:
        with short_transaction():
            bucket = _locked(wanted.bucket)
            now = _now()
            known = Bucket(bucket.tokens, bucket.at) if bucket.at else None
            left, wait, taken = take(known, wanted.rate, now, longest=longest)
            if not taken:
                return Step(go=False, wait=wait)
            if not wait and not _placed(wanted, now, keep):
                return Step(go=False)
            AskBucket.objects.filter(pk=bucket.pk).update(tokens=left.tokens, at=left.at)
            return Step(go=not wait, wait=wait, due=now + wait if wait else None)

    def place(self, wanted: Wanted, *, due: float, keep: float) -> Step:
        with short_transaction():
            now = _now()
            return Step(go=now <= due + LATE and _placed(wanted, now, keep), due=due)

    def leave(self, wanted: Wanted) -> None:
        with short_transaction():
            AskPlace.objects.filter(holder=wanted.holder).delete()


def _placed(wanted: Wanted, now: float, keep: float) -> bool:
    """Take one of the provider's places, if one is free. Those whose time is over are."""
    _locked(PLACES + wanted.places)
    places = AskPlace.objects.filter(provider=wanted.places)
    if places.filter(until__gt=now).count() >= wanted.at_once:
        return False
    places.filter(until__lte=now).delete()
    AskPlace.objects.create(provider=wanted.places, holder=wanted.holder, until=now + keep)
    return True


def _locked(key: str) -> AskBucket:
    """Return the row of a key, locked to the end of the transaction. A new one has never been taken from."""
    rows = AskBucket.objects.select_for_update().filter(key=key)
    row = rows.first()
    if row is None:
        AskBucket.objects.bulk_create([AskBucket(key=key, tokens=0.0, at=0.0)], ignore_conflicts=True)
        row = rows.get()
    return row


def _now() -> float:
    """Return the time by the clock that all share: the database server's, or this machine's for a file on it."""
    if connection.vendor != "postgresql":
        return time.time()
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return float(cursor.fetchone()[0])
