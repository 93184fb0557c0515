"""Addresses of positions, orders, trades, approvals, the diary, backtests, and of what acts on an account."""

from django.urls import include, path
from rest_framework.routers import SimpleRouter

from trading.api.approvals import ApprovalViewSet, ApproveView, RejectView
from trading.api.backtests import BacktestView
from trading.api.checks import CheckView, ReconcileView
from trading.api.close_all import CloseAllView
from trading.api.cycles import CycleNowView
from trading.api.diary import BotDiaryViewSet, DiaryViewSet
from trading.api.halt import HaltView, ResumeView
from trading.api.orders import OrderViewSet
from trading.api.positions import PositionViewSet
from trading.api.trades import TradeViewSet

router = SimpleRouter()
router.register("positions", PositionViewSet, basename="position")
router.register("orders", OrderViewSet, basename="order")
router.register("trades", TradeViewSet, basename="trade")
router.register("diary", DiaryViewSet, basename="diary")
router.register("approvals", ApprovalViewSet, basename="approval")

of_one = [
    path("positions/", PositionViewSet.as_view({"get": "list"}), name="positions"),
    path("orders/", OrderViewSet.as_view({"get": "list"}), name="orders"),
    path("trades/", TradeViewSet.as_view({"get": "list"}), name="trades"),
    path("approvals/", ApprovalViewSet.as_view({"get": "list"}), name="approvals"),
]

urlpatterns = [
    path("accounts/<int:account_id>/", include((of_one, "account-books"))),
    path("accounts/<int:account_id>/diary/", DiaryViewSet.as_view({"get": "list"}), name="account-diary"),
    path("bots/<int:bot_id>/diary/", BotDiaryViewSet.as_view({"get": "list", "post": "create"}), name="bot-diary"),
    path("bots/<int:bot_id>/", include((of_one, "bot-books"))),
    path("accounts/<int:pk>/check/", CheckView.as_view(), name="account-check"),
    path("accounts/<int:pk>/close-all/", CloseAllView.as_view(), name="account-close-all"),
    path("accounts/<int:pk>/halt/", HaltView.as_view(), name="account-halt"),
    path("accounts/<int:pk>/reconcile/", ReconcileView.as_view(), name="account-reconcile"),
    path("accounts/<int:pk>/resume/", ResumeView.as_view(), name="account-resume"),
    path("backtests/", BacktestView.as_view(), name="backtests"),
    path("bots/<int:pk>/cycle/", CycleNowView.as_view(), name="bot-cycle"),
    path("decisions/<int:pk>/approve/", ApproveView.as_view(), name="decision-approve"),
    path("decisions/<int:pk>/reject/", RejectView.as_view(), name="decision-reject"),
    path("", include("trading.api.managed_urls")),
    path("", include(router.urls)),
]
