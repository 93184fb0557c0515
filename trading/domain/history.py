"""What an account did lately, as far as rules ask for it: when it opened, and how what it closed went. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side

LOOKED_BACK: Final = timedelta(days=1)
"""How far entries are told back, and positions that ended whatever their number."""
ENDED_TOLD: Final = 100
"""So many positions that ended are told however long ago that was: a longer streak of losses is not seen."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A position that was closed. `net` is its result in quote units after fees and funding."""

    symbol: str
    side: Side
    opened_at: datetime
    ended_at: datetime
    net: Decimal


@dataclass(frozen=True, slots=True)
class History:
    """Entries and ends of positions, in market time, oldest first."""

    opened: tuple[datetime, ...] = ()
    """When entries of the last day were filled first; one that added to a position counts as well."""
    ended: tuple[Ended, ...] = ()
