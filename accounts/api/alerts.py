"""What the signed-in person was told: to read, and to acknowledge."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Rows
from accounts.domain.alerts import EventType, Severity
from accounts.models import Alert, User
from accounts.selectors import open_alerts
from accounts.services.alerts import alert_acknowledge, alerts_acknowledge
from vibex.lib.api import Filters, given
from vibex.lib.api.inputs import Form
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Alert]
    Out = serializers.Serializer[Any]
else:
    ModelOut, Out = serializers.ModelSerializer, serializers.Serializer


class AlertOut(ModelOut):
    """An alert. What repeats while it is not acknowledged is counted: `count`, `last`."""

    acknowledged_by = serializers.SlugRelatedField[User](slug_field="email", read_only=True, allow_null=True)

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
        read_only_fields = fields


class AcknowledgeAllIn(Form):
    """Which of them; nothing: all that are open."""

    account = RowId(source="account_id", help_text="Only those of this account.")
    until = Moment(source="last__lte", help_text="Only what was told by then: what came after you looked stays open.")


class AcknowledgedOut(Out):
    acknowledged = serializers.IntegerField(help_text="How many nobody had acknowledged before.")


class AlertFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="bot_id")
    type = serializers.ChoiceField([each.value for each in EventType], required=False)
    severity = serializers.ChoiceField([each.value for each in Severity], required=False)
    symbol = serializers.CharField(required=False, source="subject", help_text="What it is about.")
    open = serializers.BooleanField(required=False, source="acknowledged__isnull")
    since = Moment(source="last__gte")
    until = Moment(source="last__lt")


class AlertViewSet(Rows[Alert]):
    """What you were told, the newest first."""

    acts: ClassVar = {"acknowledge": Act.OWN, "acknowledge_all": Act.OWN}
    serializer_class = AlertOut
    filters = AlertFilters
    order = ("-last", "-id")
    orders: ClassVar = {"last": ("last", "id"), "created": ("created", "id")}

    def rows(self) -> QuerySet[Alert]:
        return Alert.objects.filter(user_id=self.person.pk).select_related("acknowledged_by")

    @extend_schema(request=None, responses=AlertOut)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, pk: str | None = None) -> Response:
        """Note that you have seen it. Asking twice is harmless."""
        alert_acknowledge(alert=self.get_object(), actor=self.person)
        return Response(AlertOut(self.get_object()).data)

    @extend_schema(request=AcknowledgeAllIn, responses=AcknowledgedOut)
    @action(detail=False, methods=["post"], url_path="acknowledge-all")
    def acknowledge_all(self, request: Request) -> Response:
        """Note that you have seen all that is open, or what you name of it."""
        wanted = open_alerts(self.person).filter(**given(AcknowledgeAllIn, request))
        return Response({"acknowledged": alerts_acknowledge(alerts=wanted, actor=self.person)})
