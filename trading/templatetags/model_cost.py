"""How the cost of models is written on pages."""

from __future__ import annotations

from decimal import Decimal

from django import template

from decisions.domain.till import dollars as said

register = template.Library()


@register.filter
def dollars(value: Decimal | None) -> str:
    """Write US dollars with two decimals, four where they are needed: 1.20, 0.0043."""
    return "–" if value is None else said(value)


@register.filter
def count(value: int) -> str:
    """Write a number of tokens: 443,986."""
    return f"{value:,}"
