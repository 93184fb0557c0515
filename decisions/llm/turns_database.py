"""Turns and places in the database: each look is one short transaction that the rows' locks put in a line."""

from __future__ import annotations

import time
from typing import Final

from django.db import connection
from django.db.models import Count, FloatField, Func, Q, Value

from decisions.domain.turns import LATE, Bucket, Step, Wanted, take
from decisions.llm.shared import short_transaction
from decisions.models import AskBucket, AskPlace

PLACES: Final = "places of "
"""Before a provider's name: the row that is locked while its places are counted."""


class DatabaseTurns:
    """The port `Turns` in the rows `AskBucket` and `AskPlace`. Raises DatabaseError when the database does not answer."""

    def take(self, wanted: Wanted, *, longest: float, keep: float) -> Step:
        with short_transaction():
            bucket, now = _locked(wanted.bucket, PLACES + wanted.places)
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
            _, now = _locked(PLACES + wanted.places)
            return Step(go=now <= due + LATE and _placed(wanted, now, keep), due=due)

    def leave(self, wanted: Wanted) -> None:
        with short_transaction():
            AskPlace.objects.filter(holder=wanted.holder).delete()


def _placed(wanted: Wanted, now: float, keep: float) -> bool:
    """Take one of the provider's places, if one is free. Those whose time is over are."""
    places = AskPlace.objects.filter(provider=wanted.places)
    held = places.aggregate(all=Count("pk"), living=Count("pk", filter=Q(until__gt=now)))
    if held["living"] >= wanted.at_once:
        return False
    if held["all"] > held["living"]:
        places.filter(until__lte=now).delete()
    AskPlace.objects.create(provider=wanted.places, holder=wanted.holder, until=now + keep)
    return True


def _locked(*keys: str) -> tuple[AskBucket, float]:
    """Return the row of the first key, and the time. All rows are locked to the end of the transaction, in one order.

    A new row has never been taken from.
    """
    rows = AskBucket.objects.select_for_update().filter(key__in=keys).annotate(now=_now()).order_by("pk")
    found = {row.key: row for row in rows}
    if len(found) < len(keys):
        missing = [AskBucket(key=key, tokens=0.0, at=0.0) for key in sorted(keys) if key not in found]
        AskBucket.objects.bulk_create(missing, ignore_conflicts=True)
        found = {row.key: row for row in rows.all()}
    return found[keys[0]], found[keys[0]].now


def _now() -> Func | Value:
    """Return the time by the clock that all share: the database server's, or this machine's for a file on it."""
    if connection.vendor != "postgresql":
        return Value(time.time(), output_field=FloatField())
    return Func(template="extract(epoch FROM clock_timestamp())::float8", output_field=FloatField())
