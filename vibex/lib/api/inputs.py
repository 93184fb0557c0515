"""Fields of what a call brings along, as narrow as what can be stored."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rest_framework import serializers

from vibex.lib.fields import SQLITE_DIGITS

if TYPE_CHECKING:
    DecimalField = serializers.DecimalField
    Form = serializers.Serializer[Any]
else:
    DecimalField = serializers.DecimalField
    Form = serializers.Serializer
"""A body, field by field; read by `given`, which refuses names that it does not have."""


class Exact(DecimalField):
    """A decimal to be stored: as text or number, with as many digits as every database keeps."""

    default_error_messages = {"exact": f"Write it with at most {SQLITE_DIGITS} digits."}

    def __init__(self, *, max_digits: int = 28, decimal_places: int = 8, **options: Any) -> None:
        super().__init__(max_digits, decimal_places, **{"normalize_output": True, **options})

    def validate_precision(self, value: Decimal) -> Decimal:
        if len(value.normalize().as_tuple().digits) > SQLITE_DIGITS:
            self.fail("exact")
        return super().validate_precision(value)
