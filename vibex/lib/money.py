"""How money is booked, everywhere. Pure Python, importable from every layer, the domains included."""

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

BOOKING: Final = Decimal("0.00000001")


def booked(amount: Decimal) -> Decimal:
    """Quantise an amount of money for booking: 8 decimals, half even."""
    return amount.quantize(BOOKING, ROUND_HALF_EVEN)
