"""Answers to what may take long: the result where it comes soon, else where to follow the job."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from django.urls import reverse
from rest_framework import serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.permissions import act_of
from accounts.models import Account, Bot, Job, User
from accounts.services.jobs import Work, job_begin, job_wait
from vibex.lib.api.problems import CONTENT_TYPE, RETRY_AFTER

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
    ModelOut = serializers.ModelSerializer[Job]
else:
    Out, ModelOut = serializers.Serializer, serializers.ModelSerializer

WAIT: Final = 3.0
"""Seconds after which a caller is sent on to the job."""
FIRST_LINE: Final = 2.0
"""Seconds that somebody who wants no waiting waits all the same for what must not be left in doubt: that a halt is latched."""
AGAIN_AFTER: Final = "1"
"""Seconds after which it is worth looking at a running job again."""


class LineOut(Out):
    """Something that was done."""

    at = serializers.DateTimeField()
    text = serializers.CharField()


class ProblemOut(Out):
    """Why it failed, as the answer to the call would have said (RFC 9457)."""

    type = serializers.CharField()
    title = serializers.CharField()
    status = serializers.IntegerField()
    detail = serializers.CharField()
    code = serializers.CharField()


class JobOut(ModelOut):
    """A job: `running`, `done` with a result, `failed` with a problem, or `lost` when its process has ended."""

    progress = LineOut(many=True)
    result = serializers.JSONField(read_only=True, help_text="What came out; null while it runs and where nothing did.")
    problem = ProblemOut(allow_null=True)
    request = serializers.DictField()

    class Meta:
        model = Job
        fields = (
            "id",
            "kind",
            "account",
            "bot",
            "request",
            "status",
            "progress",
            "result",
            "problem",
            "created",
            "ended",
        )
        read_only_fields = fields


def job_of(result: type[serializers.BaseSerializer[Any]], name: str) -> type[JobOut]:
    """Return how a job is told whose result has a form of its own, for the schema: `name` is what it is called there."""
    return cast("type[JobOut]", type(name, (JobOut,), {"result": result(allow_null=True), "__doc__": JobOut.__doc__}))


def job_answer(
    request: Request,
    *,
    kind: str,
    work: Work,
    account: Account | None = None,
    bot: Bot | None = None,
    asked: dict[str, Any] | None = None,
    wait: float | None = None,
    first_line: bool = False,
    vital: bool | None = None,
) -> Response:
    """Do `work` as a job and answer within `wait` seconds (without a word 3): 200 with the job, its problem, or 202 and where it is followed.

    `Prefer: respond-async` gives the 202 at once; with `first_line` once the job has told something. Raises Retryable
    (503) while too many jobs run, but never for what is `vital`: without a word all that the view says to lower risk.
    """
    wait = WAIT if wait is None else wait
    if vital is None:
        vital = act_of(request, request.parser_context["view"] if request.parser_context else None) is Act.END
    person = cast("User", request.user)
    job = job_begin(owner=person, kind=kind, work=work, account=account, bot=bot, asked=asked, vital=vital)
    if not _wants_no_waiting(request):
        job = job_wait(job, wait)
    elif first_line:
        job = job_wait(job, min(wait, FIRST_LINE), until_told=True)
    return job_told(job)


def job_told(job: Job) -> Response:
    """Return the answer to a call whose work is this job, as it stands."""
    where = {"Location": reverse("job-detail", args=[job.pk])}
    if job.status == Job.Status.RUNNING:
        headers = where | {"Retry-After": AGAIN_AFTER}
        return Response(JobOut(job).data, status=status.HTTP_202_ACCEPTED, headers=headers)
    if job.problem is None:
        return Response(JobOut(job).data, headers=where)
    code = int(job.problem["status"])
    if code == status.HTTP_503_SERVICE_UNAVAILABLE:
        where["Retry-After"] = RETRY_AFTER
    return Response(job.problem, status=code, headers=where, content_type=CONTENT_TYPE)


def _wants_no_waiting(request: Request) -> bool:
    wishes = request.headers.get("Prefer", "").replace(";", ",").split(",")
    return any(wish.strip().lower() == "respond-async" for wish in wishes)
