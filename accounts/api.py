"""Accounts and bots of the signed-in person, to read."""

from typing import Any

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.viewsets import ReadOnlyModelViewSet

from accounts.models import Account, Bot
from accounts.selectors import accounts_of, bots_of
from vibex.lib.api import Amount, Filters, filtered


class AccountOut(serializers.ModelSerializer[Account]):
    badge = serializers.CharField(read_only=True)
    starting_balance = Amount()

    class Meta:
        model = Account
        fields = (
            "id",
            "name",
            "venue",
            "mode",
            "network",
            "badge",
            "starting_balance",
            "time_zone",
            "state",
            "state_reason",
            "state_since",
            "created",
        )


class BotOut(serializers.ModelSerializer[Bot]):
    badge = serializers.CharField(source="account.badge", read_only=True)
    capital = Amount()
    cost_per_day = Amount()

    class Meta:
        model = Bot
        fields = (
            "id",
            "account",
            "badge",
            "name",
            "model",
            "fallback_models",
            "symbols",
            "interval",
            "timeframes",
            "capital",
            "prompt_template",
            "approval",
            "cost_per_day",
            "status",
            "status_reason",
            "created",
        )


class AccountFilters(Filters):
    venue = serializers.CharField(required=False)
    mode = serializers.ChoiceField(Account.Mode.choices, required=False)


class BotFilters(Filters):
    account = serializers.IntegerField(required=False, source="account_id")
    status = serializers.ChoiceField(Bot.Status.choices, required=False)


class AccountViewSet(ReadOnlyModelViewSet[Account]):
    serializer_class = AccountOut

    def get_queryset(self) -> QuerySet[Any]:
        return filtered(accounts_of(self.request.user).order_by("id"), AccountFilters, self.request)


class BotViewSet(ReadOnlyModelViewSet[Bot]):
    serializer_class = BotOut

    def get_queryset(self) -> QuerySet[Any]:
        return filtered(bots_of(self.request.user).order_by("id"), BotFilters, self.request)
