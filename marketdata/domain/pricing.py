"""From recorded floats to prices an order may carry, and the touch around a last price."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from marketdata.domain.instruments import InstrumentSpec

SPREAD: Final = Decimal("0.0002")
"""Ask − bid as a share of the price where no book is known: two basis points."""
ONE: Final = Decimal(1)
TWO: Final = Decimal(2)


def decimal_of(value: float) -> Decimal:
    """Return the decimal that was written down: the shortest one that reads as this float."""
    return Decimal(repr(float(value)))


def touch(spec: InstrumentSpec, last: Decimal, *, spread: Decimal = SPREAD) -> tuple[Decimal, Decimal]:
    """Return bid and ask: half the spread on either side, rounded outwards, at least one tick apart."""
    half = spread / TWO
    bid, ask = spec.price_down(last * (ONE - half)), spec.price_up(last * (ONE + half))
    return bid, ask if ask > bid else bid + spec.tick_size
