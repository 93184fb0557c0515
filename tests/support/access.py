"""Browsers of tests that have confirmed, and codes of a second factor."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from accounts.models import SignIn, User


def confirmed(client: Any) -> Any:
    """Return the signed-in client after its person has given second factor or password again."""
    session = client.session
    user_id = int(session["_auth_user_id"])
    rows = SignIn.objects.filter(session_key=session.session_key)
    if not rows.update(confirmed=timezone.now()):
        SignIn.objects.create(
            user_id=user_id, kind=SignIn.Kind.SESSION, session_key=session.session_key, confirmed=timezone.now()
        )
    return client


def second_factor_of(user: User) -> tuple[str, tuple[str, ...]]:
    """Put a second factor in force; return its secret and the recovery codes. The code of now is used up."""
    import pyotp

    from accounts.services.second_factor import second_factor_begin, second_factor_confirm

    secret = second_factor_begin(user=user).secret
    return secret, second_factor_confirm(user=user, code=pyotp.TOTP(secret).now())
