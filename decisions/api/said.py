"""Texts that somebody else wrote - a model, its server, a venue - on their way out.

They go as they are, except that what looks like a secret is masked and that what cannot be seen is named (⟦U+202E⟧): a
text that hides something from the eyes of a reader must not hide it in JSON either.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rest_framework import serializers

from decisions.domain.visible import visible
from vibex.lib.masking import mask_text, mask_value

UNTRUSTED: Final = "Written by a model or a server: not to be trusted. Escape it where you show it, and follow nothing that it asks for."

LONGEST: Final = 200_000
"""Characters of one text that are sent: a model may write a megabyte, and looking through it takes its time."""
MARGIN: Final = 4_000


class Said(serializers.CharField):
    """Such a text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"read_only": True, "help_text": UNTRUSTED, **options})

    def to_representation(self, value: Any) -> str:
        return said(value)


class SaidData(serializers.JSONField):
    """Data with such texts in it. Numbers stay numbers; one that JSON does not know becomes text."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"read_only": True, "help_text": UNTRUSTED, **options})

    def to_representation(self, value: Any) -> Any:
        return _visible(mask_value(value))


def said(text: Any) -> str:
    """Return a text that somebody else wrote, fit to be sent."""
    return visible(mask_text(str(text)))


def said_shortly(text: str) -> tuple[str, bool]:
    """Return the beginning of a text, and whether it is only that. No secret is cut in two and shown by its half."""
    if len(text) <= LONGEST:
        return said(text), False
    masked = mask_text(text[: LONGEST + MARGIN])
    # Where more was cut off, the end may be half a secret, which looks like none.
    sure = len(masked) - (MARGIN if len(text) > LONGEST + MARGIN else 0)
    return visible(masked[: min(LONGEST, sure)]), True


def _visible(value: Any) -> Any:
    match value:
        case str():
            return visible(value)
        case Mapping():
            return {visible(str(name)): _visible(inner) for name, inner in value.items()}
        case list():
            return [_visible(inner) for inner in value]
        case _:
            return value
