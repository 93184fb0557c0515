"""Admin of what was asked, answered and decided. All of it is history: read-only."""

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from decisions.models import Approval, Cycle, Decision, DiaryEntry, Interaction
from vibex.lib.admin import HistoryAdmin, RelatedFilter, link_to, link_to_list


@admin.register(Cycle)
class CycleAdmin(HistoryAdmin):
    list_display = (
        "id",
        "scheduled_for",
        link_to("bot"),
        "status",
        "stage",
        "began",
        "ended",
        "error",
        link_to_list(Decision, "cycle", "decisions"),
        link_to_list(Interaction, "cycle", "interactions"),
        link_to_list(DiaryEntry, "cycle", "diary"),
    )
    list_filter = ("status", "stage", ("bot", RelatedFilter), "account")
    list_select_related = ("bot__account",)
    search_fields = ("bot__name", "error")
    date_hierarchy = "scheduled_for"


@admin.register(Interaction)
class InteractionAdmin(HistoryAdmin):
    list_display = (
        "at",
        link_to("bot"),
        link_to("cycle"),
        "model_requested",
        "model_served",
        "outcome",
        "reason",
        "latency_ms",
        "prompt_tokens",
        "completion_tokens",
        "cost",
    )
    list_filter = ("outcome", "model_requested", ("bot", RelatedFilter))
    list_select_related = ("bot__account", "cycle")
    search_fields = ("model_requested", "model_served", "reason")
    date_hierarchy = "at"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Interaction]:
        # Prompts and replies are long, and a list shows none of them.
        rows: QuerySet[Interaction] = super().get_queryset(request)
        return rows.defer("system_prompt", "user_prompt", "reply")


@admin.register(Decision)
class DecisionAdmin(HistoryAdmin):
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
    )
    list_filter = ("verdict", "action", "kind", "symbol", ("bot", RelatedFilter))
    list_select_related = ("bot__account", "cycle")
    search_fields = ("symbol", "justification")
    date_hierarchy = "at"


@admin.register(Approval)
class ApprovalAdmin(HistoryAdmin):
    list_display = ("created", link_to("decision"), "state", "until", "by", "at", "reason", link_to("ruled_again"))
    list_filter = ("state", ("decision__bot", RelatedFilter))
    list_select_related = ("decision__bot__account", "by", "ruled_again")
    search_fields = ("decision__symbol", "reason", "by__email")
    date_hierarchy = "created"


@admin.register(DiaryEntry)
class DiaryEntryAdmin(HistoryAdmin):
    list_display = ("at", link_to("bot"), link_to("cycle"), "kind", "symbol", "text")
    list_filter = ("kind", "symbol", ("bot", RelatedFilter))
    list_select_related = ("bot__account", "cycle")
    search_fields = ("text", "symbol")
    date_hierarchy = "at"


import decisions.admin_prompts  # noqa: E402, F401 - registers its pages
import decisions.admin_providers  # noqa: E402, F401 - registers its pages
