"""The writer of people."""

from __future__ import annotations

import secrets

from django.contrib.auth.password_validation import validate_password
from django.db import transaction

from accounts.models import User
from accounts.services.audit import Actor, audit_write, validation_told

PASSWORD_BYTES = 15
"""120 random bits: 20 characters that can be typed."""


def password_generate() -> str:
    """Return a random password. It is shown once and kept by nobody."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def user_create(*, email: str, password: str, operator: bool = False, actor: Actor = None) -> User:
    """Create a person; an operator may open the admin. Raises Rejected for a taken address or a weak password."""
    with transaction.atomic(), validation_told():
        validate_password(password, User(email=email))
        create = User.objects.create_superuser if operator else User.objects.create_user
        user = create(email, password)
        audit_write(actor=actor, action="user-create", obj=user, after={"email": user.email, "operator": operator})
    return user
