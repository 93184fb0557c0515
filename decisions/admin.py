"""Admin of what was asked, answered and decided. All of it is history: read-only."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from decisions.domain.visible import visible
from decisions.models import Afterwards, Approval, Cycle, Decision, DiaryEntry, Interaction
from decisions.selectors.texts import LONG_TEXTS
from vibex.lib.admin import Column, HistoryAdmin, HistoryInline, RelatedFilter, link_to, link_to_list
from vibex.lib.masking import mask_text

LONGEST_SHOWN = 50_000
"""Characters of a long text on the page of a request."""


@admin.display(description="page")
def decision_page(row: Cycle | Interaction | Decision) -> str:
    """Link to the page of the decision that a row belongs to; its owner sees it."""
    cycle_id = row.pk if isinstance(row, Cycle) else row.cycle_id
    if cycle_id is None:
        return "–"
    place = "" if isinstance(row, Cycle) else f"#{row._meta.model_name}-{row.pk}"
    return format_html('<a href="{}{}">decision page</a>', reverse("cycle", args=[cycle_id]), place)


def long_text(field: str) -> Column:
    """Return what shows a long text of a request: its beginning, without what looks like a secret."""

    @admin.display(description=field.replace("_", " "))
    def text(row: Interaction) -> str:
        start = mask_text(getattr(row, field)[: LONGEST_SHOWN + 4_000])[:LONGEST_SHOWN]
        return format_html("<pre>{}</pre>", visible(start)) if start else "–"

    return text


class InteractionsInline(HistoryInline):
    model = Interaction
    fields = ("at", "purpose", "attempt", "model_requested", "outcome", "reason", "latency_ms", "cost")
    ordering = ("at", "pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interaction]:
        rows: QuerySet[Interaction] = super().get_queryset(request)
        return rows.defer(*LONG_TEXTS, "parameters")


class DecisionsInline(HistoryInline):
    model = Decision
    fields = ("sequence", "symbol", "action", "verdict", "asked_quantity", "quantity", "leverage", "confidence")
    ordering = ("sequence", "pk")


@admin.register(Cycle)
class CycleAdmin(HistoryAdmin):
    place = 0
    list_display = (
        "id",
        "scheduled_for",
        link_to("bot"),
        "status",
        "stage",
        "began",
        "ended",
        "error",
        decision_page,
        link_to_list(Decision, "cycle", "decisions"),
        link_to_list(Interaction, "cycle", "interactions"),
        link_to_list(DiaryEntry, "cycle", "diary"),
    )
    list_filter = ("status", "stage", ("bot", RelatedFilter), "account")
    list_select_related = ("bot__account",)
    search_fields = ("bot__name", "error")
    ordering = ("-pk",)  # as they began: by time there is an index for one bot only
    times = "scheduled_for"
    readonly_fields: ClassVar[Any] = (decision_page,)
    inlines = (InteractionsInline, DecisionsInline)
    not_exported = ("seen", "kept", "timings")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Cycle]:
        # What a cycle saw and decided in is for its replay; a list shows none of it.
        rows: QuerySet[Cycle] = super().get_queryset(request)
        return rows.defer("seen", "kept", "timings")


@admin.register(Interaction)
class InteractionAdmin(HistoryAdmin):
    place = 2
    list_display = (
        "at",
        link_to("bot"),
        link_to("cycle"),
        decision_page,
        "purpose",
        "attempt",
        "used",
        "provider",
        "model_requested",
        "model_served",
        "http_status",
        "outcome",
        "reason",
        "latency_ms",
        "prompt_tokens",
        "completion_tokens",
        "cost",
        "estimate",
    )
    list_filter = (
        "outcome",
        "purpose",
        "used",
        "provider",
        "http_status",
        ("cost", admin.EmptyFieldListFilter),
        ("estimate", admin.EmptyFieldListFilter),
        "model_requested",
        ("bot", RelatedFilter),
    )
    list_select_related = ("bot__account", "cycle")
    search_fields = ("model_requested", "model_served", "reason", "generation_id")
    times = "at"
    exclude = LONG_TEXTS
    readonly_fields: ClassVar[Any] = (decision_page, *map(long_text, LONG_TEXTS))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interaction]:
        # Prompts and replies are long, and a list shows none of them.
        rows: QuerySet[Interaction] = super().get_queryset(request)
        return rows.defer(*LONG_TEXTS, "parameters", *(f"cycle__{name}" for name in ("seen", "kept", "timings")))


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
    place = 1
    list_display = (
        "at",
        link_to("bot"),
        link_to("cycle"),
        "symbol",
        "action",
        "verdict",
        "rule_ids",
        "asked_quantity",
        "quantity",
        "leverage",
        "confidence",
        "kind",
        "agrees",
        decision_page,
    )
    list_filter = ("verdict", "action", "kind", "agrees", "symbol", ("bot", RelatedFilter))
    list_select_related = ("bot__account", "cycle")
    search_fields = ("symbol", "justification")
    ordering = ("-at", "-pk")
    times = "at"
    readonly_fields: ClassVar[Any] = (decision_page,)


@admin.register(Afterwards)
class AfterwardsAdmin(HistoryAdmin):
    list_display = (
        link_to("decision"),
        "end",
        "until",
        "multiple",
        "net",
        "best",
        "worst",
        "entry_price",
        "exit_price",
    )
    list_filter = ("end", "decision__kind", ("decision__bot", RelatedFilter))
    list_select_related = ("decision",)
    search_fields = ("decision__symbol",)
    times = "until"


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    list_display = ("created", link_to("decision"), "state", "until", "by", "at", "reason", link_to("ruled_again"))
    list_filter = ("state", ("decision__bot", RelatedFilter))
    list_select_related = ("decision__bot__account", "by", "ruled_again")
    search_fields = ("decision__symbol", "reason", "by__email")
    times = "created"


@admin.register(DiaryEntry)
class DiaryEntryAdmin(HistoryAdmin):
    list_display = ("at", link_to("bot"), link_to("cycle"), "kind", "symbol", "text")
    list_filter = ("kind", "symbol", ("bot", RelatedFilter))
    list_select_related = ("bot__account", "cycle")
    search_fields = ("text", "symbol")
    times = "at"


import decisions.admin_prompts  # noqa: E402 - registers its pages
import decisions.admin_providers  # noqa: E402, F401 - registers its pages
