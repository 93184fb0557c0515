"""The contracts of every venue of this installation, with their rules."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import QuerySet
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from accounts.access.views import Rows
from marketdata.models import Instrument
from vibex.lib.api import Amount, Filters


class InstrumentLine(serializers.ModelSerializer[Instrument]):
    """A contract. Sizes in the base asset, fees as fractions; `followed`: candles and prices are kept current."""

    tick_size = Amount()
    step_size = Amount()
    min_quantity = Amount()
    max_quantity = Amount()
    min_notional = Amount()
    maker_fee = Amount()
    taker_fee = Amount()

    class Meta:
        model = Instrument
        fields: tuple[str, ...] = (
            *("id", "venue", "symbol", "base", "quote", "status", "followed", "asset_class", "group", "tick_size"),
            *("step_size", "min_quantity", "max_quantity", "min_notional", "max_leverage", "maker_fee", "taker_fee"),
            "funding_interval_hours",
        )
        read_only_fields = fields


class BracketOut(serializers.Serializer):  # type: ignore[type-arg]
    """A step of the leverage that a notional allows."""

    floor = serializers.CharField()
    cap = serializers.CharField()
    max_leverage = serializers.IntegerField()
    maintenance_rate = serializers.CharField()
    cum = serializers.CharField()


class InstrumentOut(InstrumentLine):
    """A contract with every rule that its venue has for it; zero stands for none."""

    liquidation_fee = Amount()
    min_price = Amount()
    max_price = Amount()
    market_step_size = Amount()
    market_min_quantity = Amount()
    market_max_quantity = Amount()
    band_up = Amount()
    band_down = Amount()
    market_take_bound = Amount()
    trigger_protect = Amount()
    order_types = serializers.ListField(child=serializers.CharField(), read_only=True)
    times_in_force = serializers.ListField(child=serializers.CharField(), read_only=True)
    brackets = BracketOut(many=True, read_only=True)

    class Meta(InstrumentLine.Meta):
        fields = (
            *InstrumentLine.Meta.fields,
            *("liquidation_fee", "min_price", "max_price", "market_step_size", "market_min_quantity"),
            *("market_max_quantity", "band_up", "band_down", "market_take_bound", "trigger_protect", "max_orders"),
            *("max_stop_orders", "margin_asset", "contract_type", "order_types", "times_in_force", "brackets"),
            "updated",
        )
        read_only_fields = fields


class InstrumentFilters(Filters):
    venue = serializers.CharField(required=False)
    symbol = serializers.CharField(required=False)
    base = serializers.CharField(required=False)
    status = serializers.CharField(required=False)
    followed = serializers.BooleanField(required=False)


class InstrumentViewSet(Rows[Instrument]):
    """Contracts, by symbol. Everybody who is signed in may read them."""

    filters = InstrumentFilters
    slow = True
    order = ("symbol", "id")
    orders: ClassVar = {"symbol": ("symbol", "id"), "id": ("id",)}

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return InstrumentOut if self.action == "retrieve" else InstrumentLine

    def rows(self) -> QuerySet[Instrument]:
        return Instrument.objects.all()
