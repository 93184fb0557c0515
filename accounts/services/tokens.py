"""The tokens of programs: made and read here only. Signed with a key of their own that is derived from SECRET_KEY.

Of a refresh token only its identity is stored: who reads the database gets no token.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.conf import settings
from django.utils.crypto import salted_hmac
from rest_framework_simplejwt import tokens as stock
from rest_framework_simplejwt.backends import TokenBackend
from rest_framework_simplejwt.exceptions import TokenError
from rest_framework_simplejwt.token_blacklist.models import BlacklistedToken, OutstandingToken
from rest_framework_simplejwt.utils import datetime_from_epoch

from accounts.models import SignIn
from vibex.lib.errors import Rejected

ALGORITHM: Final = "HS256"
SIGN_IN: Final = "sid"
PERSON: Final = "user_id"


class _Signed:
    """Signs and reads with our key, by one algorithm."""

    @property
    def token_backend(self) -> TokenBackend:
        key = salted_hmac("vibex.tokens", "sign", secret=settings.SECRET_KEY, algorithm="sha256").hexdigest()
        return TokenBackend(ALGORITHM, key)


class AccessToken(_Signed, stock.AccessToken):
    """Opens calls for minutes."""


class RefreshToken(_Signed, stock.RefreshToken):  # type: ignore[misc]  # the library's own bases differ
    """Is given once for the next pair. Whether it was given before is decided under the lock of its sign-in."""

    access_token_class = AccessToken

    def check_blacklist(self) -> None:
        """Leave that to the rotation."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a program gets."""

    access: str
    refresh: str
    access_expires: datetime
    refresh_expires: datetime


def refresh_token_new() -> RefreshToken:
    """Return a refresh token of nobody yet; its identity is `refresh_id_of`."""
    return RefreshToken()


def refresh_id_of(token: RefreshToken) -> str:
    return str(token["jti"])


def tokens_issue(sign_in: SignIn, refresh: RefreshToken) -> Tokens:
    """Return the pair for a sign-in, and note the refresh token as one that is out."""
    refresh[SIGN_IN], refresh[PERSON] = sign_in.pk, str(sign_in.user_id)
    access = refresh.access_token
    OutstandingToken.objects.create(
        user_id=sign_in.user_id,
        jti=refresh_id_of(refresh),
        token="",
        created_at=refresh.current_time,
        expires_at=_expiry(refresh),
    )
    return Tokens(str(access), str(refresh), _expiry(access), _expiry(refresh))


def access_token_read(text: str) -> tuple[int, int]:
    """Return sign-in and person of an access token. Raises Rejected (code token) for any other text, and once expired."""
    return _named(_read(AccessToken, text))


def refresh_token_read(text: str) -> tuple[int, int, str]:
    """Return sign-in, person and identity of a refresh token. Raises Rejected (code token) as above."""
    token = _read(RefreshToken, text)
    return (*_named(token), refresh_id_of(token))


def refresh_void(refresh_id: str) -> None:
    """Put a refresh token on the list of those that count no more."""
    token = OutstandingToken.objects.filter(jti=refresh_id).first()
    if token is not None:
        BlacklistedToken.objects.get_or_create(token=token)


def refresh_voided(refresh_id: str) -> datetime | None:
    """Return since when a refresh token counts no more; None when it was never replaced."""
    return BlacklistedToken.objects.filter(token__jti=refresh_id).values_list("blacklisted_at", flat=True).first()


def tokens_forget(before: datetime) -> int:
    """Delete what is kept of refresh tokens that expired before; return how many."""
    return OutstandingToken.objects.filter(expires_at__lt=before).delete()[0]


def _read[T: stock.Token](kind: type[T], text: str) -> T:
    try:
        return kind(text)  # type: ignore[arg-type]  # the library types it as a token, and reads text
    except TokenError as fault:
        raise Rejected("This token is not valid, or has expired.", code="token") from fault


def _named(token: stock.Token) -> tuple[int, int]:
    try:
        return int(token[SIGN_IN]), int(token[PERSON])
    except (KeyError, TypeError, ValueError) as fault:
        raise Rejected("This token is not valid.", code="token") from fault


def _expiry(token: Any) -> datetime:
    moment: datetime = datetime_from_epoch(token["exp"])
    return moment
