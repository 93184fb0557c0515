"""Looking at an account and its exchange: whether it can trade there, and whether books and exchange agree."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face
from accounts.models import Account
from accounts.services.jobs import JobWork
from trading.api.orders import NothingIn
from vibex.lib.api import given
from vibex.lib.api.inputs import Form

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

ON_PAPER = "It trades on paper: its orders never leave this machine, and there is no venue to be asked."


class FindingOut(Out):
    name = serializers.CharField()
    mark = serializers.ChoiceField(["ok", "warn", "fail"])
    text = serializers.CharField()
    remedy = serializers.CharField(help_text="What to do where it is not as it should be; else empty.")


class CheckOut(Out):
    """Whether an account can trade at its venue as it is set now."""

    ok = serializers.BooleanField(help_text="Whether nothing failed.")
    findings = FindingOut(many=True)


class ReconcileIn(Form):
    dry_run = serializers.BooleanField(
        required=False, default=False, help_text="Only compare: touch neither exchange nor books."
    )


class DifferenceOut(Out):
    kind = serializers.CharField()
    subject = serializers.CharField()
    ours = serializers.CharField()
    theirs = serializers.CharField()
    remedy = serializers.CharField()


class ReconciledOut(Out):
    """What a comparison of books and exchange found."""

    agreed = serializers.BooleanField(help_text="Whether nothing is left for a person.")
    dry_run = serializers.BooleanField()
    differences = DifferenceOut(many=True)
    mended = serializers.ListField(child=serializers.CharField())
    left = serializers.ListField(child=serializers.CharField(), help_text="What needs a person.")
    seconds = serializers.FloatField()


CheckJob = job_of(CheckOut, "CheckJob")
ReconcileJob = job_of(ReconciledOut, "ReconcileJob")


class CheckView(Face):
    """Whether an account can trade."""

    acts: ClassVar = {"post": Act.OWN}

    @extend_schema(request=NothingIn, responses={200: CheckJob, 202: CheckJob})
    def post(self, request: Request, pk: int) -> Response:
        """Ask the venue for everything that bears on trading: clock, money, permissions, modes, symbols. Changes nothing."""
        account = self.account(pk)
        given(NothingIn, request)
        return job_answer(request, kind="check", account=account, work=partial(_check, account=account))


class ReconcileView(Face):
    """Whether books and exchange agree."""

    acts: ClassVar = {"post": Act.END}

    @extend_schema(request=ReconcileIn, responses={200: ReconcileJob, 202: ReconcileJob})
    def post(self, request: Request, pk: int) -> Response:
        """Compare the books of an account with its exchange, mend what evidence allows, say what needs a person."""
        account, told = self.account(pk), given(ReconcileIn, request)
        work = partial(_reconcile, account=account, dry=told["dry_run"])
        return job_answer(request, kind="reconcile", account=account, asked=told, work=work, vital=False)


def _check(job: JobWork, *, account: Account) -> dict[str, Any]:
    from trading.services.connection import Finding, connection_check, findings_of, symbols_of

    if account.live:
        job.tell(f"asking {account.venue}")
        found = findings_of(connection_check(account=account), symbols_of(account))
    else:
        found = (Finding("Venue", "ok", ON_PAPER),)
    return {"ok": all(one.mark != "fail" for one in found), "findings": [asdict(one) for one in found]}


def _reconcile(job: JobWork, *, account: Account, dry: bool) -> dict[str, Any]:
    from trading.services.reconcile import reconcile, reconcile_dry

    job.tell("comparing books and exchange")
    done = reconcile_dry(account) if dry else reconcile(account, trigger="person")
    return {
        "agreed": done.agreed,
        "dry_run": dry,
        "differences": [
            {
                "kind": one.kind.value,
                "subject": one.subject,
                "ours": str(one.ours),
                "theirs": str(one.theirs),
                "remedy": one.remedy,
            }
            for one in done.differences
        ],
        "mended": list(done.mended),
        "left": list(done.left),
        "seconds": round(done.seconds, 3),
    }
