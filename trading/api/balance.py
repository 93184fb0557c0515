"""What accounts are worth and what is at stake, as stated last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face, Rows
from accounts.models import Account
from accounts.selectors import accounts_seen_by
from trading.selectors.balance import balances_of, with_newest
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import RowId, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class BalanceOut(Out):
    """Money of an account, in its quote asset. Null before the exchange has stated anything."""

    account = serializers.IntegerField(read_only=True)
    badge = serializers.CharField(read_only=True)
    as_of = serializers.DateTimeField(allow_null=True, read_only=True, help_text="Market time of the statement.")
    wallet = Amount(allow_null=True)
    unrealised = Amount(allow_null=True)
    equity = Amount(allow_null=True)
    margin = Amount(help_text="That opened what is open: cost ÷ leverage.")
    free = Amount(allow_null=True, help_text="Equity less margin, at least 0.")
    exposure = Amount(help_text="Sum of quantity × mark price of what is open.")
    day_result = Amount(allow_null=True, help_text="Since the day of the statement began, net of transfers.")
    day_ends = serializers.DateTimeField(allow_null=True, read_only=True, help_text="When that day ends.")
    drawdown = serializers.FloatField(
        allow_null=True, read_only=True, help_text="Share below the peak, net of transfers."
    )


class BalanceFilters(Filters):
    account = RowId(source="pk")
    mode = serializers.ChoiceField(Account.Mode.choices, required=False)


class BalanceViewSet(Rows[Account]):
    """What accounts are worth, as stated last."""

    serializer_class = BalanceOut
    filters = BalanceFilters
    order = ("id",)
    orders: ClassVar = {"account": ("id",)}
    of_account = "id"

    def rows(self) -> QuerySet[Account]:
        return with_newest(accounts_seen_by(self.person))

    def paginate_queryset(self, queryset: Any) -> Any:
        return balances_of(super().paginate_queryset(queryset) or [])

    def get_object(self) -> Any:
        return balances_of([super().get_object()])[0]


class NoFilters(Filters):
    """An address without parameters."""


class AccountBalanceView(Face):
    """What an account is worth, as stated last."""

    @extend_schema(responses={200: BalanceOut}, operation_id="account_balance")
    def get(self, request: Request, account_id: int) -> Response:
        query(NoFilters, request)
        (found,) = balances_of([get_object_or_404(with_newest(accounts_seen_by(self.person)), pk=account_id)])
        return Response(BalanceOut(found).data)
