"""What the query of an address says, read strictly: keys that a database can hold, moments that every clock can hold."""

from __future__ import annotations

from datetime import UTC
from typing import Any, Final

from rest_framework import serializers
from rest_framework.request import Request

from vibex.lib.api.filters import Filters
from vibex.lib.api.reading import refuse_unknown

OF_EVERY_ADDRESS: Final = frozenset({"format", "fields"})
LARGEST_KEY: Final = 2**63 - 1


class RowId(serializers.IntegerField):
    """A key of a row. One beyond 64 bits is no key: a database would fail on it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "min_value": 1, "max_value": LARGEST_KEY, **options})


class Moment(serializers.DateTimeField):
    """A moment, ISO 8601; in UTC where no zone is named."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"required": False, "default_timezone": UTC, **options})


def query(form: type[Filters], request: Request) -> dict[str, Any]:
    """Return what the query of a request says, as `form` reads it.

    Raises ValidationError (400) for what does not fit, and for a name that is not known: a misspelt one must not be taken
    for its default.
    """
    given = {name: value for name, value in request.query_params.items() if name not in OF_EVERY_ADDRESS}
    reading = form(data=given)
    refuse_unknown(set(given), set(reading.fields), "parameter")
    reading.is_valid(raise_exception=True)
    return dict(reading.validated_data)
