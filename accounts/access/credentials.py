"""What is behind the `Authorization` header: the same for calls and for streams."""

from __future__ import annotations

from typing import Final

from django.utils import timezone

from accounts.access.acts import ALL_SCOPES, Access
from accounts.models import User
from accounts.services.api_keys import api_key_used, api_key_valid
from accounts.services.sign_ins import sign_in_of_token, sign_in_seen
from vibex.lib.errors import Rejected

LONGEST: Final = 4096


def by_header(header: str, *, address: str | None) -> tuple[User, Access] | None:
    """Return whom a header names; None when it is none of ours. One query.

    Raises Rejected (code token or signed-out) for a token or key that is not valid.
    """
    scheme, _, secret = header.partition(" ")
    secret = secret.strip()
    match scheme.lower():
        case "bearer":
            return by_token(secret)
        case "api-key":
            return by_key(secret, address=address)
    return None


def by_token(secret: str) -> tuple[User, Access]:
    """Return whose access token it is. Raises Rejected."""
    row = sign_in_of_token(secret[:LONGEST])
    sign_in_seen(row, now=timezone.now())
    return row.user, Access("tokens", ALL_SCOPES, row)


def by_key(secret: str, *, address: str | None) -> tuple[User, Access]:
    """Return whose key it is. Raises Rejected."""
    key = api_key_valid(secret[:LONGEST])
    if key is None:
        raise Rejected("This key is not valid: mistyped, revoked or expired.", code="token")
    api_key_used(key, address=address, now=timezone.now())
    return key.user, Access("key", frozenset(key.scopes), key)
