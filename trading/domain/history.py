"""What an account did lately, as far as rules ask for it: when it opened, and how what it closed went. Pure."""

from __future__ import annotations

from dataclasses import field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side
from trading.domain.known import known, moment
from vibex.lib.records import record

LOOKED_BACK: Final = timedelta(days=1)
"""How far entries are told back, and positions that ended whatever their number."""
ENDED_TOLD: Final = 100
"""So many positions that ended are told however long ago that was: a longer streak of losses is not seen."""


@record()
class Ended:
    """A position that was closed. `net` is its result in quote units after fees and funding."""

    symbol: str
    side: Side
    opened_at: datetime
    ended_at: datetime
    net: Decimal
    sound: bool = field(init=False, compare=False, repr=False)
    """Whether times and result can be compared with others. It is asked at every ruling, and so looked at only once."""

    def __post_init__(self) -> None:
        self.sound = moment(self.opened_at) and moment(self.ended_at) and known(self.net)  # type: ignore[misc]


@record()
class History:
    """Entries and ends of positions, in market time, oldest first."""

    opened: tuple[datetime, ...] = ()
    """When entries of the last day were filled first; one that added to a position counts as well."""
    ended: tuple[Ended, ...] = ()
