"""Model fields that the whole house uses."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

if TYPE_CHECKING:
    DecimalField = models.DecimalField[Any, Any]
else:
    DecimalField = models.DecimalField

SQLITE_DIGITS = 15
"""SQLite stores decimals as binary floats: this many significant digits come back as they went in."""


class ExactDecimalField(DecimalField):
    """A decimal that is stored exactly or not at all.

    On SQLite a value with more than 15 significant digits raises OverflowError instead of being rounded in silence.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("max_digits", 28)
        kwargs.setdefault("decimal_places", 10)
        super().__init__(*args, **kwargs)

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        if connection.vendor == "sqlite" and isinstance(value, Decimal):
            digits = len(value.normalize().as_tuple().digits)
            if digits > SQLITE_DIGITS:
                raise OverflowError(
                    f"{self.name}: {value} has {digits} significant digits and SQLite keeps {SQLITE_DIGITS}. "
                    "Use PostgreSQL (set DATABASE_URL) for amounts of this size."
                )
        return super().get_db_prep_value(value, connection, prepared)
