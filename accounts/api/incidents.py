"""What should not have happened on an account."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.decorators import action
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Rows
from accounts.models import Incident
from accounts.services import incident_resolve
from vibex.lib.api import Filters, given
from vibex.lib.api.inputs import Form
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Incident]
else:
    ModelOut = serializers.ModelSerializer


class IncidentRowOut(ModelOut):
    """An incident: open until a person or proof resolves it. `subject` is a symbol or another name, where it is about one."""

    kind = serializers.CharField(read_only=True)
    subject = serializers.SerializerMethodField()

    class Meta:
        model = Incident
        fields: tuple[str, ...] = ("id", "account", "kind", "severity", "subject", "text", "opened", "resolved")
        read_only_fields: tuple[str, ...] = fields

    def get_subject(self, incident: Incident) -> str:
        return str(incident.data.get("subject", "")) if isinstance(incident.data, dict) else ""


class IncidentOut(IncidentRowOut):
    """An incident with its figures (`data`)."""

    class Meta(IncidentRowOut.Meta):
        fields = (*IncidentRowOut.Meta.fields, "data")
        read_only_fields = fields


class ResolveIn(Form):
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=300, help_text="Stays on record with your name."
    )


class IncidentFilters(Filters):
    account = RowId(source="account_id")
    kind = serializers.CharField(required=False)
    severity = serializers.ChoiceField(Incident.Severity.choices, required=False)
    symbol = serializers.CharField(required=False, source="data__subject", help_text="What it is about.")
    open = serializers.BooleanField(required=False, source="resolved__isnull")
    since = Moment(source="opened__gte")
    until = Moment(source="opened__lt")


class IncidentViewSet(Rows[Incident]):
    """What is or was wrong with your accounts, newest first. Staff who may see any see those of the installation too."""

    acts: ClassVar = {"resolve": Act.TRADE}
    filters = IncidentFilters
    order = ("-opened", "-id")
    orders: ClassVar = {"opened": ("opened", "id"), "resolved": ("resolved", "id")}

    def rows(self) -> QuerySet[Incident]:
        rows = self.seen(Incident.objects.all())
        return rows if self.action == "list" else rows.select_related("account")

    def get_serializer_class(self) -> type[IncidentRowOut]:
        return IncidentRowOut if self.action == "list" else IncidentOut

    @extend_schema(request=ResolveIn, responses=IncidentOut)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, pk: str | None = None) -> Response:
        """Say that it is over. Entries that it barred are possible again; what is still wrong is opened anew by the next look.

        Doing it twice is harmless: the first one stays on record.
        """
        incident = self.get_object()
        if incident.account_id is None and not self.person.has_perm("accounts.change_incident"):
            raise PermissionDenied("An incident of the installation is resolved by those who run it.")
        incident_resolve(incident=incident, actor=self.person, **given(ResolveIn, request))
        incident.refresh_from_db()
        return Response(IncidentOut(incident).data)
