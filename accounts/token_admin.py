"""Admin of the tokens of programs: whose, from when to when, and which were ended. To read only; a token is never shown."""

from __future__ import annotations

from django.contrib import admin
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken

from vibex.lib.admin import HistoryAdmin, link_to

for stock in (OutstandingToken, BlacklistedToken):
    if admin.site.is_registered(stock):
        admin.site.unregister(stock)


@admin.register(OutstandingToken)
class OutstandingTokenAdmin(HistoryAdmin):
    list_display = ("id", link_to("user"), "created_at", "expires_at")
    list_select_related = ("user",)
    search_fields = ("user__email",)
    times = "created_at"
    fields = ("user", "created_at", "expires_at")


@admin.register(BlacklistedToken)
class BlacklistedTokenAdmin(HistoryAdmin):
    list_display = ("blacklisted_at", link_to("token"))
    list_select_related = ("token__user",)
    search_fields = ("token__user__email",)
    times = "blacklisted_at"
