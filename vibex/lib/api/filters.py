"""Exact amounts, and strict filters."""

from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any, Final

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

PLACES: Final = Decimal("0.0000000001")
EXACT: Final = Context(prec=28)
NOT_FILTERS = frozenset({"cursor", "limit", "ordering", "fields", "format"})


class Amount(DecimalField):
    """A decimal as text without trailing zeros: exact, whatever the client's floats do."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=28, decimal_places=10, normalize_output=True, read_only=True, **options)

    def to_representation(self, value: Any) -> Any:
        """As in the framework, which makes a context of its own for every number."""
        if not isinstance(value, Decimal):
            return super().to_representation(value)
        return f"{value.quantize(PLACES, context=EXACT).normalize():f}"


def filtered(rows: QuerySet[Any], filters: type[Filters], request: Request) -> QuerySet[Any]:
    """Narrow `rows` by the query of `request`; the `source` of each field of `filters` is the lookup.

    Raises ValidationError (400) for a value that does not fit and for a name that is no filter: a misspelt filter
    must not look like one that matched everything.
    """
    given = {name: value for name, value in request.query_params.items() if name not in NOT_FILTERS}
    if not given and filters in _UNASKED:
        return rows.filter(**_UNASKED[filters])
    reading = filters(data=given)
    unknown = sorted(set(given) - set(reading.fields))
    if unknown:
        known = ", ".join(reading.fields)
        raise ValidationError({name: [f"There is no such filter. Use one of: {known}."] for name in unknown})
    reading.is_valid(raise_exception=True)
    if not given:
        _UNASKED[filters] = reading.validated_data
    return rows.filter(**reading.validated_data)


_UNASKED: Final[dict[type[Filters], dict[str, Any]]] = {}
"""How rows are narrowed where the caller asks for nothing: the same each time, and most calls are such."""
