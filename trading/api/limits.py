"""What an account may risk."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Any, ClassVar

from django.db import models
from django.http import Http404
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.views import Face
from accounts.domain.limit_clashes import cautions
from accounts.domain.limits import Limits
from accounts.models import RiskLimits
from accounts.services import limits_set
from trading.selectors.equity import equity_of
from vibex.lib.api import given
from vibex.lib.api.inputs import Exact

if TYPE_CHECKING:
    ModelForm = serializers.ModelSerializer[RiskLimits]
    Out = serializers.Serializer[Any]
else:
    ModelForm, Out = serializers.ModelSerializer, serializers.Serializer

NAMES = tuple(each.name for each in fields(Limits))


class LimitsIn(ModelForm):
    """All limits. Shares are fractions of equity: 0.01 is one per cent; sizes are multiples of equity."""

    serializer_field_mapping = serializers.ModelSerializer.serializer_field_mapping | {models.DecimalField: Exact}

    class Meta:
        model = RiskLimits
        fields: tuple[str, ...] = NAMES
        extra_kwargs: ClassVar = {name: {"required": True} for name in NAMES}


class CautionOut(Out):
    """What is allowed and rarely meant, and the limits that it is about."""

    limits = serializers.ListField(child=serializers.CharField())
    text = serializers.CharField()


class LimitsOut(LimitsIn):
    """All limits of an account, and what is to be thought of them."""

    cautions = serializers.SerializerMethodField()

    class Meta(LimitsIn.Meta):
        fields = ("account", *NAMES, "cautions")
        read_only_fields = fields

    @extend_schema_field(CautionOut(many=True))
    def get_cautions(self, limits: RiskLimits) -> list[dict[str, Any]]:
        stated = limits.stated()
        return [{"limits": list(each.fields), "text": each.text} for each in cautions(stated)] if stated else []


class LimitsView(Face):
    """The limits of an account. They hold from the next entry on; nothing that is open is touched."""

    acts: ClassVar = {"put": Act.MANAGE, "patch": Act.MANAGE}
    slow = True

    @extend_schema(responses=LimitsOut)
    def get(self, request: Request, account_id: int) -> Response:
        """All limits as they are."""
        account = self.account(account_id, for_change=False)
        limits = RiskLimits.objects.filter(account=account).first()
        if limits is None:
            raise Http404
        return Response(LimitsOut(limits).data)

    @extend_schema(request=LimitsIn, responses=LimitsOut)
    def put(self, request: Request, account_id: int) -> Response:
        """Set all limits. Refused where they contradict themselves, or a new equity floor lies above the equity of now."""
        return self._set(request, account_id, partial=False)

    @extend_schema(request=LimitsIn, responses=LimitsOut)
    def patch(self, request: Request, account_id: int) -> Response:
        """Set the limits that are named and leave the others."""
        return self._set(request, account_id, partial=True)

    def _set(self, request: Request, account_id: int, *, partial: bool) -> Response:
        account, values = self.account(account_id), given(LimitsIn, request, partial=partial)
        limits = limits_set(account=account, actor=self.person, equity=equity_of(account.pk), **values)
        return Response(LimitsOut(limits).data)
