"""The runs of bots: which step each is in or ended in, how long it took, and what went wrong."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from accounts.access.views import Rows
from decisions.api.said import Said, SaidData
from decisions.models import Cycle
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, RowId

HEAVY = ("kept", "seen", "timings", "digest", "error")
"""What a list does without; `kept` is for replays only."""


class CycleLine(serializers.ModelSerializer[Cycle]):
    """A run. `scheduled_for` is the close of the candle it decided on (market time), the others are wall time."""

    class Meta:
        model = Cycle
        fields: tuple[str, ...] = ("id", "account", "bot", "scheduled_for", "status", "stage", "began", "ended")
        read_only_fields = fields


class CycleOut(CycleLine):
    """A run with what it saw and how long each step took."""

    error = Said()
    timings = serializers.SerializerMethodField(help_text="Milliseconds by step.")
    seen = SaidData(help_text="By symbol: price, age of it in seconds and problem.")

    class Meta(CycleLine.Meta):
        fields = (*CycleLine.Meta.fields, "epoch", "lease_until", "error", "timings", "digest", "seen")
        read_only_fields = fields

    @extend_schema_field(serializers.DictField(child=serializers.FloatField()))
    def get_timings(self, cycle: Cycle) -> dict[str, float]:
        return {str(step): float(ms) for step, ms in cycle.timings.items()}


class CycleFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    status = serializers.ChoiceField(Cycle.Status.choices, required=False)
    since = Moment(source="began__gte", help_text="That began at this moment or later, wall time.")
    until = Moment(source="began__lt", help_text="That began before this moment.")


class CycleViewSet(Rows[Cycle]):
    """The runs of bots, newest first."""

    filters = CycleFilters
    order = ("-id",)
    orders: ClassVar = {"id": ("id",), "scheduled_for": ("scheduled_for", "id")}

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return CycleOut if self.action == "retrieve" else CycleLine

    def rows(self) -> QuerySet[Cycle]:
        heavy = ("kept",) if self.action == "retrieve" else HEAVY
        return self.seen(Cycle.objects.defer(*heavy), "account_id")
