"""Routes below `/api/v1/`, assembled from the apps."""

from typing import cast

from django.urls import include, path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.routers import SimpleRouter
from rest_framework.views import APIView

from accounts.api import AccountViewSet, BotViewSet
from accounts.api_alerts import AlertViewSet
from accounts.models import User
from decisions.api import DiaryViewSet
from decisions.api_shadows import ShadowsView
from trading.api import PositionViewSet
from trading.api_approval import ApprovalsView, ApproveView, RejectView
from trading.api_halt import HaltView, ResumeView


class StatusView(APIView):
    """How the installation is doing, with details: for signed-in people only."""

    def get(self, request: Request) -> Response:
        from vibex.health import health_report

        return Response(health_report(cast("User", request.user)))


router = SimpleRouter()
router.register("accounts", AccountViewSet, basename="account")
router.register("bots", BotViewSet, basename="bot")
router.register("alerts", AlertViewSet, basename="alert")
router.register("positions", PositionViewSet, basename="position")
router.register("diary", DiaryViewSet, basename="diary")

urlpatterns = [
    path("status/", StatusView.as_view(), name="status"),
    path("accounts/<int:pk>/halt/", HaltView.as_view(), name="account-halt"),
    path("accounts/<int:pk>/resume/", ResumeView.as_view(), name="account-resume"),
    path("bots/<int:pk>/shadows/", ShadowsView.as_view(), name="bot-shadows"),
    path("approvals/", ApprovalsView.as_view(), name="approval-list"),
    path("decisions/<int:pk>/approve/", ApproveView.as_view(), name="decision-approve"),
    path("decisions/<int:pk>/reject/", RejectView.as_view(), name="decision-reject"),
    path("", include(router.urls)),
]
