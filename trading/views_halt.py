"""The page of the emergency stop: what stands, one button for all and one for each, and how it went."""

from __future__ import annotations

from typing import Any, Final, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_safe

from accounts.access.acts import Act
from accounts.access.pages import acting
from accounts.models import Account, User
from accounts.selectors import accounts_of
from trading.selectors.halts import standings_of

WAIT: Final = 1.5
"""Seconds that the answer to a press waits for the proof; the page that follows shows the rest as it comes."""
LONGEST_REASON: Final = 300


@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.END)
def halt(request: HttpRequest) -> HttpResponse:
    """Show the accounts of the person; by POST halt one of them, or all."""
    if request.method == "POST":
        return _press(request)
    return render(request, "trading/halt.html", {"standings": standings_of(_own(request)), "here": "halt"})


@require_safe
def halt_state(request: HttpRequest) -> HttpResponse:
    """Show how the halts in force stand; HTMX asks again until all are proved."""
    standings = [one for one in standings_of(_own(request)) if one.halt]
    context: dict[str, Any] = {
        "standings": standings,
        "all_flat": all(one.halt.flat_at for one in standings if one.halt),
        "here": "halt",
    }
    part = "#state" if request.htmx else ""  # type: ignore[attr-defined]
    return render(request, f"trading/halt_state.html{part}", context)


def _press(request: HttpRequest) -> HttpResponse:
    from trading.services.halt_all import accounts_halt

    accounts = _pressed(request)
    if not accounts:
        messages.error(request, "None of your accounts is called like that: nothing was stopped.")
        return redirect("halt")
    accounts_halt(
        accounts=accounts,
        reason=request.POST.get("reason", "")[:LONGEST_REASON],
        actor=cast("User", request.user),
        keep_positions=request.POST.get("keep_positions") == "yes",
        wait=WAIT,
    )
    return redirect(reverse("halt-state"))


def _pressed(request: HttpRequest) -> list[Account]:
    """Return the accounts that a button stands for; none for one that is not the person's."""
    wanted = request.POST.get("account", "")
    own = _own(request)
    if wanted == "all":
        return list(own)
    return list(own.filter(pk=int(wanted))) if wanted.isdecimal() and len(wanted) < 19 else []


def _own(request: HttpRequest) -> Any:
    return accounts_of(request.user).select_related("limits", "owner").order_by("-mode", "pk")
