"""The person's own page: time zone, second factor, where they are signed in, and the keys of their programs."""

from __future__ import annotations

from tempfile import TemporaryFile
from typing import Any, cast

from django.contrib import messages
from django.http import FileResponse, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters, sensitive_variables
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.acts import Act
from accounts.access.pages import acting, confirmation_wanted, leave, sign_in_of
from accounts.domain.agents import agent_words
from accounts.forms_access import KeyForm, TimeZoneForm
from accounts.models import User
from accounts.selectors import accounts_of
from accounts.services.api_keys import api_key_create, api_key_revoke
from accounts.services.people import person_change
from accounts.services.privacy import person_export
from accounts.services.second_factor import (
    recovery_codes_left,
    second_factor_begin,
    second_factor_confirm,
    second_factor_in_force,
    second_factor_pending,
    second_factor_remove,
)
from accounts.services.sign_ins import sign_in_end, sign_ins_end, sign_ins_of
from vibex.lib.errors import Rejected, VibexError

OF_SECOND_FACTOR = "From then on a code of this phone opens your account and acts on real money."
OF_EXPORT = "The archive holds all that is stored about you, your trades too."
OF_KEYS = "A program with this key may do what you chose, without your password."


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@acting(Act.OWN)
def profile(request: HttpRequest) -> HttpResponse:
    """Show the page, and take another time zone."""
    user = _person(request)
    form = TimeZoneForm(request.POST if request.method == "POST" else None, person=user)
    if request.method == "POST" and form.is_valid():
        person_change(user=user, time_zone=form.cleaned_data["time_zone"], actor=user)
        messages.success(request, f"Times are shown in {form.cleaned_data['time_zone']}.")
        return redirect("profile")
    return _page(request, zone_form=form)


@require_POST
@acting(Act.OWN)
def sign_in_stop(request: HttpRequest, sign_in_id: int) -> HttpResponse:
    """End one of the person's sign-ins; of this browser it is signing out."""
    row = get_object_or_404(sign_ins_of(_person(request)), pk=sign_in_id)
    here = sign_in_of(request)
    if here is not None and here.pk == row.pk:
        leave(request)
        return redirect("login")
    sign_in_end(sign_in=row, actor=_person(request), reason="ended by the person")
    messages.success(request, "That sign-in is ended.")
    return redirect("profile")


@require_POST
@acting(Act.OWN)
def sign_ins_stop(request: HttpRequest) -> HttpResponse:
    """End all sign-ins of the person but this one."""
    user = _person(request)
    ended = sign_ins_end(user=user, actor=user, reason="ended by the person", but=sign_in_of(request))
    messages.success(request, f"{ended} ended. You are signed in here only.")
    return redirect("profile")


@never_cache
@require_POST
@sensitive_variables("secret")
@acting(Act.OWN)
def key_add(request: HttpRequest) -> HttpResponse:
    """Make a key and show it, this once."""
    form = KeyForm(request.POST)
    if form.is_valid():
        confirmation_wanted(request, OF_KEYS)
        given = {"name": form.cleaned_data["name"], "scopes": form.all_scopes, "expires": form.expires}
        user = _person(request)
        try:
            key, secret = api_key_create(user=user, actor=user, **given)
        except Rejected as refusal:
            form.add_error(None, str(refusal))
        else:
            return render(request, "accounts/key_made.html", _frame(request) | {"key": key, "secret": secret})
    return _page(request, key_form=form)


@require_POST
@acting(Act.OWN)
def key_end(request: HttpRequest, key_id: int) -> HttpResponse:
    """Revoke a key of the person: it stops working at once."""
    key = get_object_or_404(_person(request).api_keys.filter(revoked__isnull=True), pk=key_id)
    api_key_revoke(key=key, actor=_person(request))
    messages.success(request, f"{key.name} is revoked.")
    return redirect("profile")


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@acting(Act.OWN)
def second_factor(request: HttpRequest) -> HttpResponse:
    """Begin with a second factor, and take its first code; then the recovery codes are shown, this once."""
    user = _person(request)
    wrong: VibexError | None = None
    if second_factor_in_force(user):
        return redirect("profile")
    if request.method == "POST" and "code" in request.POST:
        try:
            codes = second_factor_confirm(user=user, code=request.POST["code"], row=sign_in_of(request))
        except VibexError as refusal:
            wrong = refusal
        else:
            return render(request, "accounts/second_factor_made.html", _frame(request) | {"codes": "\n".join(codes)})
    elif request.method == "POST":
        confirmation_wanted(request, OF_SECOND_FACTOR)
        second_factor_begin(user=user)
        return redirect("second-factor")
    return _enrolment(request, wrong)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@acting(Act.OWN)
def second_factor_end(request: HttpRequest) -> HttpResponse:
    """Remove the second factor, by password and a code."""
    user = _person(request)
    wrong: VibexError | None = None
    if not second_factor_in_force(user):
        return redirect("profile")
    if request.method == "POST":
        given = {name: request.POST.get(name, "") for name in ("password", "code")}
        try:
            second_factor_remove(user=user, actor=user, **given)
        except VibexError as refusal:
            wrong = refusal
        else:
            messages.success(request, "The second factor is removed. Your password alone opens your account now.")
            return redirect("profile")
    return render(request, "accounts/second_factor_end.html", _frame(request) | {"wrong": wrong})


@never_cache
@require_POST
@acting(Act.OWN)
def own_data(request: HttpRequest) -> HttpResponse:
    """Give the person everything that is stored about them, as one archive."""
    confirmation_wanted(request, OF_EXPORT)
    user, file = _person(request), TemporaryFile()  # noqa: SIM115 - the answer closes it
    person_export(user=user, to=file, actor=user)
    file.seek(0)
    answer = FileResponse(file, as_attachment=True, filename=f"vibex-{timezone.now():%Y-%m-%d}.zip")
    return cast("HttpResponse", answer)  # the stubs know one kind of answer only


def _enrolment(request: HttpRequest, wrong: VibexError | None) -> HttpResponse:
    """Show what a phone needs. Only to somebody who confirmed: who may read it could make the codes as well."""
    confirmation_wanted(request, OF_SECOND_FACTOR)
    pending = second_factor_pending(_person(request))
    if pending is None:
        return redirect("profile")
    return render(request, "accounts/second_factor.html", _frame(request) | {"enrolment": pending, "wrong": wrong})


def _page(request: HttpRequest, **forms: Any) -> HttpResponse:
    user, here = _person(request), sign_in_of(request)
    in_force = second_factor_in_force(user)
    context = {
        "zone_form": TimeZoneForm(person=user),
        "key_form": KeyForm(),
        "role": ", ".join(user.groups.values_list("name", flat=True)) or ("operator" if user.is_superuser else "none"),
        "in_force": in_force,
        "codes_left": recovery_codes_left(user) if in_force else 0,
        "sign_ins": [
            (row, agent_words(row.agent), here is not None and row.pk == here.pk) for row in sign_ins_of(user)
        ],
        "keys": user.api_keys.filter(revoked__isnull=True),
        "now": timezone.now(),
    }
    return render(request, "accounts/profile.html", _frame(request) | context | forms)


def _frame(request: HttpRequest) -> dict[str, Any]:
    """Return what the frame of the page shows: the way back to the person's first account."""
    return {"account": accounts_of(request.user).order_by("pk").first(), "here": "profile"}


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)
