"""What the API of every app shares: exact amounts and strict filters."""

from typing import TYPE_CHECKING, Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request

if TYPE_CHECKING:
    DecimalField = serializers.DecimalField
    Filters = serializers.Serializer[Any]
else:
    DecimalField = serializers.DecimalField
    Filters = serializers.Serializer

NOT_FILTERS = frozenset({"page", "format"})


class Amount(DecimalField):
    """A decimal as text without trailing zeros: exact, whatever the client's floats do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=28, decimal_places=10, normalize_output=True, read_only=True, **options)


def filtered(rows: QuerySet[Any], filters: type[Filters], request: Request) -> QuerySet[Any]:
    """Narrow `rows` by the query of `request`; the `source` of each field of `filters` is the lookup.

    Raises ValidationError (400) for a value that does not fit and for a name that is no filter: a misspelt filter
    must not look like one that matched everything.
    """
    given = {name: value for name, value in request.query_params.items() if name not in NOT_FILTERS}
    reading = filters(data=given)
    unknown = sorted(set(given) - set(reading.fields))
    if unknown:
        known = ", ".join(reading.fields)
        raise ValidationError({name: [f"There is no such filter. Use one of: {known}."] for name in unknown})
    reading.is_valid(raise_exception=True)
    return rows.filter(**reading.validated_data)
