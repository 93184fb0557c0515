"""What was decided: what a model asked for, what the rules made of it, and what became of that."""

from __future__ import annotations

from typing import Any, ClassVar, Final

from django.db.models import F, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers
from rest_framework.serializers import BaseSerializer

from accounts.access.views import Rows
from decisions.api.said import UNTRUSTED, Said, SaidData
from decisions.domain.proposal import Action, Verdict
from decisions.models import Afterwards, Approval, Decision
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import Moment, RowId

ANY: Final = "any"
HEAVY: Final = ("invalidation_condition", "justification", "hits")
"""What a list does without."""


class DecisionLine(serializers.ModelSerializer[Decision]):
    """A proposal and its ruling. `at` is market time; `asked_…` is what was asked for, the rest what was allowed of it."""

    account = serializers.IntegerField(source="account_id", read_only=True)
    asked_quantity = Amount(allow_null=True)
    stop_loss = Amount(allow_null=True)
    profit_target = Amount(allow_null=True)
    risk_usd = Amount(allow_null=True)
    quantity = Amount(allow_null=True)
    rule_ids = serializers.ListField(child=serializers.CharField(), read_only=True, help_text="Rules that spoke.")
    approval = serializers.CharField(
        source="approval_state",
        read_only=True,
        allow_null=True,
        help_text="What became of the question to a person: awaiting, approved, rejected, expired or void; null: none asked.",
    )

    class Meta:
        model = Decision
        fields: tuple[str, ...] = (
            *("id", "account", "bot", "cycle", "interaction", "kind", "sequence", "at", "symbol", "action", "verdict"),
            *("asked_quantity", "asked_leverage", "stop_loss", "profit_target", "risk_usd", "confidence"),
            *("quantity", "leverage", "rule_ids", "agrees", "approval"),
        )
        read_only_fields = fields


class AskedPerson(serializers.ModelSerializer[Approval]):
    """The question to a person. `until` is market time, `at` when it was answered or ended by itself."""

    reason = Said()

    class Meta:
        model = Approval
        fields = ("state", "until", "created", "by", "at", "reason", "ruled_again")
        read_only_fields = fields


class AfterwardsOut(serializers.ModelSerializer[Afterwards]):
    """What the market did afterwards, had it been opened as asked: an estimate from candles. Multiples of the risk."""

    entry_price = Amount()
    exit_price = Amount()
    net = Amount()

    class Meta:
        model = Afterwards
        fields = ("end", "entry_price", "exit_price", "until", "net", "multiple", "best", "worst")
        read_only_fields = fields


class DecisionOut(DecisionLine):
    """A decision with its reasons, every rule that spoke, and what became of it."""

    invalidation_condition = Said()
    justification = Said()
    hits = serializers.SerializerMethodField(help_text=f"Every rule that spoke, with its numbers. {UNTRUSTED}")
    approval = AskedPerson(allow_null=True, read_only=True)  # type: ignore[assignment]
    approved_from = serializers.SerializerMethodField(help_text="Decision whose approval was ruled into this one.")
    afterwards = AfterwardsOut(allow_null=True, read_only=True)

    class Meta(DecisionLine.Meta):
        fields = (
            *DecisionLine.Meta.fields,
            *("invalidation_condition", "justification", "hits", "approved_from", "afterwards"),
        )
        read_only_fields = fields

    @extend_schema_field(serializers.ListField(child=serializers.DictField()))
    def get_hits(self, decision: Decision) -> Any:
        return SaidData().to_representation(decision.hits)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_approved_from(self, decision: Decision) -> int | None:
        approved: Approval | None = getattr(decision, "approved_from", None)
        return approved.decision_id if approved else None


class DecisionFilters(Filters):
    account = RowId(source="bot__account_id")
    bot = RowId(source="bot_id")
    cycle = RowId(source="cycle_id")
    interaction = RowId(source="interaction_id")
    symbol = serializers.CharField(required=False)
    kind = serializers.ChoiceField(
        [*Decision.Kind.choices, (ANY, "all of them")],
        default=Decision.Kind.LIVE.value,
        help_text="What was acted on (live), what was only recorded (shadow), single votes of an ensemble (vote), or any.",
    )
    action = serializers.ChoiceField([each.value for each in Action], required=False)
    verdict = serializers.ChoiceField([each.value for each in Verdict], required=False)
    approval = serializers.ChoiceField(Approval.State.choices, required=False, source="approval__state")
    since = Moment(source="at__gte", help_text="From this moment on, market time.")
    until = Moment(source="at__lt", help_text="Before this moment, market time.")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in attrs.items() if (name, value) != ("kind", ANY)}


class DecisionViewSet(Rows[Decision]):
    """The decisions of bots, newest first; those that were acted on, unless `kind` says otherwise."""

    filters = DecisionFilters
    order = ("-at", "-id")
    orders: ClassVar = {"at": ("at", "id")}
    of_account = "bot__account_id"
    csv_columns = (
        *("id", "at", "account", "bot", "cycle", "kind", "symbol", "action", "verdict", "asked_quantity", "quantity"),
        *("asked_leverage", "leverage", "stop_loss", "profit_target", "risk_usd", "confidence", "rule_ids", "approval"),
    )

    def get_serializer_class(self) -> type[BaseSerializer[Any]]:
        return DecisionOut if self.action == "retrieve" else DecisionLine

    def rows(self) -> QuerySet[Decision]:
        rows = self.seen(Decision.objects.all(), "bot__account_id").annotate(account_id=F("bot__account_id"))
        if self.action == "retrieve":
            return rows.select_related("approval", "afterwards", "approved_from")
        return rows.defer(*HEAVY).annotate(approval_state=F("approval__state"))
