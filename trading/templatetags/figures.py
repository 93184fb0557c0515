"""How numbers and times are written on the pages: signs, units, the exchange's own precision, the reader's zone."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django import template
from django.utils import timezone
from django.utils.html import format_html

register = template.Library()

NOTHING = "–"
MINUS = "−"
CENT = Decimal("0.01")
UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


@register.filter
def money(value: Decimal | None) -> str:
    """Write an amount of quote currency with two decimals: 10,164.20."""
    return NOTHING if value is None else _grouped(value, CENT)


@register.filter
def signed(value: Decimal | None) -> str:
    """Write a result with its sign: +12.40, −3.10, 0.00."""
    if value is None:
        return NOTHING
    text = _grouped(value, CENT)
    return f"+{text}" if _rounded(value, CENT) > 0 else text


@register.filter
def share(value: Decimal | None) -> str:
    """Write a fraction as a percentage: 0.0164 is 1.64 %."""
    return NOTHING if value is None else f"{_grouped(value * 100, CENT)} %"


@register.filter
def signed_share(value: Decimal | None) -> str:
    """Write a fraction as a percentage with its sign."""
    return NOTHING if value is None else f"{signed(value * 100)} %"


@register.filter
def rate(value: Decimal | None) -> str:
    """Write a funding rate as a percentage with its sign and four decimals: 0.0001 is +0.0100 %."""
    if value is None:
        return NOTHING
    text = _grouped(value * 100, Decimal("0.0001"))
    return f"+{text} %" if value > 0 else f"{text} %"


@register.filter
def tone(value: Decimal | None) -> str:
    """Return the class of a result: gain, loss or even. The sign says the same without colour."""
    if value is None or _rounded(value, CENT) == 0:
        return "even"
    return "gain" if value > 0 else "loss"


@register.filter
def price(value: Decimal | None, tick: Decimal) -> str:
    """Write a price with as many decimals as the instrument's tick has."""
    return NOTHING if value is None else _grouped(value, tick)


@register.filter
def quantity(value: Decimal | None, step: Decimal) -> str:
    """Write a quantity with as many decimals as the instrument's step has."""
    return NOTHING if value is None else _grouped(value, step)


@register.filter
def exact(value: Decimal | None) -> str:
    """Write a decimal as it is, without trailing zeros."""
    if value is None:
        return NOTHING
    whole, point, rest = f"{abs(value):,f}".partition(".")
    text = whole + (point + rest).rstrip("0").rstrip(".")
    return f"{MINUS}{text}" if value < 0 else text


@register.filter
def lasting(length: timedelta | None) -> str:
    """Write a length of time in its two largest units: 2 h 10 min."""
    if length is None:
        return NOTHING
    seconds = int(abs(length.total_seconds()))
    for index, (unit, size) in enumerate(UNITS):
        if seconds >= size:
            rest = _rest(seconds % size, index + 1)
            return f"{seconds // size} {unit}{rest}"
    return f"{seconds} s"


@register.simple_tag
def moment(at: datetime | None, now: datetime, clock: str = "market") -> str:
    """Write a time as seen from `now`, with the exact one in the title; the page keeps it ticking by that clock."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    return format_html(
        '<time datetime="{}" title="{}" data-clock="{}">{}</time>',
        at.isoformat(),
        f"{local:%a %d %b %Y %H:%M:%S} {local.tzname()}",
        clock,
        _relative(at - now),
    )


@register.simple_tag
def stamp(at: datetime | None, form: str = "%d %b %H:%M") -> str:
    """Write a time in the reader's zone, with the exact one in the title."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    title = f"{local:%a %d %b %Y %H:%M:%S} {local.tzname()}"
    return format_html('<time datetime="{}" title="{}">{}</time>', at.isoformat(), title, local.strftime(form))


@register.filter
def words(value: Any) -> str:
    """Write a code word as words: buy_to_enter is buy to enter."""
    return str(value).replace("_", " ")


def _relative(distance: timedelta) -> str:
    seconds = distance.total_seconds()
    if abs(seconds) < 1:
        return "now"
    return f"in {lasting(distance)}" if seconds > 0 else f"{lasting(distance)} ago"


def _rest(seconds: int, index: int) -> str:
    """Return the second unit of a length: minutes to hours, hours to days, nothing below a minute."""
    if index >= len(UNITS):
        return ""
    unit, size = UNITS[index]
    return f" {seconds // size} {unit}" if seconds >= size else ""


def _places(unit: Decimal) -> int:
    """Return the decimals of a tick: one for 0.10000, none for 10."""
    exponent = unit.normalize().as_tuple().exponent
    return max(0, -int(exponent))


def _rounded(value: Decimal, unit: Decimal) -> Decimal:
    return round(Decimal(value), _places(unit))


def _grouped(value: Decimal, unit: Decimal) -> str:
    rounded = _rounded(value, unit)
    return f"{MINUS if rounded < 0 else ''}{abs(rounded):,f}"
