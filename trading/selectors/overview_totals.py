"""The sums on top of the overview: accounts of one kind together, never money of one kind with that of another."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from trading.selectors.overview_cards import ZERO, Card, share_of

BADGES: Final = ("live", "testnet", "paper")
"""Real money first. Sums are made within a kind, never across."""


@dataclass(frozen=True, slots=True)
class Total:
    """Accounts of one kind together."""

    badge: str
    count: int
    equity: Decimal
    day: Decimal
    before: Decimal
    """What the day began with."""
    exposure: Decimal
    unknown: int
    """Accounts of which nothing is known yet: they are in no sum."""

    @property
    def known(self) -> bool:
        return self.unknown < self.count

    @property
    def day_share(self) -> Decimal | None:
        return share_of(self.day, self.before)


def totals_of(cards: Iterable[Card]) -> tuple[Total, ...]:
    """Return the sums of each kind of account that there is, real money first."""
    return tuple(
        _total(badge, some) for badge in BADGES if (some := [each for each in cards if each.account.badge == badge])
    )


def _total(badge: str, cards: Sequence[Card]) -> Total:
    stated = [(card, card.equity) for card in cards if card.equity is not None]
    known = [(card.day, card.before) for card in cards if card.day is not None]
    return Total(
        badge=badge,
        count=len(cards),
        equity=sum((equity for _, equity in stated), ZERO),
        day=sum((day for day, _ in known), ZERO),
        before=sum((before for _, before in known), ZERO),
        exposure=sum((card.exposure for card in cards), ZERO),
        unknown=len(cards) - len(stated),
    )
