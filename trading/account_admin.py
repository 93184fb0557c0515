"""What a person does to an account in the admin: check its connection, reconcile, promote it, open and close its gate.

It stands over the admin of accounts, which does not know of trading. Whatever acts is a POST of a page of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.core.validators import validate_slug
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path

from accounts.access.admin_site import Sent
from accounts.access.pages import SAFE
from accounts.admin import AccountAdmin
from accounts.models import Account, Bot, LiveApproval, User
from trading.halt_admin import HaltActions
from trading.import_admin import ImportPage
from trading.limits_admin import RuledLimitsInline
from vibex.lib.admin import HistoryAdmin, HistoryInline, link_to
from vibex.lib.errors import Rejected, VibexError

PAGES: Final = ("check", "promote", "live", "resume", "changes")

CHANGES_ON_PAGE: Final = 50


class PromoteForm(forms.Form):
    name = forms.CharField(
        label="Name of the live account",
        max_length=40,
        validators=[validate_slug],
        help_text="Letters, digits, - and _. It is also part of the names of its variables.",
    )


class ApproveForm(forms.Form):
    name = forms.CharField(
        label="Name of the account",
        max_length=40,
        help_text="Type it exactly: from then on its bots open positions with real money.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )


class RevokeForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=200)


class ResumeForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=200, help_text="It stays on record with your name.")


class BotsInline(HistoryInline):
    model = Bot
    fields = ("name", "status", "status_reason", "model", "symbols", "interval")
    ordering = ("pk",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Bot]:
        rows: QuerySet[Bot] = super().get_queryset(request)
        return rows.select_related("account")  # each is shown with it


admin.site.unregister(Account)


@admin.register(Account)
class TradedAccountAdmin(ImportPage, HaltActions, AccountAdmin):
    actions = (
        *("emergency_stop", "check_connection", "reconcile", "resume", "promote", "open_gate", "close_gate"),
        *("export_file", "export_table"),
    )
    change_form_template = "trading/admin/account.html"
    limits_inline = RuledLimitsInline
    # The actions of the list lead to pages that ask by themselves; the others lower risk or only look.
    no_risk = frozenset(
        {
            *("emergency_stop", "check_connection", "reconcile", "resume", "promote", "open_gate", "close_gate"),
            *("check_view", "live_view:revoke", "live_view:reconcile", "import_view:look"),
            *("export_file", "export_table"),
        }
    )

    def touches_real_money(self, request: HttpRequest, sent: Sent) -> bool:
        if sent.page == "import_view":
            return True  # a file may name any account of its owner, and make the first one with real money
        if sent.page == "promote_view":
            return Account.objects.filter(pk=sent.key, network=Account.Network.MAINNET).exists()
        return super().touches_real_money(request, sent)

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponseBase]] = {
            "check": self.check_view,
            "promote": self.promote_view,
            "live": self.live_view,
            "resume": self.resume_view,
            "changes": self.changes_view,
        }
        mine = [
            path(f"<int:pk>/{name}/", self.admin_site.admin_view(views[name]), name=f"accounts_account_{name}")
            for name in PAGES
        ]
        imports = path("import/", self.admin_site.admin_view(self.import_view), name="accounts_account_import")
        return [imports, *mine, *super().get_urls()]

    def get_inlines(self, request: HttpRequest, obj: Any) -> Any:
        """Show the bots of an account too. They are no part of what is sent: a bot is changed on its own page."""
        stock = super().get_inlines(request, obj)
        return (*stock, BotsInline) if obj is not None and request.method in SAFE else stock

    def has_trade_live_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("accounts.trade_live")

    # -- actions of the list -----------------------------------------------------------------------------------------

    @admin.action(description="Check connection", permissions=["change"])
    def check_connection(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        return self._page_of_one(request, accounts, "check")

    @admin.action(description="Reconcile with the exchange", permissions=["change"])
    def reconcile(self, request: HttpRequest, accounts: QuerySet[Account]) -> None:
        for account in accounts:
            self._reconcile(request, account)

    @admin.action(description="Promote to live", permissions=["add"])
    def promote(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        return self._page_of_one(request, accounts, "promote")

    @admin.action(description="Let it trade with real money", permissions=["trade_live"])
    def open_gate(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        return self._page_of_one(request, accounts, "live")

    @admin.action(description="Stop real-money trading", permissions=["change"])
    def close_gate(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        return self._page_of_one(request, accounts, "live")

    @admin.action(description="Let it open positions again", permissions=["resume"])
    def resume(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        return self._page_of_one(request, accounts, "resume")

    # -- pages -------------------------------------------------------------------------------------------------------

    def resume_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Lift a halt, or the state in which only exposure is lowered, by POST: books have to agree, and a reason is kept."""
        from trading.services.resume import account_resume

        if not self.has_resume_permission(request):
            raise PermissionDenied
        account = self._changeable(request, pk)
        form = ResumeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            try:
                account_resume(account=account, actor=_actor(request), reason=form.cleaned_data["reason"])
            except VibexError as refusal:
                form.add_error(None, str(refusal))
            else:
                self.message_user(request, f"The account {account.name} may open positions again.", messages.SUCCESS)
                return redirect("admin:accounts_account_change", account.pk)
        return self._page(request, account, "resume", {"title": "Let it open positions again", "form": form})

    def changes_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show who changed what on the account, a page at a time."""
        from trading.selectors.changes import changes_of, told

        account = get_object_or_404(self.get_queryset(request).select_related("owner"), pk=pk)
        if not self.has_view_permission(request, account):
            raise PermissionDenied
        page = Paginator(changes_of(account), CHANGES_ON_PAGE).get_page(request.GET.get("page"))
        context = {"title": "Who changed what", "page": page, "changes": told(list(page), account)}
        return self._page(request, account, "changes", context)

    def check_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask the venue, by POST, and show what it says of the account."""
        from trading.services.connection import connection_check, findings_of, symbols_of

        account = self._changeable(request, pk)
        context: dict[str, Any] = {"title": "Check connection", "symbols": symbols_of(account)}
        if request.method == "POST":
            try:
                check = connection_check(account=account)
            except VibexError as fault:
                context["fault"] = str(fault)
            else:
                context["findings"] = findings_of(check, context["symbols"])
        return self._page(request, account, "check", context)

    def promote_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Make the live account of a paper account."""
        from accounts.services.promotion import account_promote

        if not self.has_add_permission(request):
            raise PermissionDenied
        account = self._changeable(request, pk)
        form = PromoteForm(request.POST or None, initial={"name": f"{account.name}-live"})
        if request.method == "POST" and form.is_valid():
            try:
                made = account_promote(paper=account, name=form.cleaned_data["name"], actor=_actor(request))
            except Rejected as refusal:
                form.add_error(None, str(refusal))
            else:
                text = (
                    f"The account {made.name} is there. It opens nothing before its gate is open: enter its keys next."
                )
                self.message_user(request, text, messages.SUCCESS)
                return redirect("admin:accounts_account_change", made.pk)
        return self._page(request, account, "promote", {"title": "Promote to live", "form": form})

    def live_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Show the gate, and by POST open it, close it, confirm the limits or reconcile."""
        from trading.services.live_gate import live_gate_of

        account = self._changeable(request, pk)
        forms_shown: dict[str, forms.Form] = {"approve": ApproveForm(), "revoke": RevokeForm()}
        if request.method == "POST" and (done := self._act(request, account, forms_shown)):
            return done
        context = {
            "title": "Real money",
            "gate": live_gate_of(account),
            "forms": forms_shown,
            "approvals": account.approvals.select_related("actor", "revoked_by")[:10],
            "may_approve": self.has_trade_live_permission(request),
        }
        return self._page(request, account, "live", context)

    def _act(self, request: HttpRequest, account: Account, shown: dict[str, forms.Form]) -> HttpResponseRedirect | None:
        """Do what was asked for; None when it was refused, with the reason on its form."""
        act = request.POST.get("act", "")
        form = shown.get(act)
        if form is not None:
            form = shown[act] = type(form)(request.POST)
            if not form.is_valid():
                return None
        try:
            if said := self._done(request, account, act):
                self.message_user(request, said, messages.SUCCESS)
        except Rejected as refusal:
            if form is not None:
                form.add_error(None, str(refusal))
                return None
            self.message_user(request, str(refusal), messages.ERROR)
        return redirect("admin:accounts_account_live", account.pk)

    def _done(self, request: HttpRequest, account: Account, act: str) -> str:
        """Do it and return what is said of it. Raises Rejected."""
        from accounts.services.promotion import limits_confirm
        from trading.services.live_gate import live_approve, live_revoke

        actor = _actor(request)
        match act:
            case "approve":
                # As it was typed: the form would have taken spaces away.
                live_approve(account=account, typed_name=request.POST["name"], actor=actor)
                return f"The account {account.name} trades with real money from now on."
            case "revoke":
                live_revoke(account=account, reason=request.POST["reason"], actor=actor)
                return f"The account {account.name} opens nothing any more. What is open stays protected and may be closed."
            case "confirm":
                limits_confirm(account=account, actor=actor)
                return "The limits are confirmed as they are."
            case "reconcile":
                self._reconcile(request, account)
                return ""
        raise Rejected(f"There is nothing to do that is called {act!r}.", code="act")

    # -- inside ------------------------------------------------------------------------------------------------------

    def _reconcile(self, request: HttpRequest, account: Account) -> None:
        from trading.services.reconcile import account_reconcile

        try:
            done = account_reconcile(account_id=account.pk, trigger="admin")
        except VibexError as fault:
            self.message_user(request, f"Account {account}: not compared: {fault}", messages.ERROR)
            return
        if done.agreed:
            mended = f"; {len(done.mended)} mended" if done.mended else ""
            self.message_user(request, f"Account {account}: books and exchange agree{mended}.", messages.SUCCESS)
        else:
            left = "; ".join(str(each) for each in done.left[:5])
            self.message_user(request, f"Account {account}: {len(done.left)} left for a person: {left}", messages.ERROR)

    def _page_of_one(self, request: HttpRequest, accounts: QuerySet[Account], page: str) -> HttpResponse | None:
        chosen = list(accounts[:2])
        if len(chosen) != 1:
            self.message_user(request, "Choose one account: this is done to one at a time.", messages.ERROR)
            return None
        return redirect(f"admin:accounts_account_{page}", chosen[0].pk)

    def _changeable(self, request: HttpRequest, pk: int) -> Account:
        """Return an account that the person may change. Raises PermissionDenied, Http404."""
        rows = self.get_queryset(request).select_related("owner", "promoted_from")
        account: Account = get_object_or_404(rows, pk=pk)
        if not self.has_change_permission(request, account):
            raise PermissionDenied
        return account

    def _page(self, request: HttpRequest, account: Account, page: str, context: dict[str, Any]) -> HttpResponse:
        shared = {"account": account, "original": account, "opts": self.opts, "subtitle": str(account)}
        whole = self.admin_site.each_context(request) | shared | context
        return TemplateResponse(request, f"trading/admin/{page}.html", whole)


@admin.register(LiveApproval)
class LiveApprovalAdmin(HistoryAdmin):
    group = "Trading"
    list_display = ("at", link_to("account"), link_to("actor"), "revoked", link_to("revoked_by"))
    list_filter = (("revoked", admin.EmptyFieldListFilter), "account")
    list_select_related = ("account", "actor", "revoked_by")
    search_fields = ("account__name", "actor__email")
    times = "at"


def _actor(request: HttpRequest) -> User:
    return cast("User", request.user)
