"""The first account of a person: one form in place of an empty page. It ends on the desk, with the bot stopped."""

from __future__ import annotations

from typing import Any, cast

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from accounts.access.acts import Act
from accounts.access.pages import RIGHT, acting
from accounts.domain.limit_presets import PRESETS
from accounts.domain.limit_words import groups
from accounts.models import User
from accounts.selectors import accounts_of
from trading.forms_setup import SetupForm
from trading.selectors.setting_up import deciders, markets, symbols_offered, whom_to_ask
from trading.services.setup import first_account_make
from vibex.lib.errors import Rejected


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.MANAGE)
def setup(request: HttpRequest) -> HttpResponse:
    """Show the form, and make what it says. Who has an account already is led to it."""
    known = accounts_of(request.user).order_by("pk").first()
    if known is not None:
        return redirect("desk", known.pk)
    return setup_page(request)


def setup_page(request: HttpRequest) -> HttpResponse:
    """Return the page of a person without an account; to one who may make none, whom to ask."""
    person = cast("User", request.user)
    if not person.has_perm(RIGHT):
        return render(request, "trading/no_account.html", {"here": "overview", "ask": whom_to_ask()})
    choices = markets()
    who = deciders()
    sent = request.POST if request.method == "POST" else None
    form = SetupForm(sent, markets=choices, symbols=symbols_offered(), known=who)
    if sent is not None and form.is_valid() and (done := _made(request, person, form)):
        return done
    presets = [(preset, groups(preset.limits)) for preset in PRESETS.values()]
    context = {"here": "overview", "form": form, "markets": choices, "deciders": who, "presets": presets}
    return render(request, "trading/setup.html", context, status=422 if sent is not None else 200)


def _made(request: HttpRequest, person: User, form: SetupForm) -> HttpResponse | None:
    """Make it and lead to the desk; None when it was refused, with the reason at its field."""
    values: dict[str, Any] = form.values()
    try:
        done = first_account_make(owner=person, **values)
    except Rejected as refusal:
        form.refuse(str(refusal), refusal.errors)
        return None
    if done.made and done.bot is not None:
        text = (
            f"{done.account.name} is ready. Its bot {done.bot.name} is stopped: look at its limits, then press Start."
        )
        messages.success(request, text)
    for warning in done.warnings:
        messages.warning(request, f"Is it meant like this? {warning}")
    return redirect("desk", done.account.pk)
