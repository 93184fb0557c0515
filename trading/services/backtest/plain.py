"""Values as JSON knows them, in one spelling: the same value gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields, is_dataclass
from datetime import date, timedelta
from decimal import Decimal
from enum import Enum
from math import isfinite
from typing import Any, Final

from decisions.domain.shares import Share

DIGITS: Final = 12
"""Of floats that are written out."""


def plain(value: Any) -> Any:
    """Return a value as JSON knows it. Raises TypeError for one that it knows nothing like.

    Floats have 12 digits, null stands for what is not finite; Decimals are text, times ISO 8601, lengths seconds.
    """
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, bool | int | str | None):
        return value
    if isinstance(value, float | Decimal | date | timedelta):
        return _number_or_time(value)
    return _together(value)


def _number_or_time(value: float | Decimal | date | timedelta) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}") if isfinite(value) else None
    if isinstance(value, Decimal):
        return f"{value:f}"
    return value.isoformat() if isinstance(value, date) else value.total_seconds()


def _together(value: Any) -> Any:
    if isinstance(value, Share):
        ends = {"value": plain(value.value), "low": plain(value.low), "high": plain(value.high)}
        return {"part": value.part, "whole": value.whole, **ends}
    if is_dataclass(value):
        return {each.name: plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(each) for key, each in value.items()}
    if isinstance(value, Iterable):
        return [plain(each) for each in value]
    raise TypeError(f"JSON knows nothing like a {type(value).__name__}")
