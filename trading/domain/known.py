"""What is a number of a market, and what is a moment that can be calculated with. Everything else is a fault. Pure."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Final

SMALLEST_POWER: Final = -18
LARGEST_POWER: Final = 15
"""No price, size or amount of a market lies outside of 1e-18 to 1e16; what does is a fault, not a number."""
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 9000


def known(*values: object) -> bool:
    """Is each of these a finite Decimal of a size that a market can have?"""
    for value in values:
        if type(value) is not Decimal or not value.is_finite():
            return False
        if not SMALLEST_POWER <= value.adjusted() <= LARGEST_POWER and value:
            return False
    return True


def moment(value: object) -> bool:
    """Is this a time that can be compared and calculated with: one of this age of the world, which says its zone?"""
    return isinstance(value, datetime) and value.tzinfo is not None and FIRST_YEAR <= value.year <= LAST_YEAR
