"""The writer of people: made, registered, let in, changed."""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.utils import timezone

from accounts.models import Role, User
from accounts.services.attempts import attempt, attempt_succeeded
from accounts.services.audit import Actor, audit_write, validation_told
from accounts.services.second_factor import second_factor_check, second_factor_in_force
from vibex.lib.errors import Rejected, Retryable

log = logging.getLogger(__name__)
PASSWORD_BYTES = 15
"""120 random bits: 20 characters that can be typed."""
AT_ONCE: Final = 4
"""Passwords that one process checks at a time: each takes 100 MB and a core, also for somebody who makes them up."""
PATIENCE: Final = timedelta(seconds=3)
_checking = threading.BoundedSemaphore(AT_ONCE)


def password_generate() -> str:
    """Return a random password. It is shown once and kept by nobody."""
    return secrets.token_urlsafe(PASSWORD_BYTES)


def user_create(
    *, email: str, password: str, operator: bool = False, role: Role = Role.TRADER, actor: Actor = None
) -> User:
    """Create a person with a role. With `operator` they may do everything, the admin included.

    Raises Rejected for a taken address or a weak password.
    """
    with transaction.atomic(), validation_told():
        validate_password(password, User(email=email))
        user = (
            User.objects.create_superuser(email, password)
            if operator
            else User.objects.create_user(email, password, role=role)
        )
        after = {"email": user.email, "operator": operator, "role": None if operator else role}
        audit_write(actor=actor, action="user-create", obj=user, after=after)
    return user


def person_named(email: str) -> User:
    """Return the person with an address. Raises Rejected when there is none."""
    user = User.objects.filter(email__iexact=email.strip()).first()
    if user is None:
        raise Rejected(f"There is nobody with the address {email}.", code="not-found")
    return user


def person_register(*, email: str, password: str, address: str | None) -> None:
    """Let a stranger in as a viewer, who sees nothing of others and spends nothing until an operator gives more.

    An address that is known changes nothing and is answered alike. Raises Rejected where people cannot register, and for
    a weak password; TooMany.
    """
    if not settings.FEATURES.registration:
        raise Rejected("People cannot register here. Ask an operator.", code="registration-off")
    attempt(address=address, email=email)
    if User.objects.filter(email__iexact=email.strip()).exists():
        with validation_told():
            validate_password(password, User(email=email))
        _hash(password)
        log.info("somebody registered with an address that is known", extra={"address": address})
        return
    try:
        _checked(lambda: user_create(email=email.strip(), password=password, role=Role.VIEWER))
    except Rejected as fault:
        if fault.code != "conflict":  # somebody else with the same address was faster
            raise


def sign_in_check(*, email: str, password: str, code: str, address: str | None) -> User:
    """Return who has this address, password and, where a second factor is in force, code.

    Raises Rejected with code credentials (the same, in the same time, for an address that is not known),
    second-factor-needed or second-factor-wrong; TooMany.
    """
    email = email.strip()
    attempt(address=address, email=email)
    user = _checked(lambda: _known(email, password))
    if user is None:
        # No address in clear: a person may have typed the password there.
        log.warning("sign-in refused", extra={"address": address, "why": "credentials"})
        raise Rejected("E-mail address or password is wrong.", code="credentials")
    if second_factor_in_force(user):
        if not code:
            raise Rejected("Give the code of your second factor too.", code="second-factor-needed")
        if not second_factor_check(user=user, code=code):
            log.warning("sign-in refused", extra={"address": address, "why": "second factor", "person": user.pk})
            raise Rejected("This code is wrong, or was used before.", code="second-factor-wrong")
    attempt_succeeded(address=address, email=email)
    return user


def signed_in_now(user: User) -> None:
    """Note when a person got in last. Links to reset the password that were sent before count no more."""
    user.last_login = timezone.now()
    user.save(update_fields=["last_login"])


def person_change(*, user: User, time_zone: str, actor: Actor) -> User:
    """Set the zone in which a person sees times. Raises Rejected (invalid) for one that there is not."""
    try:
        ZoneInfo(time_zone)
    except (KeyError, ValueError, OSError) as fault:
        raise Rejected("time_zone: there is no such zone. Use a name like Europe/Berlin.", code="invalid") from fault
    before = user.time_zone
    if before != time_zone:
        with transaction.atomic():
            user.time_zone = time_zone
            user.save(update_fields=["time_zone"])
            audit_write(
                actor=actor,
                action="user-change",
                obj=user,
                before={"time_zone": before},
                after={"time_zone": time_zone},
            )
    return user


def _known(email: str, password: str) -> User | None:
    if "\0" in email or "\0" in password:
        return None
    found = authenticate(request=None, username=email, password=password)
    return found if isinstance(found, User) else None


def _hash(password: str) -> None:
    """Take as long as somebody who is made would take."""
    _checked(lambda: make_password(password))


def _checked[T](check: Callable[[], T]) -> T:
    if not _checking.acquire(timeout=PATIENCE.total_seconds()):
        raise Retryable("Too many people sign in at this moment.")
    try:
        return check()
    finally:
        _checking.release()
