"""When accounts were looked after last, and how that went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from accounts.models import Account
from trading.models import GuardState

LATE_AFTER: Final = timedelta(seconds=90)
"""The guard looks every 30 seconds; an account in play that it has not seen for so long is late."""


@dataclass(frozen=True, slots=True)
class LookedAt:
    """The last look at an account that is in play, or the wall time since when it is, where that is later."""

    account: Account
    at: datetime


@dataclass(frozen=True, slots=True)
class GuardView:
    """How an account is looked after, for its pages. Times are wall time; None where there was no such look yet."""

    now: datetime
    at: datetime | None = None
    full_at: datetime | None = None
    """When its exchange was read last."""
    in_play: bool = False
    """Whether there is anything to look after."""
    well: bool = True
    text: str = ""
    seconds: float = 0.0
    late: bool = False


def looked_last(account_ids: Sequence[int]) -> list[LookedAt]:
    """Return since when each of these accounts waits for a look. One that nobody noted as in play is not told."""
    states = GuardState.objects.filter(account_id__in=account_ids, since__isnull=False)
    return [LookedAt(state.account, _waits(state)) for state in states.select_related("account").order_by("account_id")]


def guard_of(account: Account, *, now: datetime) -> GuardView:
    """Return how an account is looked after, at the wall time `now`."""
    return guard_from(GuardState.objects.filter(account=account).first(), now=now)


def guard_from(state: GuardState | None, *, now: datetime) -> GuardView:
    """Return how an account is looked after, by its row that was read already."""
    if state is None:
        return GuardView(now)
    in_play = state.since is not None
    late = in_play and now - _waits(state) > LATE_AFTER
    return GuardView(now, state.at, state.full_at, in_play, state.well, state.text, state.seconds, late)


def _waits(state: GuardState) -> datetime:
    assert state.since is not None, "it is in play"  # noqa: S101
    return max(state.at, state.since) if state.at else state.since
