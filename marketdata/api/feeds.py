"""The markets of this installation: where their prices come from, and how fresh they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from marketdata.models import Feed
from marketdata.selectors.seen_now import feeds_seen
from vibex.lib.api import Filters
from vibex.lib.api.query import query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class FreshOut(Out):
    """How old what is kept of a followed symbol is, in seconds of market time; null where nothing was ever written."""

    symbol = serializers.CharField()
    price_age = serializers.FloatField(allow_null=True)
    candle_age = serializers.FloatField(allow_null=True)


class FeedOut(Out):
    """A market. `at` is its own time, `heartbeat` (wall time) when its feed wrote last, `problem` what is wrong with it."""

    venue = serializers.CharField(source="feed.venue")
    kind = serializers.ChoiceField(Feed.Kind.choices, source="feed.kind")
    interval = serializers.CharField(source="feed.interval", help_text="Of the stored candles.")
    running = serializers.BooleanField(source="feed.running")
    speed = serializers.FloatField(source="feed.speed")
    at = serializers.DateTimeField()
    heartbeat = serializers.DateTimeField(source="feed.heartbeat", allow_null=True)
    problem = serializers.CharField(source="feed.problem")
    note = serializers.CharField(source="feed.note")
    clock_offset = serializers.FloatField(source="feed.clock_offset", allow_null=True)
    symbols = FreshOut(many=True)


class FeedsView(Face):
    """Every market of this installation, with what is followed there."""

    @extend_schema(responses=FeedOut(many=True))
    def get(self, request: Request) -> Response:
        query(Filters, request)
        return Response(FeedOut(feeds_seen(), many=True).data)
