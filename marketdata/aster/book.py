"""AsterDEX's order book in the words of Vibex. Pure, as `payloads.py` is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from marketdata.aster.values import Row, broken, number, whole
from marketdata.domain.snapshot import Depth
from vibex.lib.clock import from_ms

KIND: Final = "depth"


def depth_of(payload: object, symbol: str) -> Depth:
    """Return the order book as it was said: whether it can be traded on is judged elsewhere.

    Its time is when the venue said it; when it changed last is taken where that is missing. Raises VenueDown for what is
    no book.
    """
    row: Row = {**payload, "symbol": symbol} if isinstance(payload, Mapping) else {}
    stamp = "E" if row.get("E") is not None else "T"
    return Depth(symbol, from_ms(whole(row, stamp, KIND, least=1)), _levels(row, "bids"), _levels(row, "asks"))


def _levels(row: Row, side: str) -> tuple[tuple[Decimal, Decimal], ...]:
    levels = row.get(side)
    if not isinstance(levels, list) or not all(isinstance(level, list) and len(level) >= 2 for level in levels):
        raise broken(KIND, row, side)
    return tuple(_level(level, row) for level in levels)


def _level(level: Sequence[Any], row: Row) -> tuple[Decimal, Decimal]:
    told = {"symbol": row["symbol"], "price": level[0], "quantity": level[1]}
    return number(told, "price", KIND), number(told, "quantity", KIND)
