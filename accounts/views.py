"""Getting in and out: signing in with its second step, registering, a forgotten password, and the confirmation."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final, cast

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.access.acts import Act
from accounts.access.pages import (
    CODE,
    PASSWORD,
    acting,
    asked_of,
    confirm_here,
    enter,
    is_page_here,
    leave,
    sign_in_of,
    stay,
)
from accounts.forms_access import AddressForm, ChangePasswordForm, RegisterForm, SignInForm, TwiceForm
from accounts.models import User
from accounts.services.attempts import attempt_succeeded
from accounts.services.passwords import password_change, password_reset, password_reset_send
from accounts.services.people import person_register, sign_in_check
from accounts.services.second_factor import second_factor_check
from vibex.lib.errors import Rejected, Retryable, TooMany, VibexError
from vibex.lib.requests import address_of

type View = Callable[..., HttpResponse]

SECOND_STEP: Final = "second_step"
"""Name in the session of who gave a right password and still owes the code."""
SECOND_STEP_SECONDS: Final = 300
NEEDED: Final = "second-factor-needed"
CREDENTIALS: Final = "credentials"


def door(view: View) -> View:
    """Let everybody in: forms of people who are not signed in. They are never kept by a browser, nor in an error report."""
    secret = sensitive_post_parameters()(acting(Act.OPEN)(view))
    return login_not_required(never_cache(require_http_methods(["GET", "HEAD", "POST"])(secret)))


@door
def sign_in(request: HttpRequest) -> HttpResponse:
    """Take e-mail and password, then the code where there is a second factor."""
    if request.user.is_authenticated:
        return redirect(_next(request))
    if request.method == "POST" and "code" in request.POST:
        return _second_step(request)
    form = SignInForm(_posted(request))
    if request.method != "POST" or not form.is_valid():
        return _sign_in_page(request, form)
    return _first_step(request, form)


@require_POST
@acting(Act.OWN)
def sign_out(request: HttpRequest) -> HttpResponse:
    """Sign out; by POST only, so that no link or picture can do it."""
    leave(request)
    return redirect("login")


@door
def register(request: HttpRequest) -> HttpResponse:
    """Let somebody sign up, where the installation allows it."""
    if not settings.FEATURES.registration:
        raise Http404
    form = RegisterForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        given = {"email": form.cleaned_data["email"], "password": form.cleaned_data["password"]}
        refused = _refusal(form, lambda: person_register(**given, address=address_of(request)), field="password")
        if refused is None:
            messages.success(request, "If the address was not known before, you can sign in now.")
            return redirect("login")
    return _form_page(request, "accounts/register.html", form)


@door
def password_forgotten(request: HttpRequest) -> HttpResponse:
    """Mail a link to set another password. It is answered alike whether the address is known."""
    form = AddressForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        email, address = form.cleaned_data["email"], address_of(request)
        if _refusal(form, lambda: password_reset_send(email=email, address=address)) is None:
            return render(request, "accounts/password_sent.html")
    return _form_page(request, "accounts/password_forgotten.html", form)


@door
def password_set(request: HttpRequest, uid: str, token: str) -> HttpResponse:
    """Set another password by the link of a mail.

    The link is not put into the session first: a browser does not send the cookie of a session along with a link from
    elsewhere. The address stays out of logs and of what other hosts are told (Referrer-Policy).
    """
    form = TwiceForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        given = {"uid": uid, "token": token, "password": form.cleaned_data["password"]}
        if _refusal(form, lambda: password_reset(**given)) is None:
            messages.success(request, "Your password is set. All sign-ins were ended: sign in with the new one.")
            return redirect("login")
    return _form_page(request, "accounts/password_set.html", form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@acting(Act.OWN)
def password(request: HttpRequest) -> HttpResponse:
    """Change one's own password; all other sign-ins end."""
    form = ChangePasswordForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        given = {"old": form.cleaned_data["old"], "new": form.cleaned_data["password"]}
        user, row = _person(request), sign_in_of(request)
        if _refusal(form, lambda: password_change(user=user, **given, actor_row=row)) is None:
            stay(request, user)
            messages.success(request, "Your password is changed. All other sign-ins were ended.")
            return redirect("profile")
    return _form_page(request, "accounts/password.html", form)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@sensitive_post_parameters()
