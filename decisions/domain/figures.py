"""Numbers as a model is to read them: no separators, no exponents, no more digits than mean something."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal
from math import floor, isfinite, log10

UNKNOWN = "n/a"
type Number = Decimal | float | None


def decimals_of(tick: Decimal) -> int:
    """Return how many decimals a multiple of the tick has: 2 for 0.01 and for 0.0100, 0 for 10."""
    exponent = tick.normalize().as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def fixed(value: Number, decimals: int) -> str:
    """Return a number with so many decimals, n/a for one that is missing, NaN or infinite."""
    if value is None or not isfinite(value):
        return UNKNOWN
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if float(text) == 0 else text


def significant(value: Number, digits: int = 4) -> str:
    """Return a number with so many significant digits, whole ones from there on: 24.13, 4681, 1203456."""
    if value is None or not isfinite(value) or value == 0:
        return fixed(value, 0)
    return fixed(value, places(value, digits))


def short(value: Number, digits: int, most: int) -> str:
    """Return a number with at most so many significant digits and `most` decimals, whole ones stay whole: 113824, 4081, 0.2."""
    if value is None or not isfinite(value):
        return UNKNOWN
    return trimmed(value, min(most, places(value, digits)))


def places(value: Number, digits: int) -> int:
    """Return with how many decimals a number has so many significant digits; 12 at the most, 0 for what is not known."""
    if value is None or not isfinite(value) or value == 0:
        return 0
    return min(12, max(0, digits - 1 - floor(log10(abs(float(value))))))


def trimmed(value: Number, decimals: int) -> str:
    """Return a number with at most so many decimals, without zeros at its end."""
    text = fixed(value, decimals)
    return text.rstrip("0").rstrip(".") if "." in text else text


def plain(value: Decimal | None) -> str:
    """Return an exact decimal without exponent and trailing zeros."""
    return UNKNOWN if value is None else f"{value.normalize():f}"


def series(values: Iterable[Number], decimals: int) -> str:
    """Return a list of numbers in brackets."""
    return f"[{', '.join(fixed(value, decimals) for value in values)}]"


def percent(share: Number, decimals: int = 2) -> str:
    """Return a share as a percentage: 0.0125 is 1.25 %."""
    text = UNKNOWN if share is None else fixed(share * 100, decimals)
    return text if text == UNKNOWN else f"{text} %"


def duration(length: timedelta) -> str:
    """Return a length of time in hours and minutes, or in seconds below one minute."""
    seconds = max(0, round(length.total_seconds()))
    if seconds < 60:
        return f"{seconds} s"
    hours, minutes = divmod(seconds // 60, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min"
