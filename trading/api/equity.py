"""Equity over time, drawn small."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from trading.selectors.equity_series import EquitySeries, equity_series, moment
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, RowId, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

COLUMNS: Final = ("at", "equity")


@extend_schema_field(
    {
        "type": "array",
        "items": {"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "string"}},
        "maxItems": 2000,
    }
)
class PointsOut(serializers.Field):  # type: ignore[type-arg]
    """Moments (ISO 8601, market time) and amounts, in the order of time."""


class EquityOut(Out):
    """Equity of an account. First, last, lowest and highest point are always among those that are told."""

    account = serializers.IntegerField()
    columns = serializers.ListField(child=serializers.ChoiceField(COLUMNS))
    points = PointsOut()
    drawn_from = serializers.ChoiceField(
        ["points", "hours"], help_text="`hours`: lowest and highest of each hour stand for the points in it."
    )
    thinned = serializers.BooleanField(help_text="Whether points were left out.")


class EquityFilters(Filters):
    since = Moment(help_text="From this moment on, market time.")
    until = Moment(help_text="Before this moment, market time.")
    points = serializers.IntegerField(default=1000, min_value=10, max_value=2000, help_text="So many at most.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if "since" in attrs and "until" in attrs and attrs["until"] <= attrs["since"]:
            raise serializers.ValidationError({"until": ["This is not after `since`."]})
        return attrs


class EquityOfFilters(EquityFilters):
    account = RowId(required=True)


class EquityView(Face):
    """Equity of an account over time."""

    @extend_schema(parameters=[EquityOfFilters], responses={200: EquityOut})
    def get(self, request: Request) -> Response:
        asked = query(EquityOfFilters, request)
        pk = self.account_id(asked.pop("account"))
        return Response(told(pk, equity_series(pk, **asked)))


class AccountEquityView(Face):
    """Equity of an account over time."""

    @extend_schema(parameters=[EquityFilters], responses={200: EquityOut}, operation_id="account_equity")
    def get(self, request: Request, account_id: int) -> Response:
        pk = self.account_id(account_id)
        return Response(told(pk, equity_series(pk, **query(EquityFilters, request))))


def told(account: int, series: EquitySeries) -> dict[str, Any]:
    """Return the answer."""
    return {
        "account": account,
        "columns": COLUMNS,
        "points": [(moment(at), _text(value)) for at, value in series.points],
        "drawn_from": series.source,
        "thinned": series.thinned,
    }


def _text(value: float) -> str:
    """Return an amount with the eight decimals that money is booked with, without trailing zeros."""
    text = f"{value:.8f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
