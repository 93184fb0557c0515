"""Whether what a venue tells of a live account is heard."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from accounts.models import Account
from trading.models import UserStreamState

SILENT_AFTER: Final = timedelta(seconds=90)
"""A sign of life comes every 20 seconds and is stored every 5; without one for so long nobody listens."""
NOBODY: Final = "no process listens"
UNTOLD: Final = "this venue tells no events"


@dataclass(frozen=True, slots=True)
class Hearing:
    """How the events of an account are heard. `problem` is empty when they are."""

    heard_at: datetime | None = None
    caught_up_at: datetime | None = None
    """When the account was last looked at for an event."""
    problem: str = NOBODY

    @property
    def untold(self) -> bool:
        """Whether there is nothing to hear at this venue."""
        return self.problem == UNTOLD

    @property
    def well(self) -> bool:
        return not self.problem


def hearing_of(account: Account, *, now: datetime) -> Hearing | None:
    """Return how the events of an account are heard at the wall time `now`; None for one on paper."""
    if not account.live:
        return None
    return hearing_from(UserStreamState.objects.filter(account=account).first(), now=now)


def hearing_from(state: UserStreamState | None, *, now: datetime) -> Hearing:
    """Return how the events of a live account are heard, by its row that was read already."""
    if state is None:
        return Hearing()
    silent = state.heard_at is None or now - state.heard_at > SILENT_AFTER
    problem = state.problem or (NOBODY if silent or state.connected_at is None else "")
    return Hearing(state.heard_at, state.caught_up_at, problem)
