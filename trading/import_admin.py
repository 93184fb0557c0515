"""Accounts, limits and bots from a text, in the admin: what would change is shown first, and nothing else is done then.

The text is pasted: this house takes no files. YAML and JSON hold everything of an account; a table (CSV) holds accounts
with their limits, or bots, one to a line. Keys of accounts are left to the page of an account and to
`manage.py load_accounts`, because a text here could name any variable of the machine.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, Final, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.models import Account, Bot, User
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    from trading.services.load_accounts import AccountsFile, Item, Table

    Base = admin.ModelAdmin[Account]
else:
    Base = object

NEEDED: Final = tuple(
    f"accounts.{act}_{model}" for act in ("add", "change") for model in ("account", "bot", "risklimits")
)
EXAMPLE: Final = """accounts:
  - name: paper-btc
    venue: sim
    starting_balance: 10000
    limits:
      max_leverage: 3
      daily_loss: 0.02
    bots:
      - name: trend
        model: rules/trend
        symbols: [BTCUSDT]
        interval: 15m
"""
EXAMPLE_TABLE: Final = """account,name,model,symbols,interval,capital
paper-btc,trend,rules/trend,"BTCUSDT, ETHUSDT",15m,(none)
"""
SEVERAL_OWNERS: Final = "Choose {what} of one owner: a file is of one person."


class ImportForm(forms.Form):
    owner = forms.ModelChoiceField(
        queryset=User.objects.filter(is_active=True).order_by("email"), label="Whose accounts they are"
    )
    kind = forms.ChoiceField(choices=(("yaml", "YAML"), ("json", "JSON"), ("csv", "CSV")), label="Written as")
    text = forms.CharField(
        label="Accounts, limits and bots",
        max_length=200_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 18, "spellcheck": "false", "autocomplete": "off"}),
        help_text=(
            "What is left out stays as it is, and so does an empty cell; (none) in one makes it nothing. Nothing is "
            "deleted, and no bot is started."
        ),
    )


class ImportPage(Base):
    """Adds the page to the admin of accounts."""

    change_list_template = "trading/admin/accounts.html"

    def has_import_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perms(NEEDED)

    @admin.action(description="Export as a file to import", permissions=["view"])
    def export_file(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        """Return the chosen accounts of one owner as YAML that this page takes, without keys."""
        from trading.services.load_accounts import file_written

        chosen = list(
            accounts.select_related("limits", "promoted_from", "owner").prefetch_related("bots").order_by("pk")
        )
        if len({account.owner_id for account in chosen}) > 1:
            self.message_user(request, SEVERAL_OWNERS.format(what="accounts"), messages.ERROR)
            return None
        head = f"# Accounts of {chosen[0].owner}, {timezone.now():%F %H:%M} UTC. Keys are not in it.\n"
        return _file(head + file_written(chosen), "accounts", "yaml", "application/yaml")

    @admin.action(description="Export as a table to import (CSV)", permissions=["view"])
    def export_table(self, request: HttpRequest, accounts: QuerySet[Account]) -> HttpResponse | None:
        """Return the chosen accounts of one owner with their limits as a table that this page takes, without keys and bots."""
        from trading.services.load_accounts import accounts_table

        chosen = list(accounts.select_related("limits", "promoted_from", "owner").order_by("pk"))
        if len({account.owner_id for account in chosen}) > 1:
            self.message_user(request, SEVERAL_OWNERS.format(what="accounts"), messages.ERROR)
            return None
        return _file(accounts_table(chosen), "accounts", "csv", "text/csv")

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Show what a text would change; with `act=write`, and only if that is still the same, do it."""
        if not self.has_import_permission(request):
            raise PermissionDenied
        form = ImportForm(request.POST or None, initial={"owner": request.user.pk, "kind": "yaml"})
        shown: dict[str, Any] = {"items": None, "faults": ()}
        if request.method == "POST" and form.is_valid():
            try:
                shown |= _looked(form.cleaned_data)
                if request.POST.get("act") == "write" and request.POST.get("seen") == shown["seen"]:
                    return self._write(request, form.cleaned_data, shown)
            except Rejected as refusal:
                shown["faults"] = getattr(refusal, "faults", None) or (str(refusal),)
            else:
                if request.POST.get("act") == "write":
                    shown["faults"] = (
                        "This is not what was shown, or somebody has changed something since: look again, then write.",
                    )
        context = {"title": "Import accounts", "opts": self.opts, "form": form} | shown
        context |= {"example": EXAMPLE, "example_table": EXAMPLE_TABLE}
        return TemplateResponse(request, "trading/admin/import.html", self.admin_site.each_context(request) | context)

    def _write(self, request: HttpRequest, given: dict[str, Any], shown: dict[str, Any]) -> HttpResponse:
        from trading.services.load_accounts import accounts_load

        actor = cast("User", request.user)
        done = accounts_load(
            given=shown["given"], owner=given["owner"], write=True, expected=shown["items"], actor=actor
        )
        changed = sum(item.action != "unchanged" for item in done)
        self.message_user(request, f"Written: {changed} of {len(done)} were made or changed.", messages.SUCCESS)
        return redirect("admin:accounts_account_changelist")


def bots_exported(bots: list[Bot]) -> HttpResponse:
    """Return bots on accounts of one owner as a table that this page takes."""
    from trading.services.load_accounts import bots_table

    return _file(bots_table(bots), "bots", "csv", "text/csv")


def _file(text: str, what: str, ending: str, kind: str) -> HttpResponse:
    answer = HttpResponse(text, content_type=f"{kind}; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="{what}-{timezone.now():%Y%m%d-%H%M%S}.{ending}"'
    return answer


def _looked(given: dict[str, Any]) -> dict[str, Any]:
    """Return what a text says and would change. Raises Rejected (BadFile with every fault, of a table by its lines)."""
    from trading.services.load_accounts import BadFile, accounts_load, by_line, file_check

    said = _said(given)
    try:
        read = file_check(said.content)
        _without_keys(read)
        items = accounts_load(given=read, owner=given["owner"], write=False)
    except BadFile as faults:
        raise by_line(faults, said.lines) from None
    changes = sum(item.action != "unchanged" for item in items)
    return {"given": read, "items": items, "changes": changes, "seen": _seen(given, items)}


def _said(given: dict[str, Any]) -> Table:
    """Return what a text says, whichever way it is written. Raises BadFile."""
    from trading.services.load_accounts import Table, table_read, text_read

    if given["kind"] == "csv":
        return table_read(given["text"], "the text")
    return Table(text_read(given["text"], "the text", is_json=given["kind"] == "json"))


def _without_keys(read: AccountsFile) -> None:
    from trading.services.load_accounts import BadFile, FileFault

    wrong = "is not taken here: enter keys on the page of the account, or use manage.py load_accounts"
    faults = [
        FileFault(f"accounts[{at}].credentials", wrong)
        for at, account in enumerate(read.accounts)
        if account.credentials is not None
    ]
    if faults:
        raise BadFile(faults)


def _seen(given: dict[str, Any], items: tuple[Item, ...]) -> str:
    """Return what stands for a difference, of whom and out of what: another one of them has another."""
    text = given["text"].replace("\r\n", "\n")  # as a browser sends it, and as others do
    told = (given["owner"].pk, given["kind"], text, items)
    return hashlib.sha256(repr(told).encode()).hexdigest()
