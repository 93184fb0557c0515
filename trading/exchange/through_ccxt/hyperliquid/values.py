"""Single values of Hyperliquid's payloads, and what makes one unusable. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final

from marketdata.venues.public import VenueDown
from trading.domain.venue import OrderSide
from vibex.lib.clock import from_ms

type Row = Mapping[str, Any]

COLLATERAL: Final = "USDC"
FIFTEEN: Final = Context(prec=15)
"""Computed values keep what a database keeps of any decimal."""
LONGEST: Final = 80
_NUMBER: Final = re.compile(r"-?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?")
_WHOLE: Final = re.compile(r"[0-9]{1,18}")


def broken(kind: str, name: str) -> VenueDown:
    """Return the error for a payload that cannot be used."""
    return VenueDown(f"Hyperliquid sent a {kind} that cannot be used: {name}.")


def ours(row: Row) -> bool:
    """Return whether a row is of a contract of the venue itself: not of spot, nor of the markets that others list."""
    return not set("/@#:") & set(text(row, "coin", "row"))


def symbol_of(row: Row, kind: str) -> str:
    return f"{text(row, 'coin', kind).upper()}{COLLATERAL}"


def number(row: Row, name: str, kind: str) -> Decimal:
    """Return a finite number exactly as it was written."""
    value = row.get(name)
    told = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _NUMBER.fullmatch(told):
        raise broken(kind, name)
    return Decimal(told)


def price(row: Row, name: str, kind: str) -> Decimal | None:
    """Return a price, None for zero."""
    value = number(row, name, kind)
    if value < 0:
        raise broken(kind, name)
    return value or None


def time_of(row: Row, kind: str) -> int:
    """Return the moment of a row in milliseconds."""
    return whole(row, "time", kind)


def rows_of(payload: object, kind: str) -> list[Row]:
    if not isinstance(payload, list) or not all(isinstance(row, Mapping) for row in payload):
        raise broken(kind, "no list of objects")
    return payload


def one_of(payload: object, kind: str) -> Row:
    if not isinstance(payload, Mapping):
        raise broken(kind, "no object")
    return payload


def text(row: Row, name: str, kind: str) -> str:
    value = row.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        raise broken(kind, name)
    return value


def optional_text(row: Row, name: str) -> str | None:
    value = row.get(name)
    return value.lower() if isinstance(value, str) and value else None


def whole(row: Row, name: str, kind: str) -> int:
    value = row.get(name)
    told = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _WHOLE.fullmatch(told):
        raise broken(kind, name)
    return int(told)


def moment(value: object, kind: str) -> datetime | None:
    if value is None:
        return None
    return from_ms(whole({"time": value}, "time", kind))


def side_of(row: Row, kind: str) -> OrderSide:
    told = row.get("side")
    if told not in ("A", "B"):
        raise broken(kind, "side")
    return OrderSide.BUY if told == "B" else OrderSide.SELL
