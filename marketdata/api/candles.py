"""Candles, in arrays so that they stay small."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.utils.urls import remove_query_param, replace_query_param

from accounts.access.views import Face
from marketdata.api.asking import no_venue, nothing_like
from marketdata.domain.intervals import INTERVAL_MS
from marketdata.selectors.pages_of_candles import (
    MOST,
    Asked,
    Page,
    feed_to_page,
    intervals_at,
    page_of_candles,
    symbols_at,
)
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
    from marketdata.models import Feed
else:
    Out = serializers.Serializer

COLUMNS: Final = ("open_time", "open", "high", "low", "close", "volume", "closed")
ROW: Final = {
    "type": "array",
    "prefixItems": [{"type": "string", "format": "date-time"}, *[{"type": "number"}] * 5, {"type": "boolean"}],
    "minItems": len(COLUMNS),
    "maxItems": len(COLUMNS),
}


@extend_schema_field({"type": "array", "items": ROW})
class RowsField(serializers.Field):  # type: ignore[type-arg]
    """Rows as they are."""

    def to_representation(self, value: Any) -> Any:
        return value


class CandlesOut(Out):
    """Candles, oldest first, each in the order of `columns`. `previous` leads to older ones, `next` to newer ones."""

    venue = serializers.CharField()
    symbol = serializers.CharField()
    interval = serializers.CharField()
    columns = serializers.ListField(child=serializers.CharField())
    next = serializers.URLField(allow_null=True)
    previous = serializers.URLField(allow_null=True)
    rows = RowsField()


class CandlesQuery(Filters):
    venue = serializers.CharField(max_length=20)
    symbol = serializers.CharField(max_length=30)
    interval = serializers.ChoiceField(
        list(INTERVAL_MS), required=False, help_text="Without it the stored one of the venue."
    )
    since = Moment(default=None, help_text="Forward, those that open at this moment or later. Without it: the newest.")
    until = Moment(default=None, help_text="Those that open before this moment.")
    limit = serializers.IntegerField(
        min_value=1, max_value=MOST, default=500, help_text="At most so many; of long intervals a page has fewer."
    )
    forming = serializers.BooleanField(default=False, help_text="Also the one that is not over yet, closed: false.")


class CandlesView(Face):
    """Candles of a symbol, market time. Longer intervals are made of the stored ones."""

    @extend_schema(parameters=[CandlesQuery], responses=CandlesOut)
    def get(self, request: Request) -> Response:
        asked = query(CandlesQuery, request)
        venue = asked.pop("venue")
        wanted = Asked(**asked)
        page = page_of_candles(_feed(venue, wanted), wanted)
        return Response({"venue": venue, "symbol": wanted.symbol, "columns": COLUMNS, **_told(page, request)})


def _feed(venue: str, asked: Asked) -> Feed:
    """Return the feed of a venue. Raises ValidationError (400) that says what there is."""
    feed: Any = feed_to_page(venue, asked)
    if feed is None:
        raise no_venue(venue)
    if not feed.known:
        raise nothing_like("symbol", asked.symbol, symbols_at(venue))
    if asked.interval and asked.interval not in intervals_at(feed):
        raise nothing_like("interval", asked.interval, intervals_at(feed))
    found: Feed = feed
    return found


def _told(page: Page, request: Request) -> dict[str, Any]:
    return {
        "interval": page.interval,
        "next": _link(request, "since", page.after, but="until" if "since" not in request.query_params else ""),
        "previous": _link(request, "until", page.before, but="since"),
        "rows": page.rows,
    }


def _link(request: Request, name: str, at: datetime | None, *, but: str) -> str | None:
    if at is None:
        return None
    url = remove_query_param(request.build_absolute_uri(), but) if but else request.build_absolute_uri()
    link: str = replace_query_param(url, name, f"{at:%Y-%m-%dT%H:%M:%SZ}")
    return link
