"""How an answer is written: by `format`, else by `Accept`."""

from __future__ import annotations

from typing import Any

from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import DefaultContentNegotiation


class Negotiation(DefaultContentNegotiation):
    """The framework's; besides, a `format` that there is not is a fault of the query (400)."""

    def filter_renderers(self, renderers: Any, format: str) -> Any:
        """Return the renderers of a format."""
        found = [renderer for renderer in renderers if renderer.format == format]
        if not found:
            there = ", ".join(str(renderer.format) for renderer in renderers)
            raise ValidationError({"format": [f"There is no such format here. There is {there}."]})
        return found
