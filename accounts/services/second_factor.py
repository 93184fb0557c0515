"""The second factor: one-time codes of a phone (RFC 6238), and recovery codes for when the phone is lost."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.domain.access import (
    CODE_FORM,
    RECOVERY_FORM,
    STEP,
    code_plain,
    digest_of,
    recovery_codes,
    same,
    step_of_code,
)
from accounts.models import ApiKey, SecondFactor, SignIn, User
from accounts.services.attempts import TooMany, code_attempt, code_attempt_succeeded
from accounts.services.audit import Actor, audit_write
from accounts.services.sealing import all_keys, opened, sealed
from vibex.lib.errors import NeedsOperator, Rejected
from vibex.lib.masking import register_secret

ISSUER: Final = "Vibex"
PENDING: Final = timedelta(hours=1)
ON: Final = "A second factor is in force. Remove it first."


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What a phone needs to show codes. Shown once; in force after the first right code."""

    secret: str
    uri: str
    svg: str
    """The URI as a QR code."""


def second_factor_in_force(user: User) -> bool:
    """Return whether a person signs in, and confirms, with a code."""
    return SecondFactor.objects.filter(user=user, confirmed__isnull=False).exists()


def second_factor_begin(*, user: User) -> Enrolment:
    """Make a secret, or return the one that was made within the last hour and not confirmed: a code that was mistyped
    does not void what a phone has scanned. Raises Rejected where a second factor is in force.
    """
    import pyotp

    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)
        if (pending := second_factor_pending(user)) is not None:
            return pending
        row = SecondFactor.objects.filter(user=user).first() or SecondFactor(user=user)
        if row.confirmed:
            raise Rejected(ON, code="second-factor-on")
        secret = pyotp.random_base32()
        row.sealed, row.recovery, row.last_step = sealed({"user": user.pk, "secret": secret}), [], 0
        row.created = timezone.now()
        row.save()
        audit_write(actor=user, action="second-factor-begin", obj=user)
    return _enrolment(user, secret)


def second_factor_pending(user: User) -> Enrolment | None:
    """Return what was begun within the last hour and is not confirmed."""
    since = timezone.now() - PENDING
    row = SecondFactor.objects.filter(user=user, confirmed__isnull=True, created__gt=since).first()
    return _enrolment(user, secret_of(row)) if row else None


def second_factor_confirm(*, user: User, code: str, row: SignIn | ApiKey | None = None) -> tuple[str, ...]:
    """Put the second factor in force with a first code; return the recovery codes, which are shown once.

    Other sign-ins and keys that had been confirmed with the password have to confirm again; `row`, by which the code
    came, has not. Raises Rejected (code wrong), TooMany.
    """
    _counted(user)
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user).first()
        if factor is None:
            raise Rejected("Begin with a new secret first.", code="second-factor-off")
        if factor.confirmed:
            raise Rejected(ON, code="second-factor-on")
        if not _taken(factor, code_plain(code)):
            raise Rejected("The code is wrong, or was used before.", code="wrong")
        codes = recovery_codes()
        factor.recovery = [digest_of(code_plain(each)) for each in codes]
        factor.confirmed = timezone.now()
        factor.save()
        for rows in (SignIn.objects.filter(user=user), ApiKey.objects.filter(user=user)):
            rows.update(confirmed=None)
        if row is not None:
            type(row)._default_manager.filter(pk=row.pk).update(confirmed=factor.confirmed)
        audit_write(actor=user, action="second-factor-on", obj=user)
    code_attempt_succeeded(user_id=user.pk)
    return codes


def second_factor_check(*, user: User, code: str) -> bool:
    """Return whether a code of the phone, or a recovery code, is right; it is then used up. Raises TooMany."""
    _counted(user)
    with transaction.atomic():
        factor = SecondFactor.objects.select_for_update().filter(user=user, confirmed__isnull=False).first()
        if factor is None:
            return False
        plain = code_plain(code)
        right = _taken(factor, plain) or _recovered(factor, plain)
        if right:
            factor.save()
    if right:
        code_attempt_succeeded(user_id=user.pk)
    return right


def second_factor_remove(*, user: User, actor: Actor, password: str, code: str) -> None:
    """Put the second factor out of force, with password and code. Raises Rejected (code wrong), TooMany."""
    if not second_factor_in_force(user):
        raise Rejected("There is no second factor.", code="second-factor-off")
    # The code first: it is counted, so nobody learns here whether a password is right by trying many.
    if not (second_factor_check(user=user, code=code) and user.check_password(password)):
        raise Rejected("Password or code is wrong.", code="wrong")
    second_factor_drop(user=user, actor=actor)


def second_factor_drop(*, user: User, actor: Actor) -> bool:
    """Delete the second factor of somebody who lost it: for the operator at the machine. Returns False if there is none."""
    with transaction.atomic():
        deleted, _ = SecondFactor.objects.filter(user=user).delete()
        if deleted:
            audit_write(actor=actor, action="second-factor-off", obj=user)
    return bool(deleted)


def recovery_codes_left(user: User) -> int:
    """Return how many recovery codes a person has not used; 0 without a second factor."""
    left = SecondFactor.objects.filter(user=user, confirmed__isnull=False).values_list("recovery", flat=True).first()
    return len(left or ())


def secret_of(factor: SecondFactor) -> str:
    """Return what codes are made of. Raises NeedsOperator when the row does not open, or is another person's."""
    content = opened(factor.sealed, all_keys())
    if content is None or content.get("user") != factor.user_id:
        raise NeedsOperator(
            "The second factor does not open: CREDENTIALS_KEY is not the one that sealed it. Add the right key, or remove "
            "the second factor with `manage.py reset_password --without-second-factor`."
        )
    secret = str(content["secret"])
    register_secret(secret)
    return secret


def _enrolment(user: User, secret: str) -> Enrolment:
    import pyotp
    import segno

    register_secret(secret)
    uri = pyotp.TOTP(secret).provisioning_uri(name=user.email, issuer_name=ISSUER)
    return Enrolment(secret, uri, segno.make(uri, error="m").svg_inline(scale=4))


def _taken(factor: SecondFactor, code: str) -> bool:
    """Return whether it is a code of the phone, and note its step, so that it counts once."""
    import pyotp

    if not CODE_FORM.fullmatch(code):
        return False
    totp = pyotp.TOTP(secret_of(factor))
    step = step_of_code(code, at=timezone.now(), last=factor.last_step, code_at=lambda step: totp.at(step * STEP))
    if step is None:
        return False
    factor.last_step = step
    return True


def _recovered(factor: SecondFactor, code: str) -> bool:
    """Return whether it is a recovery code, and strike it out."""
    if not RECOVERY_FORM.fullmatch(code):
        return False
    digest = digest_of(code)
    left = [each for each in factor.recovery if not same(each, digest)]
    used = len(left) < len(factor.recovery)
    factor.recovery = left
    return used


def _counted(user: User) -> None:
    from accounts.services.access_alerts import codes_guessed

    try:
        code_attempt(user_id=user.pk)
    except TooMany:
        codes_guessed(user=user)
        raise
