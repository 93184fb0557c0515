"""When each account was looked after, and what was found: rows for the pages and for those who watch the guard."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils import timezone

from accounts.models import Account
from trading.models import GuardState


def in_play_note(*, account_ids: Sequence[int], now: datetime) -> None:
    """Remember since when (wall time) each account is in play, and forget it of those that are not any more."""
    states = GuardState.objects.filter(since__isnull=False)
    known = set(states.values_list("account_id", flat=True))
    if gone := known.difference(account_ids):
        states.filter(account_id__in=gone).update(since=None)
    rows = [GuardState(account_id=pk, since=now) for pk in account_ids if pk not in known]
    GuardState.objects.bulk_create(rows, update_conflicts=True, unique_fields=["account"], update_fields=["since"])


def account_looked(
    *,
    account: Account,
    well: bool,
    text: str,
    seconds: float,
    full_at: datetime | None,
    venue_version: int | None = None,
) -> None:
    """Write down a look at one account. One that began at `full_at` has read its exchange, and found `venue_version`."""
    told = {"at": timezone.now(), "well": well, "text": text[:300], "seconds": round(seconds, 3)}
    if full_at is not None:
        told |= {"full_at": full_at, "venue_version": venue_version}
    GuardState.objects.update_or_create(account=account, defaults=told)


def accounts_fine(*, texts: dict[int, str], now: datetime, seconds: float) -> None:
    """Write down that these accounts were screened and are fine; the text says what is left to somebody at work."""
    states = [
        GuardState(account_id=account_id, at=now, well=True, text=text[:300], seconds=seconds)
        for account_id, text in texts.items()
    ]
    columns = ["at", "well", "text", "seconds"]
    GuardState.objects.bulk_create(states, update_conflicts=True, unique_fields=["account"], update_fields=columns)