@acting(Act.OWN)
def confirm(request: HttpRequest) -> HttpResponse:
    """Take second factor or password again: opens live actions for a while."""
    user = _person(request)
    wrong: VibexError | None = None
    if request.method == "POST":
        try:
            confirm_here(request, password=request.POST.get(PASSWORD, ""), code=request.POST.get(CODE, ""))
        except VibexError as refusal:
            wrong = refusal
        else:
            minutes = settings.CONFIRM_MINUTES
            messages.success(
                request, f"Confirmed: you may act on real money for {minutes} minutes. Press the button again."
            )
            return redirect(_next(request))
    shown = {"about": "What you wanted to do acts on real money.", "wrong": wrong, "next": _next(request)}
    return render(request, "accounts/confirm.html", shown | asked_of(user), status=_status(wrong))


def _first_step(request: HttpRequest, form: SignInForm) -> HttpResponse:
    email, given = form.cleaned_data["username"], form.cleaned_data["password"]
    try:
        user = sign_in_check(email=email, password=given, code="", address=address_of(request))
    except VibexError as refusal:
        if getattr(refusal, "code", "") != NEEDED:
            return _sign_in_page(request, form, refusal)
        _owe_code(request, User.objects.get_by_natural_key(email.strip()))
        return render(request, "accounts/sign_in_code.html", {"next": _next(request)})
    return _entered(request, user)


def _second_step(request: HttpRequest) -> HttpResponse:
    user = _who_owes_code(request)
    wrong: VibexError
    if user is None:
        messages.error(request, "That took too long: begin again.")
        return redirect("login")
    try:
        if second_factor_check(user=user, code=request.POST["code"]):
            attempt_succeeded(address=address_of(request), email=user.email)
            return _entered(request, user)
        wrong = Rejected("That code is wrong, or was used already.", code="wrong")
    except VibexError as refusal:
        wrong = refusal
    shown = {"next": _next(request), "wrong": wrong}
    return render(request, "accounts/sign_in_code.html", shown, status=_status(wrong))


def _owe_code(request: HttpRequest, user: User) -> None:
    until = int(time.time()) + SECOND_STEP_SECONDS
    request.session.flush()
    request.session[SECOND_STEP] = {"user": user.pk, "until": until, "hash": user.get_session_auth_hash()}


def _who_owes_code(request: HttpRequest) -> User | None:
    """Return who gave the right password not long ago in this browser; None when the password was changed since."""
    owed = request.session.get(SECOND_STEP) or {}
    if owed.get("until", 0) < time.time():
        return None
    user = User.objects.filter(pk=owed["user"], is_active=True).first()
    return user if user is not None and user.get_session_auth_hash() == owed["hash"] else None


def _entered(request: HttpRequest, user: User) -> HttpResponse:
    request.session.pop(SECOND_STEP, None)
    enter(request, user)
    return redirect(_next(request))


def _sign_in_page(request: HttpRequest, form: SignInForm, refusal: VibexError | None = None) -> HttpResponse:
    shown = {
        "form": form,
        "wrong": refusal or bool(form.errors),
        "told": "" if getattr(refusal, "code", CREDENTIALS) == CREDENTIALS else str(refusal),
        "next": _next(request, ""),
        "from_elsewhere": request.headers.get("Sec-Fetch-Site") == "cross-site" and request.method != "POST",
        "registration": settings.FEATURES.registration,
    }
    return _with_wait(render(request, "accounts/sign_in.html", shown, status=_status(refusal)), refusal)


def _form_page(request: HttpRequest, template: str, form: Any) -> HttpResponse:
    refusal = getattr(form, "refusal", None)
    return _with_wait(render(request, template, {"form": form}, status=_status(refusal)), refusal)


def _refusal(form: Any, work: Callable[[], object], *, field: str | None = None) -> VibexError | None:
    """Do it; what was refused stands in the form afterwards, and is returned."""
    try:
        work()
    except VibexError as refusal:
        form.add_error(field if field in form.fields else None, str(refusal))
        form.refusal = refusal
        return refusal
    return None


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _status(refusal: VibexError | None) -> int:
    return 429 if isinstance(refusal, TooMany) else 503 if isinstance(refusal, Retryable) else 200


def _with_wait(answer: HttpResponse, refusal: VibexError | None) -> HttpResponse:
    if isinstance(refusal, TooMany):
        answer.headers["Retry-After"] = str(int(refusal.wait) + 1)
    return answer


def _next(request: HttpRequest, default: str = "/") -> str:
    """Return the page to go on to; only one of this installation."""
    wanted = request.POST.get("next") or request.GET.get("next") or default
    if wanted.startswith(reverse("logout")):
        return default  # somebody whose session had ended pressed the button
    return wanted if is_page_here(wanted) else default


def _person(request: HttpRequest) -> User:
    return cast("User", request.user)
