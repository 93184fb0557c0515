"""Addresses of performance, what it is worth, equity and balance."""

from django.urls import path

from trading.api.balance import AccountBalanceView, BalanceViewSet
from trading.api.equity import AccountEquityView, EquityView
from trading.api.judged import AccountJudgedView, BotJudgedView, JudgedView
from trading.api.performance import AccountPerformanceView, BotPerformanceView, PerformanceView

urlpatterns = [
    path("performance/", PerformanceView.as_view(), name="performance"),
    path("performance/judged/", JudgedView.as_view(), name="performance-judged"),
    path("accounts/<int:account_id>/performance/judged/", AccountJudgedView.as_view(), name="account-judged"),
    path("bots/<int:bot_id>/performance/judged/", BotJudgedView.as_view(), name="bot-judged"),
    path("accounts/<int:account_id>/performance/", AccountPerformanceView.as_view(), name="account-performance"),
    path("bots/<int:bot_id>/performance/", BotPerformanceView.as_view(), name="bot-performance"),
    path("equity/", EquityView.as_view(), name="equity"),
    path("accounts/<int:account_id>/equity/", AccountEquityView.as_view(), name="account-equity"),
    path("balance/", BalanceViewSet.as_view({"get": "list"}), name="balance-list"),
    path("balance/<int:pk>/", BalanceViewSet.as_view({"get": "retrieve"}), name="balance-detail"),
    path("accounts/<int:account_id>/balance/", AccountBalanceView.as_view(), name="account-balance"),
]
