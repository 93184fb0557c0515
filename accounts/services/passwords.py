"""The writer of passwords: changed by who knows the old one, reset by who has the mail, or by the operator at the machine."""

from __future__ import annotations

import logging
import threading
from typing import Final

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.tokens import default_token_generator
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import QuerySet
from django.utils.encoding import force_bytes
from django.utils.http import urlsafe_base64_decode, urlsafe_base64_encode

from accounts.models import ApiKey, SignIn, User
from accounts.services.attempts import attempt, mail_attempt, own_attempt, own_attempt_succeeded
from accounts.services.audit import Actor, audit_write, validation_told
from accounts.services.sign_ins import sign_ins_end
from vibex.lib.errors import Rejected, TooMany

log = logging.getLogger(__name__)
SUBJECT: Final = "Your password of Vibex"
TEXT: Final = """Somebody, probably you, wants to set a new password for {email}.

{link}

The link works once, for {minutes} minutes. If it was not you, do nothing: your password stays as it is.
"""
RESET: Final = "the password was reset"
DEAD_LINK: Final = "This link is not valid: it was used, is too old, or was cut. Ask for another one."
NO_MAIL: Final = "This installation sends no mail. An operator can run `manage.py reset_password <e-mail>`."


def password_change(*, user: User, old: str, new: str, actor_row: SignIn | None = None) -> None:
    """Set a new password; all sign-ins but `actor_row` end, keys stay. A page has to keep its session by itself.

    Raises Rejected: code wrong for the old password, invalid for a weak new one; TooMany.
    """
    own_attempt(user_id=user.pk)
    if not user.check_password(old):
        raise Rejected("The old password is wrong.", code="wrong")
    if old == new:
        raise Rejected("new: this is the old password.", code="invalid")
    own_attempt_succeeded(user_id=user.pk)
    hashed = _hashed(new, user)
    with transaction.atomic():
        _store(user, hashed)
        reason = "the password was changed"
        password_was_set(user=user, actor=user, action="password-change", reason=reason, but=actor_row)


def password_reset_send(*, email: str, address: str | None) -> None:
    """Mail a link that sets a new password, if somebody has this address. Says the same if nobody has.

    Raises Rejected (code no-mail) where no mail can be sent; TooMany.
    """
    if not can_mail():
        raise Rejected(NO_MAIL, code="no-mail")
    attempt(address=address, email=email)
    user = User.objects.filter(email__iexact=email.strip(), is_active=True).first()
    if user is None:
        log.info("a reset was asked for an address that is not known", extra={"address": address})
        return
    try:
        mail_attempt(user_id=user.pk)
    except TooMany:
        log.warning("no more links are mailed to a person for a while", extra={"address": address, "person": user.pk})
        return  # as if it was sent: one that is good has come already, and nobody learns whose address is known
    audit_write(actor=None, action="password-reset-send", obj=user)
    _mail_soon(user)


def password_reset(*, uid: str, token: str, password: str) -> User:
    """Set a new password by the link that was mailed; all sign-ins end, keys and second factor stay.

    Raises Rejected: code link when it does not count any more, invalid for a weak password.
    """
    hashed = _hashed(password, _linked(User.objects.all(), uid, token))
    with transaction.atomic():
        # Once more, under a lock: the link counts once.
        user = _linked(User.objects.select_for_update(), uid, token)
        _store(user, hashed)
        password_was_set(user=user, actor=user, action="password-reset", reason=RESET)
    return user


def password_set(*, user: User, password: str, actor: Actor) -> None:
    """Set a password without the old one: for the operator at the machine. All sign-ins end. Raises Rejected as above."""
    hashed = _hashed(password, user)
    with transaction.atomic():
        _store(user, hashed)
        password_was_set(user=user, actor=actor, action="password-reset", reason=RESET)


def password_was_set(*, user: User, actor: Actor, action: str, reason: str, but: SignIn | None = None) -> None:
    """Shut what the old password had opened, and put the new one on record: all sign-ins but one end, keys confirm again.

    By itself for a password that a form of the admin has stored.
    """
    with transaction.atomic():
        ApiKey.objects.filter(user=user).update(confirmed=None)
        audit_write(actor=actor, action=action, obj=user)
        sign_ins_end(user=user, actor=actor, reason=reason, but=but)


def reset_link(user: User) -> str:
    """Return the address at which a person sets a new password, once. Raises Rejected where PUBLIC_URL is not set."""
    if not settings.PUBLIC_URL:
        raise Rejected("PUBLIC_URL is not set, so there is no address to send.", code="no-mail")
    uid = urlsafe_base64_encode(force_bytes(user.pk))
    return f"{settings.PUBLIC_URL}/password/reset/{uid}/{default_token_generator.make_token(user)}/"


def can_mail() -> bool:
    """Return whether links can be mailed: a server is named, and the address of the pages."""
    return bool(getattr(settings, "EMAIL_URL", None) and settings.PUBLIC_URL)


def _linked(people: QuerySet[User], uid: str, token: str) -> User:
    user = people.filter(pk=_read(uid), is_active=True).first()
    if user is None or not default_token_generator.check_token(user, token):
        raise Rejected(DEAD_LINK, code="link")
    return user


def _hashed(password: str, user: User) -> str:
    """Return the hash of a password that is strong enough. It takes its time, so not while a lock is held."""
    with validation_told():
        validate_password(password, user)
    return make_password(password)


def _store(user: User, hashed: str) -> None:
    user.password = hashed
    user.save(update_fields=["password"])


def _mail_soon(user: User) -> None:
    """Send from a thread of its own: who asks learns nothing from the time, and waits for no server."""
    minutes = settings.PASSWORD_RESET_TIMEOUT // 60
    message = EmailMessage(
        SUBJECT, TEXT.format(email=user.email, link=reset_link(user), minutes=minutes), to=[user.email]
    )
    threading.Thread(target=_mail, args=(message, user.pk), name="password-mail", daemon=True).start()


def _mail(message: EmailMessage, user_id: int) -> None:
    try:
        message.send()
    except Exception:
        log.exception("the mail with a link to reset a password could not be sent", extra={"person": user_id})


def _read(uid: str) -> int:
    """Return whose link it is; 0, which is nobody, when it is none."""
    try:
        pk = int(urlsafe_base64_decode(uid))
    except (ValueError, OverflowError):
        return 0
    return pk if 0 < pk < 2**63 else 0
