"""Single values of AsterDEX's payloads. The same number comes as text here and as a number there.

Nothing that cannot be a price becomes one: not a number, infinite, negative, or beyond what a price can be. What is
missing or unreadable raises VenueDown that names payload, symbol and field; nobody meets a KeyError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from decimal import Context, Decimal
from typing import Any, Final

from marketdata.venues.public import VenueDown
from vibex.lib.clock import from_ms

type Row = Mapping[str, Any]

HIGHEST: Final = Decimal("1e12")
LOWEST: Final = Decimal("1e-10")
"""A price, in quote units, lies between these. Below the lowest it would be stored as zero."""
LATEST_MS: Final = 10**14
"""More milliseconds than that are nanoseconds by mistake, as in the venue's spot payloads."""
LONGEST_SHOWN: Final = 40
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{0,30})?([eE][+-]?[0-9]{1,2})?")
_DIGITS: Final = re.compile(r"[0-9]{1,16}")
_SYMBOL: Final = re.compile(r"[^\W_][\w.-]{0,29}")
_STORED: Final = Context(prec=15)
"""What a database keeps of any decimal."""


def broken(kind: str, row: object, name: str) -> VenueDown:
    """Return the error for a payload whose field `name` is missing or makes no sense."""
    found = row if isinstance(row, Mapping) else {}
    symbol = found.get("symbol", found.get("s"))
    of = f" of {_shown(symbol)}" if isinstance(symbol, str) else ""
    what = f"{name} is {_shown(found[name])}" if name in found else f"{name} is missing"
    return VenueDown(f"AsterDEX sent a {kind}{of} that cannot be used: {what}.")


def rows_of(payload: object, kind: str) -> list[Row]:
    """Return the objects of a list, or the one object that came without a list."""
    if isinstance(payload, Mapping):
        return [payload]
    if not isinstance(payload, list) or not all(isinstance(row, Mapping) for row in payload):
        raise VenueDown(f"AsterDEX sent a {kind} that is no list of objects: {_shown(payload)}.")
    return payload


def readable[Made](rows: Iterable[Row], read: Callable[[Row], Made | None]) -> list[Made]:
    """Return what `read` makes of each row: one broken row does not take the others away. Raises when all are."""
    made, first = [], None
    for row in rows:
        try:
            one = read(row)
        except VenueDown as error:
            first = first or error
        else:
            made += [] if one is None else [one]
    if first and not made:
        raise first
    return made


def number(row: Row, name: str, kind: str) -> Decimal:
    """Return a finite number exactly as it was written."""
    value = row.get(name)
    text = value if isinstance(value, str) else repr(value) if type(value) in (int, float) else ""
    if not _NUMBER.fullmatch(text):
        raise broken(kind, row, name)
    return Decimal(text)


def amount(row: Row, name: str, kind: str, default: Decimal | None = None) -> Decimal:
    """Return a number that is not negative; `default`, if there is one, where the field is missing."""
    if default is not None and row.get(name) is None:
        return default
    value = number(row, name, kind)
    if value < 0 or value >= HIGHEST:
        raise broken(kind, row, name)
    return value


def price(row: Row, name: str, kind: str, *, computed: bool = False) -> Decimal | None:
    """Return a price, None where the venue says zero: that side of the book is empty.

    A `computed` one may have more digits than are stored and is rounded to them; on a tick no price has so many.
    """
    value = amount(row, name, kind)
    if value and value < LOWEST:
        raise broken(kind, row, name)
    if computed:
        value = rounded(value)
    elif rounded(value) != value:
        raise broken(kind, row, name)
    return value or None


def rounded(value: Decimal) -> Decimal:
    """Return the value with at most 15 significant digits. For computed ones (mark, rates), not for prices on a tick."""
    return _STORED.plus(value)


def rate(row: Row, name: str, kind: str) -> Decimal | None:
    """Return a funding rate as a fraction, None where the venue has none (empty text)."""
    if row.get(name) in (None, ""):
        return None
    value = number(row, name, kind)
    if abs(value) >= 1:
        raise broken(kind, row, name)
    return rounded(value)


def whole(row: Row, name: str, kind: str, *, least: int = 0, most: int = LATEST_MS) -> int:
    """Return a whole number from `least` to `most`."""
    value = row.get(name)
    text = value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _DIGITS.fullmatch(text) or not least <= int(text) <= most:
        raise broken(kind, row, name)
    return int(text)


def moment(row: Row, name: str, kind: str) -> datetime | None:
    """Return a moment that is given in UTC milliseconds, None where it is missing or zero."""
    ms = whole(row, name, kind) if row.get(name) is not None else 0
    return from_ms(ms) if ms else None


def text(row: Row, name: str, kind: str, *, most: int = 20) -> str:
    """Return a text of at most `most` characters."""
    value = row.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise broken(kind, row, name)
    return value


def symbol_of(row: Row, name: str, kind: str) -> str:
    """Return a symbol as the venue writes it: letters of any script, digits, and . - _ inside."""
    value = row.get(name)
    if not isinstance(value, str) or not _SYMBOL.fullmatch(value):
        raise broken(kind, row, name)
    return value


def _shown(value: object) -> str:
    written = repr(value)
    return written if len(written) <= LONGEST_SHOWN else f"{written[:LONGEST_SHOWN]}…"
