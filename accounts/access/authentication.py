"""How a call says who it comes from: a session, a token, or a key."""

from __future__ import annotations

from typing import Any

from rest_framework import authentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts.access.acts import ALL_SCOPES, Access
from accounts.access.credentials import by_header
from vibex.lib.errors import Rejected
from vibex.lib.requests import address_of

REALM = 'Bearer realm="vibex"'


class SessionAuthentication(authentication.SessionAuthentication):
    """A browser that signed in on the pages. What changes something needs the CSRF token of the pages."""

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        row = getattr(request._request, "sign_in_found", lambda: None)()
        return found[0], Access("session", ALL_SCOPES, row)


class _ByHeader(authentication.BaseAuthentication):
    """One scheme of the `Authorization` header. A header that is not valid is refused, whatever cookies come with it."""

    scheme: str

    def authenticate(self, request: Request) -> tuple[Any, Access] | None:
        header = request.META.get("HTTP_AUTHORIZATION", "")
        if header.partition(" ")[0].lower() != self.scheme:
            return None
        try:
            return by_header(header, address=address_of(request._request))
        except Rejected as fault:
            raise AuthenticationFailed(str(fault), code=fault.code) from fault

    def authenticate_header(self, request: Request) -> str:
        return REALM


class TokenAuthentication(_ByHeader):
    """`Authorization: Bearer <access token>`."""

    scheme = "bearer"


class KeyAuthentication(_ByHeader):
    """`Authorization: Api-Key <key>`."""

    scheme = "api-key"
