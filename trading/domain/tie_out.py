"""Whether what we booked is what the exchange paid, line by line. Pure: sums of both sides in, differences out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

CENT: Final = Decimal("0.005")
"""Sums that differ by less are the same to the cent."""

type Key = tuple[date, str, str, str]
"""Trading day of the account, symbol, what for (realised, fees, funding), asset."""


@dataclass(frozen=True, slots=True)
class MoneyDifference:
    """A sum that our books and the exchange's ledger do not agree about."""

    day: date
    symbol: str
    what: str
    asset: str
    booked: Decimal
    ledger: Decimal

    def __str__(self) -> str:
        return (
            f"{self.day} {self.symbol or 'account'} {self.what}: our books say {self.booked.normalize():f} {self.asset}, "
            f"the exchange's ledger says {self.ledger.normalize():f}"
        )


def differences(booked: Mapping[Key, Decimal], ledger: Mapping[Key, Decimal]) -> list[MoneyDifference]:
    """Return the sums that are not the same to the cent, oldest day first."""
    found = []
    for key in sorted(booked.keys() | ledger.keys()):
        ours, theirs = booked.get(key, Decimal(0)), ledger.get(key, Decimal(0))
        if abs(ours - theirs) >= CENT:
            found.append(MoneyDifference(*key, ours, theirs))
    return found
