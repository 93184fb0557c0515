"""How the events of live accounts are heard, stored for pages and for the guard: many accounts in one statement."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from django.db import DatabaseError, IntegrityError, InterfaceError

from accounts.models import Account
from trading.models import UserStreamState
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)

LONGEST_PROBLEM: Final = 300


@dataclass(frozen=True, slots=True)
class Told:
    """How the events of one account are heard: what its UserStreamState says."""

    connected_at: datetime | None = None
    heard_at: datetime | None = None
    caught_up_at: datetime | None = None
    problem: str = ""

    def says(self, other: Told) -> bool:
        """Return whether another says the same, but for the last sign of life."""
        return replace(self, heard_at=None) == replace(other, heard_at=None)


def told_before(account: Account) -> Told:
    """Return what was last stored of an account."""
    row: UserStreamState | None = getattr(account, "user_stream", None)
    return Told(row.connected_at, row.heard_at, row.caught_up_at, row.problem) if row else Told()


def states_note(told: Mapping[int, Told]) -> bool:
    """Store how these accounts are heard, in one statement. False when the database did not take it: tell it again."""
    try:
        _store(told)
    except (DatabaseError, InterfaceError) as fault:
        log.warning("it was not stored whether events of %d accounts are heard: %s", len(told), fault)
        return False
    return True


def _store(told: Mapping[int, Told]) -> None:
    try:
        _write(told)
    except IntegrityError:  # an account was deleted meanwhile: it must not keep the words of the others out
        there = set(Account.objects.filter(pk__in=told).values_list("pk", flat=True))
        _write({account_id: one for account_id, one in told.items() if account_id in there})


def _write(told: Mapping[int, Told]) -> None:
    rows = [
        UserStreamState(account_id=account_id, **asdict(one) | {"problem": mask_text(one.problem)[:LONGEST_PROBLEM]})
        for account_id, one in sorted(told.items())
    ]
    UserStreamState.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["account"],
        update_fields=["connected_at", "heard_at", "caught_up_at", "problem"],
    )
