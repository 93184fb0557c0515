"""The diary of the signed-in person's bots, to read."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.viewsets import ReadOnlyModelViewSet

from decisions.models import DiaryEntry
from vibex.lib.api import Filters, filtered


class DiaryOut(serializers.ModelSerializer[DiaryEntry]):
    account = serializers.IntegerField(source="bot.account_id", read_only=True)

    class Meta:
        model = DiaryEntry
        fields = ("id", "account", "bot", "cycle", "at", "kind", "symbol", "text", "data")


class DiaryFilters(Filters):
    account = serializers.IntegerField(required=False, source="bot__account_id")
    bot = serializers.IntegerField(required=False, source="bot_id")
    symbol = serializers.CharField(required=False)
    kind = serializers.ChoiceField(DiaryEntry.Kind.choices, required=False)


class DiaryViewSet(ReadOnlyModelViewSet[DiaryEntry]):
    serializer_class = DiaryOut

    def get_queryset(self) -> QuerySet[Any]:
        mine = DiaryEntry.objects.filter(bot__account__owner_id=self.request.user.pk)
        return filtered(mine.select_related("bot").order_by("-at", "-id"), DiaryFilters, self.request)
