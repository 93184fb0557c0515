"""JSON read without forgiveness: what a lenient reader would mend, choose or round is an error here."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

from vibex.lib.errors import Rejected

MAX_CHARS: Final = 65_536
MAX_DEPTH: Final = 8
MAX_NUMBER_CHARS: Final = 40
MAX_EXPONENT_CHARS: Final = 4
LARGEST: Final = Decimal("1e12")
SMALLEST: Final = Decimal("1e-12")


class Unreadable(Rejected):
    """A reply that must not be used. `code` says why in one word, the message in a sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}", code=code)


def loads(text: str) -> Any:
    """Return the value of exactly one JSON text. Whole numbers are int, all others Decimal with every digit kept.

    Raises Unreadable for anything RFC 8259 forbids, and for duplicate keys, NaN, Infinity, negative zero, numbers
    beyond 1e-12 … 1e12 in size, nesting deeper than 8 and texts longer than 65,536 characters.
    """
    if len(text) > MAX_CHARS:
        raise Unreadable("json.too_long", f"the text has more than {MAX_CHARS} characters")
    try:
        value = json.loads(
            text, parse_float=_number, parse_int=_whole, parse_constant=_constant, object_pairs_hook=_object
        )
    except RecursionError:
        raise Unreadable("json.too_deep", "it is nested too deeply") from None
    except ValueError as fault:
        raise Unreadable("json.invalid", f"it is not JSON ({_where(fault)})") from None
    _check_depth(value, MAX_DEPTH)
    return value


def _where(fault: ValueError) -> str:
    return f"{fault.msg} at character {fault.pos}" if isinstance(fault, json.JSONDecodeError) else "a value is invalid"


def _number(literal: str) -> Decimal:
    exponent = literal.lower().partition("e")[2]
    if len(literal) > MAX_NUMBER_CHARS or len(exponent) > MAX_EXPONENT_CHARS:
        raise Unreadable("json.number", "a number is longer than any that could be meant")
    value = Decimal(literal)
    if value.is_zero() and (exponent or value.is_signed()):
        raise Unreadable("json.number", "a zero is written with a sign or an exponent")
    if not value.is_zero() and not SMALLEST <= abs(value) <= LARGEST:
        raise Unreadable("json.number", f"{literal} is too large or too small to be meant")
    return value


def _whole(literal: str) -> int:
    _number(literal)
    return int(literal)


def _constant(literal: str) -> None:
    raise Unreadable("json.number", f"{literal} is no number")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise Unreadable("json.duplicate_key", "an object has the same key twice")
    return result


def _check_depth(value: Any, left: int) -> None:
    if not isinstance(value, dict | list):
        return
    if left == 0:
        raise Unreadable("json.too_deep", f"it is nested more than {MAX_DEPTH} levels deep")
    for child in value.values() if isinstance(value, dict) else value:
        _check_depth(child, left - 1)
