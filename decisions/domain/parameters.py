"""Numbers of rules: what they are called, how they are written in a name, and between what a search may vary them.

A strategy is a frozen dataclass whose fields are its numbers. Written out it is `cross:fast=8,slow=21`; what is not said
has its default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from vibex.lib.errors import Rejected

SEARCHED: Final = "searched"

type Number = int | float | Decimal


@dataclass(frozen=True, slots=True)
class Range:
    """Between what a search varies a number, both ends included."""

    low: Number
    high: Number


def searched(low: float | str, high: float | str) -> Mapping[str, Any]:
    """Return the metadata of a field that a search may vary. Write the ends of a Decimal as text."""
    ends = [Decimal(end) if isinstance(end, str) else end for end in (low, high)]
    return {SEARCHED: Range(*ends)}


def ranges(strategy: object) -> dict[str, Range]:
    """Return what a search may vary of a strategy, by name, in the order of its fields."""
    return {each.name: each.metadata[SEARCHED] for each in fields(strategy) if SEARCHED in each.metadata}  # type: ignore[arg-type]


def with_numbers[T](strategy: T, text: str) -> T:
    """Return the strategy with the numbers of `fast=8,slow=21`. Raises Rejected for a name or a number that is none."""
    known = {each.name: type(getattr(strategy, each.name)) for each in fields(strategy)}  # type: ignore[arg-type]
    changes: dict[str, Number] = {}
    for part in text.split(",") if text else ():
        name, equals, written = part.partition("=")
        if not equals or name not in known:
            raise Rejected(f"{part!r} is no number of these rules. They have {', '.join(known)}.", code="parameter")
        changes[name] = _number(known[name], name, written)
    return replace(strategy, **changes)  # type: ignore[type-var]


def written(strategy: object) -> str:
    """Return the numbers that are not the default ones, as `with_numbers` reads them; "" when all are."""
    return ",".join(
        f"{name}={value:f}" if isinstance(value, Decimal) else f"{name}={value}" for name, value in _other(strategy)
    )


def _other(strategy: object) -> Iterator[tuple[str, Number]]:
    for each in fields(strategy):  # type: ignore[arg-type]
        if (value := getattr(strategy, each.name)) != each.default:
            yield each.name, value


def _number(kind: type, name: str, text: str) -> Number:
    try:
        value: Number = kind(text)
    except (ValueError, InvalidOperation):
        value = Decimal("NaN")
    if not (Decimal(value).is_finite() and value > 0):
        raise Rejected(f"{name}={text} is no {'whole ' if kind is int else ''}number above zero.", code="parameter")
    return value
