"""The diary of bots: what they saw, thought and did, in sentences."""

from __future__ import annotations

from typing import ClassVar

from django.db.models import F, QuerySet
from rest_framework import serializers

from accounts.access.views import Rows
from decisions.api.said import Said, SaidData
from decisions.models import DiaryEntry
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, RowId


class DiaryOut(serializers.ModelSerializer[DiaryEntry]):
    """A line of a diary. `at` is market time."""

    account = serializers.IntegerField(source="account_id", read_only=True)
    text = Said()
    data = SaidData()  # type: ignore[assignment]

    class Meta:
        model = DiaryEntry
        fields = ("id", "account", "bot", "cycle", "at", "kind", "symbol", "text", "data")
        read_only_fields = fields


class DiaryFilters(Filters):
    account = RowId(source="bot__account_id")
    bot = RowId(source="bot_id")
    cycle = RowId(source="cycle_id")
    symbol = serializers.CharField(required=False)
    kind = serializers.ChoiceField(DiaryEntry.Kind.choices, required=False)
    since = Moment(source="at__gte", help_text="From this moment on, market time.")
    until = Moment(source="at__lt", help_text="Before this moment, market time.")


class DiaryViewSet(Rows[DiaryEntry]):
    """The diary, newest first."""

    serializer_class = DiaryOut
    filters = DiaryFilters
    order = ("-at", "-id")
    orders: ClassVar = {"at": ("at", "id")}
    of_account = "bot__account_id"
    csv_columns = ("id", "at", "account", "bot", "cycle", "kind", "symbol", "text")

    def rows(self) -> QuerySet[DiaryEntry]:
        return self.seen(DiaryEntry.objects.all(), "bot__account_id").annotate(account_id=F("bot__account_id"))
