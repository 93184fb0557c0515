"""Addresses of bots, of the limits of accounts, and of who changed what."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from trading.api.audit import AuditViewSet
from trading.api.bots import BotViewSet
from trading.api.limits import LimitsView

router = SimpleRouter()
router.register("bots", BotViewSet, basename="bot")
router.register("audit", AuditViewSet, basename="audit")

urlpatterns = [
    path("accounts/<int:account_id>/limits/", LimitsView.as_view(), name="account-limits"),
    path("accounts/<int:account_id>/bots/", BotViewSet.as_view({"get": "list"}), name="account-bot-list"),
    path("accounts/<int:account_id>/audit/", AuditViewSet.as_view({"get": "list"}), name="account-audit-list"),
    path("bots/<int:bot_id>/audit/", AuditViewSet.as_view({"get": "list"}), name="bot-audit-list"),
    path("", include(router.urls)),
]
