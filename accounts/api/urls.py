"""Addresses of accounts, keys, alerts, incidents and jobs."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from accounts.api.accounts import AccountViewSet
from accounts.api.alerts import AlertViewSet
from accounts.api.credentials import CredentialsView
from accounts.api.incidents import IncidentViewSet
from accounts.api.jobs import JobViewSet
from accounts.api.logs import LogsView

router = SimpleRouter()
router.register("accounts", AccountViewSet, basename="account")
router.register("alerts", AlertViewSet, basename="alert")
router.register("incidents", IncidentViewSet, basename="incident")
router.register("jobs", JobViewSet, basename="job")

urlpatterns = [
    path("accounts/<int:account_id>/credentials/", CredentialsView.as_view(), name="account-credentials"),
    path("accounts/<int:account_id>/alerts/", AlertViewSet.as_view({"get": "list"}), name="account-alert-list"),
    path(
        "accounts/<int:account_id>/incidents/", IncidentViewSet.as_view({"get": "list"}), name="account-incident-list"
    ),
    path("logs/", LogsView.as_view(), name="logs"),
    path("", include(router.urls)),
]
