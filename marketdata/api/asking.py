"""What the addresses of markets are asked for, told apart from what there is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rest_framework import serializers
from rest_framework.exceptions import ValidationError

from marketdata.models import Feed

LONGEST: int = 1_000


class Names(serializers.CharField):
    """Several names with commas between them, each once."""

    def __init__(self, *, most: int, **options: object) -> None:
        self.most = most
        super().__init__(**{"required": False, "max_length": LONGEST, **options})  # type: ignore[arg-type]

    def to_internal_value(self, data: Any) -> tuple[str, ...]:  # type: ignore[override]
        text = super().to_internal_value(data)
        names = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
        if not 0 < len(names) <= self.most:
            raise serializers.ValidationError(f"Name up to {self.most}, with commas between them.")
        return names


def nothing_like(field: str, name: str, there: Iterable[str]) -> ValidationError:
    """Return the refusal (400) of a name that means nothing here, with those that do."""
    told = ", ".join(there) or "none"
    return ValidationError({field: [f"There is no {name[:40]} here. There is: {told}."]})


def no_venue(name: str) -> ValidationError:
    return nothing_like("venue", name, Feed.objects.order_by("venue").values_list("venue", flat=True))
