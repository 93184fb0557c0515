"""Admin of alerts: what was told, how it left, and over which channels. To read only; addresses are never shown."""

from typing import Any, Final, cast

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.models import Alert, AlertChannel, AlertDelivery, User
from vibex.lib.admin import HistoryAdmin, link_to, link_to_list
from vibex.lib.errors import Rejected

MOST_TESTS: Final = 5
"""Channels that one click tries: each waits for a server."""


@admin.register(Alert)
class AlertAdmin(HistoryAdmin):
    group = "Operations"
    place = 1
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
    times = "created"


@admin.register(AlertDelivery)
class AlertDeliveryAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("id", "state", link_to("channel"), link_to("alert"), "attempts", "due", "sent", "error")
    list_filter = ("state",)
    list_select_related = ("channel", "alert")
    search_fields = ("error", "channel__name")


@admin.register(AlertChannel)
class AlertChannelAdmin(HistoryAdmin):
    group = "Operations"
    list_display = ("name", link_to("user"), "kind", "shown", "min_severity", "per_hour", "enabled", "created")
    list_filter = ("kind", "enabled", "min_severity")
    list_select_related = ("user",)
    search_fields = ("name", "user__email", "shown")

    actions = ("send_test",)

    def has_test_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.change_alertchannel")

    @admin.action(description="Send a test", permissions=["test"])
    def send_test(self, request: HttpRequest, channels: QuerySet[AlertChannel]) -> None:
        """Send a test message over each chosen channel, and say how each went."""
        from accounts.services.alerts.sending import channel_test

        for channel in channels.select_related("user")[:MOST_TESTS]:
            try:
                delivery = channel_test(channel=channel, actor=cast("User", request.user))
            except Rejected as refusal:
                self.message_user(request, f"{channel.name} of {channel.user}: {refusal}", messages.ERROR)
                continue
            well = delivery.state == AlertDelivery.State.SENT
            told = "sent." if well else f"not sent: {delivery.error or delivery.get_state_display()}"
            level = messages.SUCCESS if well else messages.ERROR
            self.message_user(request, f"{channel.name} of {channel.user}: {told}", level)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        return ("name", "user", "kind", "shown", "min_severity", "types", "per_hour", "enabled", "created")
