"""The emergency stop and its lifting in the admin of accounts: also for accounts of other people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse

from accounts.models import Account, User
from trading.models import Halt
from trading.selectors.halts import RESUME, standings_of
from vibex.lib.admin import HistoryAdmin, link_to

WAIT: Final = 10.0
"""Seconds that the answer waits for the proof; what is not flat then is worked on all the same."""

if TYPE_CHECKING:
    Base = admin.ModelAdmin[Account]
else:
    Base = object


class HaltForm(forms.Form):
    reason = forms.CharField(
        label="Why", max_length=300, required=False, help_text="It stays on record with your name."
    )
    keep_positions = forms.BooleanField(
        required=False,
        label="Keep positions",
        help_text="Cancel only what could open; positions stay, with their stops and targets.",
    )


class HaltActions(Base):
    """Adds the action, its page, and who may lift a halt."""

    def has_resume_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(RESUME)

    @admin.action(description="Emergency stop", permissions=["change"])
    def emergency_stop(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        """Ask first, then halt: latch, cancel, close, read until flat."""
        chosen = list(accounts.select_related("limits", "owner").order_by("-mode", "pk"))
        form = HaltForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            self._halt(request, chosen, **form.cleaned_data)
            return redirect("admin:accounts_account_changelist")
        shown = {
            "title": "Emergency stop",
            "opts": self.opts,
            "form": form,
            "standings": standings_of(chosen),
            "checkbox": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "trading/admin/halt.html", self.admin_site.each_context(request) | shown)

    def _halt(self, request: HttpRequest, accounts: list[Account], **wanted: Any) -> None:
        from trading.services.halt_all import accounts_halt

        for done in accounts_halt(accounts=accounts, actor=cast("User", request.user), wait=WAIT, **wanted):
            cancelled, closed = len(done.cancelled), ", ".join(done.closed) or "nothing to close"
            told = f"{done.name}: {cancelled} cancelled, {closed}"
            if done.flat:
                kept = "nothing can open, positions are kept" if done.keep_positions else "flat"
                self.message_user(request, f"{told}, {kept}, proved in {done.seconds:.2f} s.", messages.SUCCESS)
            else:
                why = f" ({done.problem})" if done.problem else ""
                self.message_user(request, f"{told}; NOT FLAT YET{why}. The guard goes on.", messages.ERROR)


@admin.register(Halt)
class HaltAdmin(HistoryAdmin):
    list_display = (
        "at",
        link_to("account"),
        link_to("actor"),
        "reason",
        "keep_positions",
        "flat_at",
        "seconds",
        "lifted",
    )
    list_filter = ("keep_positions", ("flat_at", admin.EmptyFieldListFilter), ("lifted", admin.EmptyFieldListFilter))
    list_select_related = ("account", "actor")
    search_fields = ("account__name", "reason", "actor__email")
    times = "at"
