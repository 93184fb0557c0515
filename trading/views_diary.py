"""The diary of an account: to search, to take along as a table, and to write notes into."""

from __future__ import annotations

from typing import Any, cast
from uuid import uuid4

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.utils.http import urlencode
from django.views.decorators.http import require_POST, require_safe
from rest_framework.request import Request

from accounts.access.acts import Act
from accounts.access.pages import acting
from accounts.models import Account, Bot, User
from decisions.services.notes import LONGEST, note_write
from trading.api.diary import DiaryOut, DiaryViewSet
from trading.pages import bots_on, diary_choices, own_account, page_of
from trading.selectors import diary as diaries
from vibex.lib.api.exports import csv_answer
from vibex.lib.errors import Rejected


@require_safe
def diary(request: HttpRequest, account_id: int) -> HttpResponse:
    """Show the diary of an account, as far as it is asked for; what is asked for wrongly is told and shown without.

    That is 400, but not for HTMX, which shows no answer of that kind.
    """
    account = own_account(request, account_id)
    bots = bots_on(account)
    wanted, refusal = _wanted(request)
    found = diaries.found_of(bots, wanted)
    diaries.with_authors(found.entries)
    context = page_of(request, account) | diary_choices(bots) | _links(wanted, found)
    context |= {"here": "diary", "writable": bots, "found": found, "wanted": wanted, "refusal": refusal}
    context |= {"chosen": wanted.given, "form": uuid4().hex, "longest": LONGEST}
    part = "#found" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"trading/diary.html{part}", context, status=400 if refusal and not part else 200)


@require_safe
def diary_file(request: HttpRequest, account_id: int) -> HttpResponseBase:
    """Return what is found as a table (CSV), in which no spreadsheet finds a formula."""
    account = own_account(request, account_id)
    try:
        wanted = diaries.wanted_of(request.GET.dict())
    except Rejected as refusal:
        return HttpResponse(str(refusal), status=400, content_type="text/plain; charset=utf-8")
    rows = diaries.export_of(bots_on(account), wanted)
    return csv_answer(Request(request), rows, DiaryOut(), DiaryViewSet.csv_columns, f"diary-{account.pk}")


@require_POST
@acting(Act.NOTE)
def note(request: HttpRequest, account_id: int) -> HttpResponse:
    """Write a note into the diary of a bot of the account; the same form twice writes one."""
    account = own_account(request, account_id)
    bot = _bot(account, request.POST.get("bot", ""))
    if bot is None:
        messages.error(request, "The account has no such bot: a note stands in the diary of one.")
        return redirect("diary", account_id=account.pk)
    try:
        note_write(bot=bot, author=cast("User", request.user), **_typed(request))
    except Rejected as refusal:
        messages.error(request, str(refusal))
    return redirect("diary", account_id=account.pk)


def _typed(request: HttpRequest) -> dict[str, str]:
    limits = {"text": LONGEST * 2, "symbol": 30, "form": 64}
    return {name: request.POST.get(name, "")[:longest] for name, longest in limits.items()}


def _bot(account: Account, wanted: str) -> Bot | None:
    """Return the bot that is named, the first one where none is; None for one that is not on the account."""
    bots = bots_on(account)
    return next((each for each in bots if wanted in ("", str(each.pk))), None)


def _wanted(request: HttpRequest) -> tuple[diaries.Wanted, str]:
    try:
        return diaries.wanted_of(request.GET.dict()), ""
    except Rejected as refusal:
        return diaries.Wanted(), str(refusal)


def _links(wanted: diaries.Wanted, found: diaries.Found) -> dict[str, Any]:
    """Return the queries of the page after this one, of the newest one and of the table."""
    same = dict(wanted.given)
    older = urlencode(same | {"before": found.older}) if found.older else ""
    return {"older": older, "same": urlencode(same), "later": wanted.before is not None}
