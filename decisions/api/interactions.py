"""The calls of models: whom, with what, what came back, what it cost and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from accounts.access.views import Rows
from decisions.api.said import Said, SaidData, said_shortly
from decisions.domain.question import Outcome
from decisions.models import Interaction
from decisions.selectors.texts import LONG_TEXTS
from decisions.services.recording import LATE
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import Moment, RowId

if TYPE_CHECKING:
    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

HEAVY: Final = (*LONG_TEXTS, "parameters")
"""What a list does without."""


class InteractionLine(serializers.ModelSerializer[Interaction]):
    """A call without its texts. Money in US dollars: `estimate` is what it counts as while nobody said its cost."""

    account = serializers.IntegerField(source="account_id", read_only=True)
    model_served = Said()
    finish_reason = Said()
    reason = Said()
    cost = Amount(allow_null=True)
    estimate = Amount(allow_null=True)

    class Meta:
        model = Interaction
        fields: tuple[str, ...] = (
            *("id", "account", "bot", "cycle", "purpose", "attempt", "used", "late_of", "at", "provider"),
            *("model_requested", "model_served", "outcome", "reason", "http_status", "finish_reason", "prompt_tokens"),
            *("completion_tokens", "reasoning_tokens", "cached_tokens", "cost", "estimate", "latency_ms"),
        )
        read_only_fields = fields


class TextsOut(Out):
    """Prompt, raw reply and what can be read of the reasoning. `cut` names those of which this is only the beginning."""

    system_prompt = Said()
    user_prompt = Said()
    reply = Said()
    reasoning = Said()
    cut = serializers.ListField(child=serializers.CharField())


class InteractionOut(InteractionLine):
    """A call with its texts, which only the owner of the account is given: for others `texts` is null."""

    generation_id = Said()
    parameters = SaidData(help_text="What was sent besides the prompt, and what was read from the reply.")
    late = serializers.IntegerField(
        source="late_id", read_only=True, allow_null=True, help_text="The call that holds the reply which came later."
    )
    texts = serializers.SerializerMethodField()

    class Meta(InteractionLine.Meta):
        fields = (
            *InteractionLine.Meta.fields,
            *("template", "prompt_digest", "generation_id", "parameters", "late", "texts"),
        )
        read_only_fields = fields

    @extend_schema_field(TextsOut(allow_null=True))
    def get_texts(self, call: Interaction) -> dict[str, Any] | None:
        if getattr(call, "owner_id", None) != self.context["request"].user.pk:
            return None
        told = {name: said_shortly(getattr(call, name)) for name in LONG_TEXTS}
        return {name: text for name, (text, _) in told.items()} | {
            "cut": [name for name, (_, cut) in told.items() if cut]
        }


class InteractionFilters(Filters):
    account = RowId(source="bot__account_id")
    bot = RowId(source="bot_id")
    cycle = RowId(source="cycle_id")
    purpose = serializers.ChoiceField(Interaction.Purpose.choices, required=False)
    provider = serializers.CharField(required=False)
    model = serializers.CharField(required=False, source="model_requested", help_text="As `model_requested` names it.")
    outcome = serializers.ChoiceField([*(each.value for each in Outcome), LATE], required=False)
    used = serializers.BooleanField(required=False)
    since = Moment(source="at__gte", help_text="From this moment on, wall time.")
    until = Moment(source="at__lt", help_text="Before this moment, wall time.")


class InteractionViewSet(Rows[Interaction]):
    """The calls of models, newest first."""

    filters = InteractionFilters
    order = ("-at", "-id")
    orders: ClassVar = {"at": ("at", "id")}
    of_account = "bot__account_id"

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return InteractionOut if self.action == "retrieve" else InteractionLine

    def rows(self) -> QuerySet[Interaction]:
        rows = self.seen(Interaction.objects.all(), "bot__account_id").annotate(account_id=F("bot__account_id"))
        if self.action == "retrieve":
            return rows.annotate(owner_id=F("bot__account__owner_id"), late_id=F("late__id"))
        return rows.defer(*HEAVY)
