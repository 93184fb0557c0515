"""Whom a browser's session belongs to; and times are shown in the zone of the person who looks."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast
from zoneinfo import ZoneInfo

from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.functional import SimpleLazyObject

from accounts.models import SignIn, User
from accounts.services.sign_ins import session_person, sign_in_begin, sign_in_end, sign_in_moved, sign_in_seen
from vibex.lib.requests import address_of

UTC = ZoneInfo("UTC")

type View = Callable[[HttpRequest], HttpResponse]
type Person = User | AnonymousUser


def sign_ins(get_response: View) -> View:
    """Set `request.user` and `request.sign_in`, looked up when first wanted, in one query for both.

    A session whose sign-in was ended is nobody's. One that has no sign-in on record, because it is older than the
    records, gets one. Stands after the middleware of authentication, in whose place it finds the person.
    """

    def respond(request: HttpRequest) -> HttpResponse:
        known = _Known(request)
        request.user = SimpleLazyObject(known.person)  # type: ignore[assignment]
        request.sign_in = SimpleLazyObject(known.sign_in)  # type: ignore[attr-defined]
        request.sign_in_found = known.sign_in  # type: ignore[attr-defined]  # for who asks whether there is one
        response = get_response(request)
        known.followed()
        if known.was_somebody() and not response.has_header("Cache-Control"):
            # What one person sees is kept by nobody, so that it is not there for the next one at the same browser.
            response.headers["Cache-Control"] = "no-store, private"
        return response

    return respond


class _Known:
    """What is known of the session of one request."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._row: SignIn | None = None

    def person(self) -> Person:
        found: Person | None = getattr(self._request, "_cached_user", None)  # a view may have signed somebody in
        if found is None:
            found = self._found()
            self._request._cached_user = found  # type: ignore[attr-defined]  # where Django keeps it, and the log looks
        return found

    def sign_in(self) -> SignIn | None:
        self.person()
        return self._row

    def was_somebody(self) -> bool:
        """Return whether a person was found, without looking for one."""
        found: Person | None = getattr(self._request, "_cached_user", None)
        return found is not None and found.is_authenticated

    def followed(self) -> None:
        """Keep the row in step with what a view did to the session: another key, or signed out."""
        row, session = self._row, self._request.session
        if row is None or session.session_key == row.session_key:
            return
        if session.session_key and session.get(SESSION_KEY) == str(row.user_id):
            sign_in_moved(sign_in=row, session_key=session.session_key)
        else:
            sign_in_end(sign_in=row, actor=row.user, reason="signed out")

    def _found(self) -> Person:
        request = self._request
        if SESSION_KEY not in request.session:
            return AnonymousUser()
        found = session_person(request.session)
        if found is None:
            request.session.flush()
            return AnonymousUser()
        user, self._row = found
        if self._row is None:
            self._row = self._recorded(user)
        sign_in_seen(self._row, now=timezone.now())
        return user

    def _recorded(self, user: User) -> SignIn:
        return sign_in_begin(
            user=user,
            kind=SignIn.Kind.SESSION,
            address=address_of(self._request),
            agent=self._request.headers.get("User-Agent", ""),
            session_key=cast("str", self._request.session.session_key),
            confirmed=False,
        )


def user_time_zone(get_response: View) -> View:
    """Activate the time zone of the signed-in person for a page. The API, and an unknown zone, have UTC."""

    def respond(request: HttpRequest) -> HttpResponse:
        with timezone.override(_zone_of(request)):
            return get_response(request)

    return respond


def _zone_of(request: HttpRequest) -> ZoneInfo:
    if request.path.startswith("/api/") or not request.user.is_authenticated:
        return UTC
    try:
        return ZoneInfo(request.user.time_zone)
    except (KeyError, ValueError, OSError):
        return UTC
