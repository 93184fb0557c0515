"""What the signed-in person was told: to read, and to acknowledge."""

from __future__ import annotations

from typing import Any, cast

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.viewsets import ReadOnlyModelViewSet

from accounts.domain.alerts import EventType, Severity
from accounts.models import Alert, User
from accounts.selectors import alerts_of
from accounts.services.alerts import alert_acknowledge
from vibex.lib.api import Filters, filtered


class AlertOut(serializers.ModelSerializer[Alert]):
    acknowledged_by = serializers.SlugRelatedField[User](slug_field="email", read_only=True)

    class Meta:
        model = Alert
        fields = (
            "id",
            "account",
            "bot",
            "incident",
            "type",
            "severity",
            "subject",
            "message",
            "count",
            "created",
            "last",
            "acknowledged",
            "acknowledged_by",
        )


class AlertFilters(Filters):
    account = serializers.IntegerField(required=False, source="account_id")
    bot = serializers.IntegerField(required=False, source="bot_id")
    type = serializers.ChoiceField([each.value for each in EventType], required=False)
    severity = serializers.ChoiceField([each.value for each in Severity], required=False)
    open = serializers.BooleanField(required=False, source="acknowledged__isnull")


class AlertViewSet(ReadOnlyModelViewSet[Alert]):
    serializer_class = AlertOut

    def get_queryset(self) -> QuerySet[Any]:
        mine = alerts_of(self.request.user)
        return filtered(mine, AlertFilters, self.request) if self.action == "list" else mine

    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str | None = None) -> Response:
        """Note that the person has seen it. Asking twice is harmless."""
        alert_acknowledge(alert=self.get_object(), actor=cast("User", request.user))
        return Response(self.get_serializer(self.get_object()).data)
