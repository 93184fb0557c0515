"""The emergency stop and its lifting over the API, for the accounts of the signed-in person."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face
from accounts.models import Account, User
from accounts.services.jobs import JobWork
from trading.selectors.halts import halt_in_force
from vibex.lib.api import given
from vibex.lib.api.inputs import Form

if TYPE_CHECKING:
    from trading.services.halt import Halted

    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

GOES_ON: Final = "It is latched: nothing is opened. It is not flat yet; the guard goes on until it is."
WORDS: Final = {"flat": "read again: flat", "open": "not flat yet", "latched": "latched: nothing is opened any more"}


class HaltIn(Form):
    reason = serializers.CharField(required=False, allow_blank=True, max_length=300, default="")
    keep_positions = serializers.BooleanField(
        required=False,
        default=False,
        help_text="Cancel what could open something; leave positions and what protects them.",
    )


class ResumeIn(Form):
    reason = serializers.CharField(max_length=200, help_text="Stays on record.")


class StandingOut(Out):
    """Whether an account may open positions, and how its halt stands. What concerns a halt is null without one."""

    account = serializers.IntegerField()
    name = serializers.CharField()
    badge = serializers.CharField()
    state = serializers.ChoiceField(Account.State.choices)
    halted = serializers.BooleanField()
    latched = serializers.BooleanField(allow_null=True, help_text="Whether this call latched it.")
    keep_positions = serializers.BooleanField(allow_null=True)
    reason = serializers.CharField(allow_null=True)
    cancelled = serializers.ListField(child=serializers.CharField(), help_text="Client ids.")
    closed = serializers.ListField(child=serializers.CharField())
    rounds = serializers.IntegerField(allow_null=True)
    flat = serializers.BooleanField(allow_null=True, help_text="Proved by the exchange.")
    seconds = serializers.FloatField(allow_null=True, help_text="From the press to the proof, or until now.")
    problem = serializers.CharField(allow_null=True)
    note = serializers.CharField()


HaltJob = job_of(StandingOut, "HaltJob")
ResumeJob = job_of(StandingOut, "ResumeJob")


class HaltView(Face):
    """The emergency stop of an account."""

    acts: ClassVar = {"post": Act.END}

    @extend_schema(responses=StandingOut)
    def get(self, request: Request, pk: int) -> Response:
        """How the account stands, and the halt in force."""
        return Response(_standing(self.account(pk, for_change=False)))

    @extend_schema(request=HaltIn, responses={200: HaltJob, 202: HaltJob})
    def post(self, request: Request, pk: int) -> Response:
        """Halt: latched at once, then everything is cancelled and closed until the exchange shows it flat.

        When that takes longer, 202 says what was done so far. Doing it twice is harmless.
        """
        account, told = self.account(pk), given(HaltIn, request)
        work = partial(halt_work, account=account, actor=self.person, **told)
        return job_answer(request, kind="halt", account=account, asked=told, work=work, first_line=True)


class ResumeView(Face):
    """The lifting of a halt."""

    acts: ClassVar = {"post": Act.TRADE}

    @extend_schema(request=ResumeIn, responses={200: ResumeJob, 202: ResumeJob})
    def post(self, request: Request, pk: int) -> Response:
        """Let the account open positions again, once books and exchange agree. Takes a permission of its own."""
        account, told = self.account(pk), given(ResumeIn, request)
        work = partial(resume_work, account=account, actor=self.person, **told)
        return job_answer(request, kind="resume", account=account, asked=told, work=work)


def halt_work(job: JobWork, *, account: Account, actor: User, reason: str, keep_positions: bool) -> dict[str, Any]:
    from trading.services.halt_all import accounts_halt

    def tell(_: Account, kind: str, text: str) -> None:
        job.tell(f"{WORDS.get(kind, kind)}{f': {text}' if text else ''}")

    (done,) = accounts_halt(accounts=[account], actor=actor, reason=reason, keep_positions=keep_positions, tell=tell)
    return _told(account, done)


def resume_work(job: JobWork, *, account: Account, actor: User, reason: str) -> dict[str, Any]:
    from trading.services.resume import account_resume

    job.tell("comparing books and exchange")
    account_resume(account=account, actor=actor, reason=reason)
    return _standing(Account.objects.get(pk=account.pk))


def _standing(account: Account) -> dict[str, Any]:
    from trading.services.halt import report_of

    halt = halt_in_force(account)
    return _told(account, report_of(halt, account) if halt else None)


def _told(account: Account, done: Halted | None) -> dict[str, Any]:
    """Return how an account stands, as JSON."""
    facts: dict[str, Any] = dict.fromkeys(StandingOut().fields)
    facts |= {"account": account.pk, "name": account.name, "badge": account.badge, "note": ""}
    facts |= {"state": account.state, "halted": account.state == Account.State.HALTED, "cancelled": [], "closed": []}
    if done is None:
        return facts
    facts |= {name: value for name, value in asdict(done).items() if name in facts}
    facts |= {"cancelled": list(done.cancelled), "closed": list(done.closed)}
    if done.halted:
        facts |= {"state": Account.State.HALTED.value, "note": "" if done.flat else GOES_ON}
    return facts
