"""Admin of bots: who they are, whom they ask and how, what that may cost, and what they trade."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse

from accounts.access.admin_site import MoneyAdmin
from accounts.admin import AuditedAdmin
from accounts.models import Bot
from decisions.models import Cycle, Decision, DiaryEntry
from trading.forms import BotForm
from trading.import_admin import SEVERAL_OWNERS, bots_exported
from trading.models import Position
from vibex.lib.admin import link_to, link_to_list
from vibex.lib.errors import Rejected

STOP_FIRST = (
    "Only a stopped bot is changed: stop it on its page, or by the action in the list of bots. A pause is not enough."
)
OF_MODELS = (
    "Written provider/model, as openrouter/x-ai/grok-4.3. The fields offer what the catalogues list, with price, context, end and whether it takes "
    "a schema; every other name may be typed. rules/trend and rules/hold ask nobody."
)
PARTS = (
    ("Who", "", ("account", "name", "status", "status_reason", "created")),
    (
        "Model",
        OF_MODELS,
        (
            "model",
            "instead",
            "fallback_models",
            "served_models",
            "reasoning_effort",
            "temperature",
            "max_tokens",
            "deadline_seconds",
        ),
    ),
    ("Prompt", "", ("prompt_template", "prompt_version", "layout", "outside_text")),
    ("Budget", "", ("cost_per_day", "tokens_per_day")),
    (
        "Several models",
        "Each asks the same question and costs its own money.",
        ("ensemble_models", "ensemble_rule", "shadow_models"),
    ),
    ("Trading", "", ("symbols", "interval", "timeframes", "capital", "approval")),
)


@admin.register(Bot)
class BotAdmin(MoneyAdmin, AuditedAdmin):
    group = "Trading"
    place = 1
    list_display = (
        "name",
        link_to("account"),
        "status",
        "status_reason",
        "model",
        "symbols",
        "interval",
        link_to_list(Cycle, "bot", "cycles"),
        link_to_list(Decision, "bot", "decisions"),
        link_to_list(DiaryEntry, "bot", "diary"),
        link_to_list(Position, "bot", "positions"),
    )
    list_filter = ("status", "interval", "model", "account")
    list_select_related = ("account",)
    search_fields = ("name", "model", "account__name", "account__owner__email")
    form = BotForm
    readonly_fields = ("status", "status_reason", "created")
    actions = ("start", "pause", "stop", "export_table")
    no_risk = frozenset({"pause", "stop", "export_table"})

    def get_readonly_fields(self, request: HttpRequest, obj: Bot | None = None) -> tuple[str, ...]:
        if obj is None:
            return self.readonly_fields
        if obj.status == Bot.Status.STOPPED:
            return (*self.readonly_fields, "account")
        # A bot that decides is not changed under its feet: stop it first.
        return tuple(field.name for field in Bot._meta.fields)

    def get_fieldsets(self, request: HttpRequest, obj: Bot | None = None) -> Any:
        fixed = obj is not None and obj.status != Bot.Status.STOPPED
        return [
            (
                name,
                {
                    "fields": [field for field in fields if not (fixed and field == "instead")],
                    "description": STOP_FIRST if fixed else description,
                },
            )
            for name, description, fields in PARTS
        ]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        for (
            warning
        ) in form.warnings:  # the admin makes the first letter a capital: it must not be that of a model's name
            self.message_user(request, f"Note: {warning}", messages.WARNING)

    @admin.action(description="Start", permissions=["change"])
    def start(self, request: HttpRequest, bots: QuerySet[Bot]) -> None:
        from trading.services.schedule import bot_start

        self._each(request, bots, bot_start, "started")

    @admin.action(description="Pause", permissions=["change"])
    def pause(self, request: HttpRequest, bots: QuerySet[Bot]) -> None:
        from trading.services.schedule import bot_pause

        self._each(request, bots, bot_pause, "paused")

    @admin.action(description="Stop", permissions=["change"])
    def stop(self, request: HttpRequest, bots: QuerySet[Bot]) -> None:
        from trading.services.schedule import bot_stop

        self._each(request, bots, bot_stop, "stopped")

    @admin.action(description="Export as a table to import (CSV)", permissions=["view"])
    def export_table(self, request: HttpRequest, bots: QuerySet[Bot]) -> HttpResponse | None:
        """Return the chosen bots of one owner as a table that the import of accounts takes."""
        chosen = list(bots.select_related("account").order_by("account_id", "pk"))
        if len({bot.account.owner_id for bot in chosen}) > 1:
            self.message_user(request, SEVERAL_OWNERS.format(what="bots"), messages.ERROR)
            return None
        return bots_exported(chosen)

    def _each(self, request: HttpRequest, bots: QuerySet[Bot], act: Callable[..., Any], done: str) -> None:
        for bot in bots.select_related("account"):
            try:
                act(bot=bot, actor=request.user, reason="in the admin")
            except Rejected as refusal:
                self.message_user(request, f"{bot}: {refusal}", messages.ERROR)
            else:
                self.message_user(request, f"{bot}: {done}.", messages.SUCCESS)
