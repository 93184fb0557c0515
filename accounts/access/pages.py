"""Who may act on the pages, and that what may raise the risk of real money asks for second factor or password first.

A view that changes something says what it does (`acting`), and names the account before it does it (`real_money`). A
form that is sent without a fresh confirmation is answered by the page that asks for one. That page holds what was
typed, sealed, and does it once the answer is right: nothing has to be typed twice, and no secret stands in the page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, Final, cast

from django.contrib.auth import login, logout, update_session_auth_hash
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.cache import add_never_cache_headers
from django.utils.functional import LazyObject
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django_htmx.http import HttpResponseClientRedirect

from accounts.access.acts import ALL_SCOPES, Access, Act
from accounts.access.confirm import is_confirmed
from accounts.access.permissions import NEEDS_RIGHT
from accounts.models import Account, ApiKey, SignIn, User
from accounts.services.sealing import all_keys, opened, sealed
from accounts.services.second_factor import second_factor_in_force
from accounts.services.sign_ins import confirm, sign_in_begin, sign_in_end, sign_in_moved
from vibex.lib.errors import VibexError
from vibex.lib.requests import address_of

type View = Callable[..., HttpResponse]

SAFE: Final = ("GET", "HEAD", "OPTIONS", "TRACE")
RIGHT: Final = "accounts.trade"
KEPT_SECONDS: Final = 900
"""How long a form waits for its confirmation."""
KEPT, PASSWORD, CODE = "confirm_kept", "confirm_password", "confirm_code"
"""Fields of the page that asks."""


class ConfirmationWanted(Exception):
    """Second factor or password have to be given first; `about` says for what."""

    def __init__(self, about: str) -> None:
        super().__init__(about)
        self.about = about


def acting(act: Act | Mapping[str, Act]) -> Callable[[View], View]:
    """Say what a view does when something is sent to it; by the `act` of its address where it does several things.

    Who may not act on money is refused (403). Confirmations that the view asks for are turned into the page for them.
    """

    def decorate(view: View) -> View:
        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            if request.method in SAFE:
                return _looking(request, lambda: view(request, *args, **kwargs))
            said = act if isinstance(act, Act) else act.get(kwargs.get("act", ""))
            request.act = said  # type: ignore[attr-defined]
            if said in NEEDS_RIGHT and request.user.is_authenticated:
                right_wanted(request)
            return asking(request, lambda: view(request, *args, **kwargs))

        inner.acts = act  # type: ignore[attr-defined]
        return inner

    return decorate


def asking(request: HttpRequest, work: Callable[[], HttpResponse]) -> HttpResponse:
    """Do the work of a form, after the confirmation that came with it; where one is missing, return the page for it."""
    try:
        if KEPT in request.POST:
            held = _held(request)
            try:
                confirm_here(request, password=request.POST.get(PASSWORD, ""), code=request.POST.get(CODE, ""))
            except VibexError as wrong:
                return _page(request, held["about"], request.POST[KEPT], wrong)
            request.POST = _post_of(held)  # type: ignore[assignment]
        return work()
    except ConfirmationWanted as wanted:
        return _ask(request, wanted.about)


def _looking(request: HttpRequest, work: Callable[[], HttpResponse]) -> HttpResponse:
    """Show a page; one that may only be read after a confirmation leads to it, and back."""
    try:
        return work()
    except ConfirmationWanted:
        return redirect(f"{reverse('confirm')}?{urlencode({'next': request.get_full_path()})}")


def right_wanted(request: HttpRequest) -> None:
    """Raises PermissionDenied for somebody who may only look."""
    if not cast("User", request.user).has_perm(RIGHT):
        raise PermissionDenied


def real_money(request: HttpRequest, account: Account) -> None:
    """Want a confirmation where real money is concerned and risk may rise. Raises ConfirmationWanted."""
    if account.real and getattr(request, "act", None) is not Act.END:
        confirmation_wanted(request, f"This acts on real money: the account {account.name}.")


def any_real_money(request: HttpRequest) -> None:
    """The same for what may concern every account of the installation. Raises ConfirmationWanted."""
    if real_accounts_exist():
        confirmation_wanted(request, "This may change what happens with real money.")


def confirmation_wanted(request: HttpRequest, about: str) -> None:
    """Want second factor or password, given not long ago. Raises ConfirmationWanted."""
    if not fresh(request):
        raise ConfirmationWanted(about)


def real_accounts_exist() -> bool:
    return Account.objects.filter(mode=Account.Mode.LIVE, network=Account.Network.MAINNET).exists()


def fresh(request: HttpRequest) -> bool:
    """Return whether second factor or password were given not long ago in this browser."""
    return is_confirmed(Access("session", ALL_SCOPES, sign_in_of(request)), timezone.now())


def sign_in_of(request: HttpRequest) -> SignIn | None:
    """Return the sign-in of this browser; None for nobody."""
    row = getattr(request, "sign_in", None)
    if not row:
        return None
    # The row itself: what is noted on it has to be seen by everybody who asks in the same request.
    return cast("SignIn", row._wrapped if isinstance(row, LazyObject) else row)


def enter(request: HttpRequest, user: User) -> SignIn:
    """Sign a person in whose password and second factor were right: a new session, and the row that it is known by."""
    login(request, user)
    return sign_in_begin(
        user=user,
        kind=SignIn.Kind.SESSION,
        session_key=request.session.session_key or "",
        address=address_of(request),
        agent=request.headers.get("User-Agent", ""),
    )


def stay(request: HttpRequest, user: User) -> None:
    """Let this browser stay signed in after the password of its person was changed here."""
    row = sign_in_of(request)
    update_session_auth_hash(request, user)
    if row is not None:
        sign_in_moved(sign_in=row, session_key=request.session.session_key or "")


def leave(request: HttpRequest) -> None:
    """Sign out: the sign-in ends with its session."""
    if (row := sign_in_of(request)) is not None:
        sign_in_end(sign_in=row, actor=cast("User", request.user), reason="signed out")
    logout(request)


def confirm_here(request: HttpRequest, *, password: str, code: str) -> None:
    """Open live actions for a while in this browser. Raises Rejected (code `wrong`), TooMany."""
    row: SignIn | ApiKey | None = sign_in_of(request)
    if row is None:
        raise PermissionDenied
    confirm(user=cast("User", request.user), row=row, password=password, code=code)


def is_page_here(wanted: str) -> bool:
    """Return whether an address that came along leads to a page of this installation: a path, never a name or another host."""
    return wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)


def asked_of(user: User) -> dict[str, Any]:
    """Return what the page that asks shows: whether it wants a code, or the password."""
    return {"by_code": second_factor_in_force(user), "password_name": PASSWORD, "code_name": CODE}


def _ask(request: HttpRequest, about: str) -> HttpResponse:
    if request.htmx:  # type: ignore[attr-defined]
        return HttpResponseClientRedirect(f"{reverse('confirm')}?{urlencode({'next': _shown_page(request)})}")
    return _page(request, about, _sealed_post(request, about))


def _page(request: HttpRequest, about: str, kept: str, wrong: VibexError | None = None) -> HttpResponse:
    shown = {"about": about, "wrong": wrong, "kept": kept, "kept_name": KEPT, "target": request.get_full_path()}
    answer = render(request, "accounts/confirm.html", shown | asked_of(cast("User", request.user)), status=403)
    add_never_cache_headers(answer)
    return answer


def _sealed_post(request: HttpRequest, about: str) -> str:
    posted = {name: values for name, values in request.POST.lists() if name != "csrfmiddlewaretoken"}
    whose = {"of": request.user.pk, "path": request.get_full_path()}
    return sealed(whose | {"at": int(time.time()), "about": about, "post": posted})


def _held(request: HttpRequest) -> dict[str, Any]:
    """Return what was typed into the form that now is confirmed. Raises PermissionDenied for another's, or an old one."""
    held = opened(request.POST[KEPT], all_keys())
    if held is None or (held.get("of"), held.get("path")) != (request.user.pk, request.get_full_path()):
        raise PermissionDenied
    if time.time() - held["at"] > KEPT_SECONDS:
        raise PermissionDenied
    return held


def _post_of(held: dict[str, Any]) -> QueryDict:
    post = QueryDict(mutable=True)
    for name, values in held["post"].items():
        post.setlist(name, values)
    post._mutable = False
    return post


def _shown_page(request: HttpRequest) -> str:
    """Return the address of the page on which HTMX acted."""
    shown = request.htmx.current_url_abs_path or "/"  # type: ignore[attr-defined]
    return shown if is_page_here(shown) else "/"
