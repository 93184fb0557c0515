"""Who opens a stream, and whether they may still listen. The same three ways as for calls, and one-time tickets.

A token or key never stands in an address: addresses end in logs. A browser's cookie counts only from a page of ours
(or of CORS_ALLOWED_ORIGINS), because browsers send it with the handshakes of every page.
"""

from __future__ import annotations

from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from channels.db import database_sync_to_async
from django.conf import settings
from django.http.request import validate_host
from django.utils import timezone

from accounts.access.acts import ALL_SCOPES, Access
from accounts.access.credentials import by_header
from accounts.access.tickets import ticket_take
from accounts.domain.access import key_prefix
from accounts.models import ApiKey, SignIn, User
from accounts.services.api_keys import api_key_stands
from accounts.services.sign_ins import session_person, session_store
from vibex.lib.errors import Rejected
from vibex.lib.requests import address_behind_proxy

LOCAL: Final = ["localhost", "127.0.0.1", "[::1]"]
"""Hosts that Django allows while it is debugged and none is named."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who listens, and how they got in."""

    user: User
    access: Access


async def caller(scope: dict[str, Any]) -> Caller | None:
    """Return who opens a stream; None for nobody, and for a handshake that carries a secret in its address."""
    found: Caller | None = await database_sync_to_async(caller_now)(scope)
    return found


def caller_now(scope: dict[str, Any]) -> Caller | None:
    """Return the same, where waiting for the database is allowed."""
    headers = {name.lower(): value for name, value in scope.get("headers", [])}
    query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
    if any(is_secret(value) for values in query.values() for value in values):
        return None
    if tickets := query.get("ticket"):
        return _by_ticket(tickets[0])
    if header := headers.get(b"authorization", b"").decode("latin-1"):
        return _by_header(header, scope)
    if not from_allowed_origin(headers):
        return None
    return _by_cookie(headers.get(b"cookie", b"").decode("latin-1"))


def still_in(known: Caller) -> Caller | None:
    """Return the caller as they are now; None once the sign-in ended, the key was revoked or expired, or they are out."""
    match known.access.row:
        case SignIn(pk=pk):
            return _of_sign_in(known.access.kind, pk)
        case ApiKey(pk=pk):
            return _of_key(pk)
    return None


def is_secret(text: str) -> bool:
    """Return whether a part of an address is a token or key, which has no business there."""
    return text.startswith("eyJ") or key_prefix(text) is not None


def from_allowed_origin(headers: dict[bytes, bytes]) -> bool:
    """Return whether a handshake comes from a page of this host, or of an origin that is allowed by name."""
    origin = headers.get(b"origin", b"").decode("latin-1").rstrip("/").lower()
    if origin in {*settings.CORS_ALLOWED_ORIGINS, *settings.CSRF_TRUSTED_ORIGINS}:
        return True
    try:
        parts = urlsplit(origin)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    if parts.scheme not in ("http", "https") or not host:
        return False
    name = f"[{host}]" if ":" in host else host
    allowed = settings.ALLOWED_HOSTS or (LOCAL if settings.DEBUG else [])
    if not validate_host(name, allowed):
        return False
    # Another port of the same machine is another page. Only who is no browser leaves the host out.
    asked = headers.get(b"host", b"").decode("latin-1").lower()
    default = {"http": 80, "https": 443}[parts.scheme]
    wanted = {f"{name}:{port or default}"} | ({name} if port in (None, default) else set())
    return not asked or asked in wanted


def _by_ticket(ticket: str) -> Caller | None:
    found = ticket_take(ticket)
    if found is None:
        return None
    return _of_key(found.row_id) if found.kind == "key" else _of_sign_in(found.kind, found.row_id)


def _by_header(header: str, scope: dict[str, Any]) -> Caller | None:
    try:
        found = by_header(header, address=_address_of(scope))
    except Rejected:
        return None
    return Caller(*found) if found else None


def _address_of(scope: dict[str, Any]) -> str | None:
    client = scope.get("client") or [None]
    forwarded = dict(scope.get("headers", [])).get(b"x-forwarded-for", b"").decode("latin-1")
    return address_behind_proxy(client[0], forwarded)


def _by_cookie(cookie: str) -> Caller | None:
    try:
        morsel = SimpleCookie(cookie).get(settings.SESSION_COOKIE_NAME)
    except CookieError:
        return None
    if morsel is None or "\0" in morsel.value:
        return None
    found = session_person(session_store()(morsel.value))
    if found is None or found[1] is None:
        return None
    return Caller(found[0], Access("session", ALL_SCOPES, found[1]))


def _of_sign_in(kind: str, row_id: int) -> Caller | None:
    row = SignIn.objects.select_related("user").filter(pk=row_id, ended__isnull=True).first()
    if row is None or not row.user.is_active:
        return None
    return Caller(row.user, Access(kind, ALL_SCOPES, row))


def _of_key(row_id: int) -> Caller | None:
    row = ApiKey.objects.select_related("user").filter(pk=row_id).first()
    if row is None or not api_key_stands(row, now=timezone.now()):
        return None
    return Caller(row.user, Access("key", frozenset(row.scopes), row))
