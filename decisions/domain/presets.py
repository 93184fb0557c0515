"""Models that are worth a try, what they cost, and what took the place of those that are gone. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Final

from decisions.domain.money import Price

_LISTED: Final[Mapping[str, tuple[str, str]]] = {}


def list_price(provider: str, model: str) -> Price | None:
    """Return the list price of a model, for providers whose catalogue names none; None where it is not known."""
    listed = _LISTED.get(f"{provider}/{model}")
    return None if listed is None else Price(Decimal(listed[0]), Decimal(listed[1]))
