"""Entries that wait for the signed-in person, and the answers, over the API."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Access, Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face, Rows
from accounts.models import User
from accounts.services.jobs import JobWork
from decisions.api.said import Said, said
from decisions.approvals import decisions_to_answer
from decisions.models import Approval, Decision
from trading.api.cycles import DeedOut, HitOut
from trading.selectors.approvals import Waiting, awaiting_of, waiting_of
from vibex.lib.api import Amount, Filters, given
from vibex.lib.api.inputs import Form
from vibex.lib.api.query import RowId

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
    from trading.services.approval import Answered
else:
    Out = serializers.Serializer

type Told = dict[str, Any]


class WaitingOut(Out):
    """What waits. `entry`, `risk`, `risk_share` and `reward_to_risk` are as of now, null where there is no price."""

    decision = serializers.IntegerField(source="decision.pk")
    account = serializers.IntegerField(source="account.pk")
    bot = serializers.IntegerField(source="decision.bot_id")
    cycle = serializers.IntegerField(source="decision.cycle_id")
    symbol = serializers.CharField(source="decision.symbol")
    side = serializers.CharField()
    quantity = Amount(source="decision.quantity", allow_null=True)
    leverage = serializers.IntegerField(source="decision.leverage", allow_null=True)
    stop = Amount(source="decision.stop_loss", allow_null=True)
    target = Amount(source="decision.profit_target", allow_null=True)
    entry = Amount(source="prospect.price", default=None, allow_null=True)
    risk = serializers.DecimalField(None, 2, source="prospect.risk", default=None, allow_null=True)
    risk_share = serializers.DecimalField(None, 4, source="prospect.risk_share", default=None, allow_null=True)
    reward_to_risk = serializers.DecimalField(None, 2, source="prospect.reward_to_risk", default=None, allow_null=True)
    justification = Said(source="decision.justification")
    until = serializers.DateTimeField(source="approval.until", help_text="Market time.")
    seconds_left = serializers.SerializerMethodField()

    def get_seconds_left(self, line: Waiting) -> int:
        return int((line.approval.until - line.now).total_seconds())


class WaitingFilters(Filters):
    account = RowId(source="decision__bot__account_id")
    bot = RowId(source="decision__bot_id")
    symbol = serializers.CharField(required=False, source="decision__symbol")


class ApprovalViewSet(Rows[Approval]):
    """What waits for you, what ends first on top; one of it by the id of its decision."""

    serializer_class = WaitingOut
    filters = WaitingFilters
    order = ("until", "pk")
    lookup_field = "decision__id"  # over the row itself: a foreign key does not take ids beyond 64 bits
    lookup_url_kwarg = "decision_id"
    of_account = "decision__bot__account_id"
    of_bot = "decision__bot_id"

    def rows(self) -> QuerySet[Approval]:
        return awaiting_of(self.person)

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response(self.lines(waiting_of(page)))

    def retrieve(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        for line in waiting_of([self.get_object()]):
            return Response(self.get_serializer(line).data)
        raise Http404


class RejectIn(Form):
    reason = serializers.CharField(
        required=False, allow_blank=True, max_length=300, default="", help_text="Is told to the bot."
    )


class ApproveIn(Form):
    """A yes takes nothing."""


class AnswerOut(Out):
    """What was answered."""

    decision = serializers.IntegerField()
    state = serializers.ChoiceField(Approval.State.choices)
    by = serializers.CharField(help_text="Who answered.")
    reason = serializers.CharField(allow_blank=True)


class RuledAgainOut(Out):
    """The ruling at the price of now. A refusal by risk is no fault."""

    decision = serializers.IntegerField()
    verdict = serializers.CharField()
    quantity = serializers.CharField(allow_null=True)
    leverage = serializers.IntegerField(allow_null=True)
    rules = serializers.ListField(child=serializers.CharField())
    hits = HitOut(many=True)


class ApprovedOut(AnswerOut):
    """What an approval came to."""

    text = serializers.CharField()
    ruling = RuledAgainOut(allow_null=True)
    done = DeedOut(many=True)


ApproveJob = job_of(ApprovedOut, "ApproveJob")


class ApproveView(Face):
    """A yes."""

    acts: ClassVar = {"post": Act.TRADE}

    @extend_schema(request=ApproveIn, responses={200: ApproveJob, 202: ApproveJob})
    def post(self, request: Request, pk: int) -> Response:
        """Rule it again and carry it out. 409 with the reason when that cannot be any more; a refusal by risk is no fault."""
        decision = _decision(self, pk)
        given(ApproveIn, request)
        work, asked = partial(_approve, decision=decision, actor=self.person), {"decision": decision.pk}
        bot = decision.bot
        return job_answer(request, kind="approve", account=bot.account, bot=bot, asked=asked, work=work)


class RejectView(Face):
    """A no."""

    acts: ClassVar = {"post": Act.END}

    @extend_schema(request=RejectIn, responses=AnswerOut)
    def post(self, request: Request, pk: int) -> Response:
        """It is not done; `reason` is told to the bot."""
        from trading.services.approval import decision_reject

        decision = _decision(self, pk)
        approval = decision_reject(decision=decision, actor=self.person, **given(RejectIn, request))
        return Response(_approval(approval))


def _decision(view: Face, pk: int) -> Decision:
    """Return a decision that the person may answer; 404 for another. Staff with the permission answer for others too."""
    rows = decisions_to_answer(view.person).select_related("bot__account")
    decision = get_object_or_404(rows, pk=pk)
    if decision.bot.account.owner_id == view.person.pk:
        view.check_object_permissions(view.request, decision)
    elif decision.bot.account.real and view.acts["post"] is Act.TRADE:
        _confirmed_or_raise(view.request)
    return decision


def _confirmed_or_raise(request: Request) -> None:
    from accounts.access.confirm import ConfirmationNeeded, is_confirmed

    if not (isinstance(request.auth, Access) and is_confirmed(request.auth, timezone.now())):
        raise ConfirmationNeeded


def _approve(job: JobWork, *, decision: Decision, actor: User) -> Told:
    from trading.services.approval import decision_approve

    job.tell("ruled again at the price of now")
    return _answered(decision_approve(decision=decision, actor=actor))


def _answered(answered: Answered) -> Told:
    done = [{"symbol": deed.symbol, "action": deed.action.value, "text": deed.text} for deed in answered.done]
    ruling = _ruling(answered.decision) if answered.decision else None
    return _approval(answered.approval) | {"text": said(answered.text), "ruling": ruling, "done": done}


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
