"""People who get in, for tests: with a password, with tokens, with keys, with a phone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pyotp
from django.core.cache import cache
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey, Role, SignIn, User
from accounts.services import user_create
from accounts.services.api_keys import api_key_create
from accounts.services.second_factor import second_factor_begin, second_factor_confirm

PASSWORD = "correct horse battery"
NEW = "another horse entirely"
AUTH = "/api/v1/auth/"
NOON = datetime(2026, 11, 29, 12, 0, 5, tzinfo=UTC)


def somebody(email: str = "anna@example.com", role: Role = Role.TRADER) -> User:
    return user_create(email=email, password=PASSWORD, role=role)


def post(client: Client, address: str, body=None, *, bearer: str = "", key: str = "", method: str = "post"):
    """Call an address of getting in, as a program does."""
    headers = {"Authorization": f"Bearer {bearer}"} if bearer else {"Authorization": f"Api-Key {key}"} if key else {}
    return getattr(client, method)(
        AUTH + address, body if body is not None else {}, content_type="application/json", headers=headers
    )


def get(client: Client, address: str, *, bearer: str = "", key: str = "", authorization: str = ""):
    header = authorization or (f"Bearer {bearer}" if bearer else f"Api-Key {key}" if key else "")
    return client.get(AUTH + address, headers={"Authorization": header} if header else {})


def tokens_of(user: User, **more) -> dict:
    """Sign in as a program of its own does; what was counted is forgotten."""
    answer = post(Client(), "login/", {"email": user.email, "password": PASSWORD, **more})
    assert answer.status_code == 200, answer.content
    cache.clear()
    return answer.json()


def key_of(user: User, *scopes: str, name: str = "desk", expires=None) -> tuple[ApiKey, str]:
    return api_key_create(user=user, name=name, scopes=scopes or ("read",), expires=expires, actor=user)


def phone_of(user: User) -> tuple[pyotp.TOTP, tuple[str, ...]]:
    """Put a second factor in force with the code of half a minute ago; the present one is still good."""
    totp = pyotp.TOTP(second_factor_begin(user=user).secret)
    return totp, second_factor_confirm(user=user, code=totp.at(timezone.now() - timedelta(seconds=30)))


def session_row(user: User) -> SignIn:
    return SignIn.objects.filter(user=user, kind="session").latest("pk")


def long_ago(row: SignIn | ApiKey) -> None:
    """Let the confirmation of a sign-in or key be hours old."""
    type(row).objects.filter(pk=row.pk).update(confirmed=timezone.now() - timedelta(hours=3))
