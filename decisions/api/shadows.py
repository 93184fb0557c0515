"""How far the shadows of a bot agree with it."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from decisions.api.said import Said
from decisions.selectors.agreement import PERIOD, agreement
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class Rounded(serializers.FloatField):
    """A ratio with four decimals."""

    def to_representation(self, value: Any) -> float:  # type: ignore[override]
        return round(float(value), 4)


class ShareOut(Out):
    """A part of a whole, with the interval in which the true share lies (95 %)."""

    part = serializers.IntegerField()
    whole = serializers.IntegerField()
    low = Rounded()
    high = Rounded()


class FaredOut(Out):
    """What became of entries, each as if it had been opened alone. `multiple` is the mean result ÷ the risk."""

    count = serializers.IntegerField()
    ended = serializers.IntegerField()
    net = Amount()
    multiple = Rounded(allow_null=True)


class ShadowOut(Out):
    """One model that is only compared. `cost` in US dollars, `skipped` for lack of money."""

    model = Said()
    answered = ShareOut()
    skipped = serializers.IntegerField()
    same_action = ShareOut(source="actions")
    same_entry = ShareOut(source="entries")
    entries = FaredOut(source="fared")
    cost = Amount()


class AgreementOut(Out):
    """What was compared in a period of wall time; `live` is the model that decides."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    live = FaredOut()
    shadows = ShadowOut(many=True)


class ShadowsQuery(Filters):
    days = serializers.IntegerField(
        min_value=1, max_value=31, default=PERIOD.days, help_text="How many of the last days are compared."
    )


class ShadowsView(Face):
    """How the models that a bot only compares with did against the one that decides."""

    @extend_schema(parameters=[ShadowsQuery], responses=AgreementOut)
    def get(self, request: Request, bot_id: int) -> Response:
        bot, asked = self.bot(bot_id, for_change=False), query(ShadowsQuery, request)
        told = agreement(bot, now=timezone.now(), period=timedelta(days=asked["days"]))
        return Response(AgreementOut(told).data)
