"""Addresses below `/api/v1/`, assembled from the apps."""

from typing import TYPE_CHECKING, Any, cast

from django.urls import include, path
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from accounts.models import User

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class HealthOut(Out):
    """One thing that has to be right."""

    name = serializers.CharField()
    ok = serializers.BooleanField()
    detail = serializers.CharField(help_text="What is, for a person.")


class StatusOut(Out):
    """How the installation is doing."""

    status = serializers.ChoiceField(["ready", "not ready"])
    checks = HealthOut(many=True)
    environment = serializers.CharField()
    database = serializers.CharField()
    processes = serializers.ChoiceField(["one", "several"])
    features = serializers.DictField(child=serializers.BooleanField())
    decider_host = serializers.CharField(help_text="Host of the model server; empty: rules decide.")
    versions = serializers.DictField(child=serializers.CharField())
    peak_memory_mb = serializers.IntegerField()
    at = serializers.DateTimeField()


class StatusView(Face):
    """How the installation is doing, with details: for signed-in people only."""

    @extend_schema(operation_id="status_retrieve", responses=StatusOut)
    def get(self, request: Request) -> Response:
        from vibex.health import health_report

        return Response(health_report(cast("User", request.user)))


urlpatterns = [
    path("status/", StatusView.as_view(), name="status"),
    # What stands in a list and below an account or bot is looked for in this order.
    path("auth/", include("accounts.api.auth_urls")),
    path("", include("trading.api.figure_urls")),
    path("", include("trading.api.urls")),
    path("", include("decisions.api.urls")),
    path("market/", include("marketdata.api.urls")),
    path("", include("accounts.api.urls")),
]
