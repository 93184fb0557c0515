"""Positions of the signed-in person, to read."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.viewsets import ReadOnlyModelViewSet

from trading.models import Position
from vibex.lib.api import Amount, Filters, filtered


class PositionOut(serializers.ModelSerializer[Position]):
    badge = serializers.CharField(source="account.badge", read_only=True)
    open = serializers.SerializerMethodField()
    quantity = Amount()
    peak_quantity = Amount()
    entry_price = Amount()
    exit_price = Amount()
    stop = Amount()
    target = Amount()
    realised = Amount()
    fees = Amount()
    funding = Amount()

    class Meta:
        model = Position
        fields = (
            "id",
            "account",
            "badge",
            "bot",
            "decision",
            "symbol",
            "side",
            "open",
            "quantity",
            "peak_quantity",
            "entry_price",
            "exit_price",
            "leverage",
            "stop",
            "target",
            "bracket",
            "protected_at",
            "opened",
            "closed",
            "exit_reason",
            "realised",
            "fees",
            "funding",
        )

    def get_open(self, position: Position) -> bool:
        return position.closed is None


class PositionFilters(Filters):
    account = serializers.IntegerField(required=False, source="account_id")
    bot = serializers.IntegerField(required=False, source="bot_id")
    symbol = serializers.CharField(required=False)
    side = serializers.ChoiceField(Position.Side.choices, required=False)
    open = serializers.BooleanField(required=False, source="closed__isnull")


class PositionViewSet(ReadOnlyModelViewSet[Position]):
    serializer_class = PositionOut

    def get_queryset(self) -> QuerySet[Any]:
        mine = Position.objects.filter(account__owner_id=self.request.user.pk).select_related("account")
        return filtered(mine.order_by("-opened", "-id"), PositionFilters, self.request)
