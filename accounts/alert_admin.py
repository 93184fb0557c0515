"""Admin of alerts: what was told, how it left, and over which channels. To read only; addresses are never shown."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.models import Alert, AlertChannel, AlertDelivery
from vibex.lib.admin import HistoryAdmin, link_to, link_to_list


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    list_display = (
        "last",
        "severity",
        "type",
        link_to("user"),
        link_to("account"),
        "subject",
        "message",
        "count",
        "acknowledged",
        link_to_list(AlertDelivery, "alert", "deliveries"),
    )
    list_filter = ("severity", "type", ("acknowledged", admin.EmptyFieldListFilter), "account")
    list_select_related = ("user", "account")
    search_fields = ("message", "subject", "user__email")
    date_hierarchy = "created"


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(HistoryAdmin):
    list_display = ("id", "state", link_to("channel"), link_to("alert"), "attempts", "due", "sent", "error")
    list_filter = ("state",)
    list_select_related = ("channel", "alert")
    search_fields = ("error", "channel__name")


@admin.register(AlertChannel)
class AlertChannelAdmin(HistoryAdmin):
    list_display = ("name", link_to("user"), "kind", "shown", "min_severity", "per_hour", "enabled", "created")
    list_filter = ("kind", "enabled", "min_severity")
    list_select_related = ("user",)
    search_fields = ("name", "user__email", "shown")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "user", "kind", "shown", "min_severity", "types", "per_hour", "enabled", "created")
