"""Pages on which a person answers what waits: the list, and the answer."""

from __future__ import annotations

from typing import Final, cast

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.http import require_POST, require_safe
from django_htmx.http import HttpResponseClientRedirect

from accounts.access.acts import Act
from accounts.access.pages import acting, real_money
from accounts.models import User
from accounts.selectors import accounts_of
from decisions.approvals import decisions_to_answer
from decisions.models import Decision
from trading.selectors.approvals import approval_changed, waiting_for
from vibex.lib.errors import Rejected

CHANGED: Final = "it has changed since this was shown, and nothing was done. Approve again if it is still meant."


@require_safe
def approvals(request: HttpRequest) -> HttpResponse:
    """Show everything that waits for this person, whatever the account."""
    part = "trading/approvals_panel.html" if request.htmx else "trading/approvals.html"  # type: ignore[attr-defined]
    accounts = accounts_of(request.user).order_by("pk")
    return render(request, part, {"waiting": waiting_for(request.user), "accounts": accounts, "here": "approvals"})


@require_POST
@acting({"approve": Act.TRADE, "reject": Act.END})
def approval_answer(request: HttpRequest, decision_id: int, act: str) -> HttpResponse:
    """Approve or reject what waits. Asking twice is harmless: the second time it says what became of it.

    Approved is what was shown: where that has changed since, nothing is done.
    """
    if act not in ("approve", "reject"):
        raise Http404
    rows = decisions_to_answer(request.user).select_related("bot__account")
    decision = get_object_or_404(rows, pk=decision_id)
    real_money(request, decision.bot.account)
    told, refused = _answer(request, decision, act)
    (messages.error if refused else messages.success)(request, told)
    wanted = request.POST.get("next", "")
    back = redirect(wanted if url_has_allowed_host_and_scheme(wanted, allowed_hosts=None) else "approvals")
    # Carrying it out takes seconds, in which the desk has put the panel anew: there is no place for a part of a page.
    return HttpResponseClientRedirect(back.url) if request.htmx else back  # type: ignore[attr-defined]


def _answer(request: HttpRequest, decision: Decision, act: str) -> tuple[str, bool]:
    """Do it; return what came of it, and whether it was refused."""
    # Imported here: what trades loads the engine and its libraries, which reading a page does not need.
    from trading.services.approval import decision_approve, decision_reject

    actor = cast("User", request.user)
    try:
        if act == "approve":
            if now := approval_changed(decision, request.POST.get("version", "")):
                return f"{decision.symbol}: {CHANGED} It is now {now}.", True
            return f"{decision.symbol}: {decision_approve(decision=decision, actor=actor).text}", False
        decision_reject(decision=decision, actor=actor, reason=request.POST.get("reason", ""))
    except Rejected as refusal:
        return f"{decision.symbol}: {refusal}", True
    return f"{decision.symbol}: rejected. The bot is told why when it decides next.", False
