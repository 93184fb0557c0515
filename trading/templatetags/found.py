"""How what was searched for is shown in what was found."""

from __future__ import annotations

import re
from collections.abc import Sequence

from django import template
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.simple_tag
def found(text: str, words: Sequence[str]) -> str | SafeString:
    """Write a text with the words of a search marked. Every part of it is escaped, marked or not."""
    if not words:
        return text
    parts = re.split("(" + "|".join(map(re.escape, sorted(words, key=len, reverse=True))) + ")", str(text), flags=re.I)
    # Odd parts are what the words matched; the text around them is escaped as well.
    return mark_safe("".join(f"<mark>{_(part)}</mark>" if place % 2 else _(part) for place, part in enumerate(parts)))  # noqa: S308


def _(part: str) -> str:
    return str(conditional_escape(part))
