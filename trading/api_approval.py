"""Entries that wait for the signed-in person, and the answers, over the API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from django.shortcuts import get_object_or_404
from rest_framework import serializers, status
from rest_framework.pagination import PageNumberPagination
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import User
from decisions.approvals import decisions_to_answer
from decisions.models import Approval, Decision
from trading.selectors.approvals import Waiting, waiting_for
from vibex.lib.api import Amount
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
    Form = serializers.Serializer[Any]
    from trading.services.approval import Answered
else:
    Out = Form = serializers.Serializer

type Told = dict[str, Any]


class WaitingOut(Out):
    """What waits. `entry`, `risk`, `risk_share` and `reward_to_risk` are as of now, null where there is no price."""

    decision = serializers.IntegerField(source="decision.pk")
    account = serializers.IntegerField(source="account.pk")
    bot = serializers.IntegerField(source="decision.bot_id")
    cycle = serializers.IntegerField(source="decision.cycle_id")
    symbol = serializers.CharField(source="decision.symbol")
    side = serializers.CharField()
    quantity = Amount(source="decision.quantity")
    leverage = serializers.IntegerField(source="decision.leverage")
    stop = Amount(source="decision.stop_loss")
    target = Amount(source="decision.profit_target")
    entry = Amount(source="prospect.price", default=None)
    risk = serializers.DecimalField(None, 2, source="prospect.risk", default=None)
    risk_share = serializers.DecimalField(None, 4, source="prospect.risk_share", default=None)
    reward_to_risk = serializers.DecimalField(None, 2, source="prospect.reward_to_risk", default=None)
    justification = serializers.CharField(source="decision.justification")
    until = serializers.DateTimeField(source="approval.until")
    seconds_left = serializers.SerializerMethodField()

    def get_seconds_left(self, line: Waiting) -> int:
        return int((line.approval.until - line.now).total_seconds())


class RejectIn(Form):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")


class ApprovalsView(APIView):
    """`GET`: what waits for you, what ends first on top."""

    def get(self, request: Request) -> Response:
        pages = PageNumberPagination()
        page = pages.paginate_queryset(waiting_for(request.user), request, view=self)
        return pages.get_paginated_response(WaitingOut(page or [], many=True).data)


class ApproveView(APIView):
    """`POST`: rule it again and carry it out. 409 with the reason when that cannot be any more; a refusal by risk is no fault."""

    def post(self, request: Request, pk: int) -> Response:
        from trading.services.approval import decision_approve

        decision = _decision(request, pk)
        try:
            answered = decision_approve(decision=decision, actor=cast("User", request.user))
        except Rejected as refusal:
            return _conflict(refusal)
        return Response(_answered(answered))


class RejectView(APIView):
    """`POST`: it is not done; `reason` is told to the bot."""

    def post(self, request: Request, pk: int) -> Response:
        from trading.services.approval import decision_reject

        decision, given = _decision(request, pk), RejectIn(data=request.data)
        given.is_valid(raise_exception=True)
        try:
            approval = decision_reject(decision=decision, actor=cast("User", request.user), **given.validated_data)
        except Rejected as refusal:
            return _conflict(refusal)
        return Response(_approval(approval))


def _decision(request: Request, pk: int) -> Decision:
    return get_object_or_404(decisions_to_answer(request.user).select_related("bot__account"), pk=pk)


def _conflict(refusal: Rejected) -> Response:
    return Response({"detail": str(refusal), "code": refusal.code}, status=status.HTTP_409_CONFLICT)


def _answered(answered: Answered) -> Told:
    done = [{"symbol": deed.symbol, "action": deed.action.value, "text": deed.text} for deed in answered.done]
    ruling = _ruling(answered.decision) if answered.decision else None
    return _approval(answered.approval) | {"text": answered.text, "ruling": ruling, "done": done}


def _approval(approval: Approval) -> Told:
    return {
        "decision": approval.decision_id,
        "state": approval.state,
        "by": str(approval.by),
        "reason": approval.reason,
    }


def _ruling(decision: Decision) -> Told:
    return {
        "decision": decision.pk,
        "verdict": decision.verdict,
        "quantity": None if decision.quantity is None else f"{decision.quantity.normalize():f}",
        "leverage": decision.leverage,
        "rules": decision.rule_ids,
        "hits": decision.hits,
    }
