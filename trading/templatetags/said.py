"""How text is written on the pages that a model or a venue wrote: without secrets, with nothing invisible in it."""

from __future__ import annotations

from typing import Any

from django import template

from decisions.domain.proposal import Action
from decisions.domain.visible import visible
from decisions.models import Afterwards, Decision
from vibex.lib.masking import mask_text

register = template.Library()


@register.filter
def said(text: Any) -> str:
    """Write what somebody else wrote: what looks like a secret masked, what cannot be seen by its number.

    Like any text it is escaped by the template.
    """
    return visible(mask_text(str(text)))


@register.filter
def multiple(value: float | None) -> str:
    """Write a result as a multiple of what is lost at the stop: +1.86 ×, −1.00 ×."""
    return "–" if value is None else f"{value:+.2f} ×".replace("-", "−")


@register.filter
def took(ms: float | None) -> str:
    """Write a length of time: 0.9 ms, 412 ms, 15.3 s."""
    if ms is None:
        return "–"
    if ms >= 1_000:
        return f"{ms / 1_000:,.1f} s"
    return f"{ms:.0f} ms" if ms >= 100 else f"{ms:.1f} ms"


@register.filter
def enters(action: str) -> bool:
    """Tell whether an action opens a position."""
    return Action(action).opens if action in set(Action) else False


@register.simple_tag
def afterwards_of(decision: Decision) -> Afterwards | None:
    """Return what the market did after a decision; None while nobody has counted it."""
    return getattr(decision, "afterwards", None)
