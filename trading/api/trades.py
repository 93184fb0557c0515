"""Trades: every execution on the exchange, booked once."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from django.db.models import QuerySet, Subquery
from rest_framework import serializers

from accounts.access.views import Rows
from accounts.models import Bot
from trading.models import Fill, Order
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    ModelOut = serializers.ModelSerializer[Fill]
else:
    ModelOut = serializers.ModelSerializer

SHOWN = ("id", "account_id", "order_id", "position_id", "symbol", "exchange_trade_id", "side", "quantity", "price")
SHOWN_TOO = ("fee", "fee_asset", "realised", "maker", "at", "order__bot_id", "order__decision_id", "order__role")
"""What is read of a row and its order: nothing else is fetched."""


class TradeOut(ModelOut):
    """An execution. `fee` is paid in `fee_asset`; `realised` is what it brought in quote units, before the fee."""

    bot = serializers.IntegerField(source="order.bot_id", allow_null=True, read_only=True)
    decision = serializers.IntegerField(source="order.decision_id", allow_null=True, read_only=True)
    role = serializers.ChoiceField(Order.Role.choices, source="order.role", read_only=True)
    trade_id = serializers.CharField(source="exchange_trade_id", read_only=True, help_text="The exchange's own.")
    quantity = Amount()
    price = Amount()
    fee = Amount()
    realised = Amount()

    class Meta:
        model = Fill
        fields = (
            "id",
            "at",
            "account",
            "bot",
            "decision",
            "position",
            "order",
            "role",
            "symbol",
            "side",
            "quantity",
            "price",
            "fee",
            "fee_asset",
            "realised",
            "maker",
            "trade_id",
        )
        read_only_fields = fields


class TradeFilters(Filters):
    account = RowId(source="account_id")
    bot = RowId(source="order__bot_id")
    position = RowId(source="position_id")
    order = RowId(source="order_id")
    decision = RowId(source="order__decision_id")
    symbol = serializers.CharField(required=False)
    side = serializers.ChoiceField(["BUY", "SELL"], required=False)
    role = serializers.ChoiceField(Order.Role.choices, required=False, source="order__role")
    maker = serializers.BooleanField(required=False)
    since = Moment(source="at__gte")
    until = Moment(source="at__lt")


class TradeViewSet(Rows[Fill]):
    """Trades, newest first."""

    serializer_class = TradeOut
    filters = TradeFilters
    order = ("-at", "-id")
    orders: ClassVar = {"at": ("at", "id")}
    of_bot = "order__bot_id"
    csv_columns = TradeOut.Meta.fields

    def rows(self) -> QuerySet[Fill]:
        return self.seen(Fill.objects.select_related("order").only(*SHOWN, *SHOWN_TOO))

    def get_queryset(self) -> QuerySet[Fill]:
        """Those of a bot are looked for on its account only, where an index has them by time."""
        rows = super().get_queryset()
        if "bot_id" in self.kwargs:
            return rows.filter(account_id=self.account_of_bot())
        if bot := self.request.query_params.get("bot"):
            return rows.filter(account_id=Subquery(Bot.objects.filter(pk=bot).values("account_id")[:1]))
        return rows
