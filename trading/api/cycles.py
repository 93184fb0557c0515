"""A cycle that a person asks for."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.acts import Act
from accounts.access.jobs import job_answer, job_of
from accounts.access.views import Face
from accounts.models import Bot
from accounts.services.jobs import JobWork
from decisions.api.said import Said, SaidData
from trading.api.orders import NothingIn
from vibex.lib.api import given
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer


class SeenOut(Out):
    last = serializers.CharField()
    mark = serializers.CharField()
    ages = serializers.DictField(child=serializers.FloatField(), help_text="Seconds.")
    problem = serializers.CharField(allow_null=True)


class HeldOut(Out):
    symbol = serializers.CharField()
    side = serializers.CharField()
    quantity = serializers.CharField()
    entry = serializers.CharField()
    unrealised = serializers.CharField()


class ReadingOut(Out):
    outcome = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    held = serializers.DictField(child=serializers.CharField())
    latency = serializers.FloatField()


class HitOut(Out):
    rule = serializers.CharField()
    text = serializers.CharField()
    numbers = serializers.DictField()


class RulingOut(Out):
    symbol = serializers.CharField()
    action = serializers.CharField()
    asked = serializers.CharField(allow_null=True)
    allowed = serializers.CharField(allow_null=True)
    leverage = serializers.IntegerField(allow_null=True)
    verdict = serializers.CharField()
    rules = serializers.ListField(child=serializers.CharField())
    hits = HitOut(many=True)
    justification = Said()


class DeedOut(Out):
    symbol = serializers.CharField()
    action = serializers.CharField()
    text = serializers.CharField()


class CycleDoneOut(Out):
    """One cycle: what was seen, decided, ruled and done. Amounts as text."""

    status = serializers.CharField(help_text="done, or awaiting when an entry of it waits for a person.")
    text = serializers.CharField(help_text="What came of it, in a sentence.")
    cycle = serializers.IntegerField()
    bot = serializers.CharField()
    decider = serializers.CharField()
    at = serializers.DateTimeField(help_text="Market time.")
    seen = serializers.DictField(child=SeenOut())
    equity = serializers.CharField()
    positions = HeldOut(many=True)
    reading = ReadingOut()
    rulings = RulingOut(many=True)
    done = DeedOut(many=True)
    timings = serializers.DictField(child=serializers.FloatField(), help_text="Milliseconds.")


CycleJob = job_of(CycleDoneOut, "CycleJob")


class CycleNowView(Face):
    """A decision at once."""

    acts: ClassVar = {"post": Act.TRADE}

    @extend_schema(request=NothingIn, responses={200: CycleJob, 202: CycleJob})
    def post(self, request: Request, pk: int) -> Response:
        """Let a bot decide now, within its limits, as it would at the close of a candle."""
        bot = self.bot(pk)
        given(NothingIn, request)
        return job_answer(request, kind="cycle", account=bot.account, bot=bot, work=partial(cycle_work, bot=bot))


def cycle_work(job: JobWork, *, bot: Bot) -> dict[str, Any]:
    """Run a cycle as the work of a job, and return what came of it as JSON. Raises Rejected where it did not end."""
    from trading.services.cycle_view import cycle_view
    from trading.services.journal.base import IntentVoid
    from trading.services.live import cycle_run_now

    job.tell(f"{bot.name} decides")
    try:
        run = cycle_run_now(bot=bot)
    except IntentVoid as void:
        raise Rejected(str(void), code="overtaken") from void
    if run.result is None:
        raise Rejected(f"The cycle did not run to its end ({run.status}): {run.text}", code=f"cycle-{run.status}")
    told: dict[str, Any] = SaidData().to_representation({"status": run.status, "text": run.text, **cycle_view(run)})
    return told
