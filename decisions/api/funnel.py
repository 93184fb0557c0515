"""From what a bot asked to what it ordered: how many came through each step, and why the others did not."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from decisions.selectors.funnel import funnel_for_bot
from vibex.lib.api import Filters
from vibex.lib.api.query import Moment, query

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

USUAL: Final = timedelta(days=7)
LONGEST: Final = timedelta(days=31)
"""Every question and proposal of the time is looked at: longer ones are asked for in pieces."""


class StepOut(Out):
    """How many came through a step, and how many ended at it by the code of the reason, the most frequent first."""

    name = serializers.CharField()
    count = serializers.IntegerField()
    ended = serializers.DictField(child=serializers.IntegerField())


class FunnelOut(Out):
    """Steps of the replies, and of what they say of each symbol. A count is the one before it less what ended."""

    since = serializers.DateTimeField()
    until = serializers.DateTimeField()
    replies = StepOut(many=True)
    symbols = StepOut(many=True)


class FunnelQuery(Filters):
    since = Moment(
        help_text="Cycles that began at this moment or later, wall time. Without it: seven days before `until`."
    )
    until = Moment(help_text="Cycles that began before this moment. Without it: now.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        until = attrs.get("until") or timezone.now()
        try:
            since = attrs.get("since") or until - USUAL
        except OverflowError:
            raise serializers.ValidationError({"until": ["Before there was time."]}) from None
        if not timedelta(0) < until - since <= LONGEST:
            told = f"Name a time of at most {LONGEST.days} days that ends after it begins."
            raise serializers.ValidationError({"since": [told]})
        return {"since": since, "until": until}


class FunnelView(Face):
    """Where the questions and proposals of a bot ended, for a time."""

    @extend_schema(parameters=[FunnelQuery], responses=FunnelOut)
    def get(self, request: Request, bot_id: int) -> Response:
        bot, asked = self.bot(bot_id, for_change=False), query(FunnelQuery, request)
        funnel = funnel_for_bot(bot, **asked)
        return Response(FunnelOut({**asked, "replies": funnel.replies, "symbols": funnel.symbols}).data)
