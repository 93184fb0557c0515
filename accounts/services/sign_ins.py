"""The writer of sign-ins: begun with a password, confirmed for live actions, ended for good at once."""

from __future__ import annotations

from datetime import datetime
from importlib import import_module
from ipaddress import ip_address
from typing import Any, Final

from django.conf import settings
from django.db import transaction
from django.db.models import F, FilteredRelation, Q, QuerySet
from django.utils import timezone

from accounts.domain.access import IDLE, MINUTE
from accounts.models import ApiKey, SignIn, User
from accounts.services.attempts import own_attempt, own_attempt_succeeded
from accounts.services.audit import Actor, audit_write
from accounts.services.second_factor import second_factor_check, second_factor_in_force
from accounts.services.tokens import access_token_read, refresh_void, tokens_forget
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_to_person_on_commit

LONGEST_AGENT: Final = 200
LONGEST_REASON: Final = 80


def sign_in_begin(
    *,
    user: User,
    kind: str,
    address: str | None,
    agent: str,
    session_key: str = "",
    refresh_id: str = "",
    confirmed: bool = True,
) -> SignIn:
    """Note that a person got in. `confirmed`: password and second factor were given just now."""
    with transaction.atomic():
        row = SignIn.objects.create(
            user=user,
            kind=kind,
            address=address_read(address),
            agent=agent.replace("\0", "")[:LONGEST_AGENT],
            session_key=session_key,
            refresh_id=refresh_id,
            confirmed=timezone.now() if confirmed else None,
        )
        audit_write(actor=user, action="sign-in", obj=row, after={"kind": kind, "agent": row.agent})
    return row


def sign_in_end(*, sign_in: SignIn, actor: Actor, reason: str) -> bool:
    """End a sign-in, its session or tokens with it. Returns False when it was over already."""
    now = timezone.now()
    same = Q(pk=sign_in.pk)
    if sign_in.session_key:  # two first requests of an old session may have made two rows
        same |= Q(session_key=sign_in.session_key, user_id=sign_in.user_id)
    with transaction.atomic():
        open_rows = SignIn.objects.filter(same, ended__isnull=True)
        if not open_rows.update(ended=now, end_reason=reason[:LONGEST_REASON]):
            return False
        if sign_in.session_key:
            session_store()(sign_in.session_key).delete()
        if sign_in.refresh_id:
            # The row, not what the caller read: it may have been refreshed meanwhile.
            refresh_void(SignIn.objects.values_list("refresh_id", flat=True).get(pk=sign_in.pk))
        audit_write(
            actor=actor, action="sign-in-end", obj=sign_in, before={"kind": sign_in.kind}, after={"reason": reason}
        )
        publish_to_person_on_commit(user_id=sign_in.user_id, kind="access")
    return True


def sign_ins_end(*, user: User, actor: Actor, reason: str, but: SignIn | None = None) -> int:
    """End all sign-ins of a person except one; return how many were open."""
    rows = SignIn.objects.filter(user=user, ended__isnull=True)
    if but is not None:
        rows = rows.exclude(pk=but.pk)
        if but.session_key:
            rows = rows.exclude(session_key=but.session_key)
    return sum(sign_in_end(sign_in=row, actor=actor, reason=reason) for row in rows)


def sign_ins_of(user: User) -> QuerySet[SignIn]:
    """Return the sign-ins of a person that are open, the last used first."""
    return SignIn.objects.filter(user=user, ended__isnull=True, seen__gt=timezone.now() - IDLE).order_by("-seen", "-pk")


def sign_in_of_token(token: str) -> SignIn:
    """Return the sign-in of an access token, with its person. One query.

    Raises Rejected: code token when it is not valid or has expired, signed-out when its sign-in is over.
    """
    sign_in_id, user_id = access_token_read(token)
    row = SignIn.objects.select_related("user").filter(pk=sign_in_id, user_id=user_id).first()
    if row is None or row.ended is not None or not row.user.is_active:
        raise Rejected("This sign-in is over. Sign in again.", code="signed-out")
    return row


def sign_in_seen(row: SignIn, *, now: datetime) -> None:
    """Note that a sign-in was used, at most once a minute."""
    if now - row.seen >= MINUTE:
        SignIn.objects.filter(pk=row.pk).update(seen=now)
        row.seen = now


def sign_in_moved(*, sign_in: SignIn, session_key: str) -> None:
    """Note that the session of a sign-in has another key, as after a change of the password."""
    SignIn.objects.filter(pk=sign_in.pk).update(session_key=session_key)
    sign_in.session_key = session_key


def confirm(*, user: User, row: SignIn | ApiKey, password: str = "", code: str = "") -> None:
    """Open live actions for a while on a sign-in or key. With a second factor in force only a code counts.

    Raises Rejected (code wrong), TooMany after many that were wrong.
    """
    if second_factor_in_force(user):
        right = bool(code) and second_factor_check(user=user, code=code)
        wrong = "The code is wrong, or was used before." if code else "A code of the second factor is needed."
    else:
        own_attempt(user_id=user.pk)
        right, wrong = bool(password) and user.check_password(password), "The password is wrong."
    if not right:
        raise Rejected(wrong, code="wrong")
    own_attempt_succeeded(user_id=user.pk)
    confirmed_now(user=user, row=row)


def confirmed_now(*, user: User, row: SignIn | ApiKey) -> None:
    """Note on a sign-in or key that the person has just proved who they are."""
    with transaction.atomic():
        row.confirmed = timezone.now()
        row.save(update_fields=["confirmed"])
        audit_write(actor=user, action="confirm", obj=row)


def session_person(session: Any) -> tuple[User, SignIn | None] | None:
    """Return whom a session belongs to, with its sign-in where there is one; None for nobody. One query and the session's.

    None too when the sign-in was ended, the password was changed since, or the person is switched off.
    """
    from django.contrib.auth import HASH_SESSION_KEY, SESSION_KEY
    from django.utils.crypto import constant_time_compare

    try:
        user_id = int(session[SESSION_KEY])
    except (KeyError, TypeError, ValueError):
        return None
    user = _with_sign_in(user_id, session.session_key)
    if user is None or not user.is_active:
        return None
    if not constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash()):
        return None
    row: SignIn | None = getattr(user, "here", None)  # set only where there is one
    return None if row is not None and row.ended else (user, row)


def _with_sign_in(user_id: int, session_key: str) -> User | None:
    here = FilteredRelation("sign_ins", condition=Q(sign_ins__session_key=session_key))
    people = User.objects.filter(pk=user_id).annotate(here=here).select_related("here")  # type: ignore[misc]
    # One that was ended comes first: it counts.
    return people.order_by(F("here__ended").asc(nulls_last=True), "here__pk").first()


def sign_ins_tidy() -> None:
    """End what nobody used for two weeks, and delete what is left of expired tokens and sessions. For a daily task."""
    now = timezone.now()
    for row in SignIn.objects.filter(ended__isnull=True, seen__lt=now - IDLE):
        sign_in_end(sign_in=row, actor=None, reason="not used for two weeks")
    tokens_forget(now)
    session_store().clear_expired()


def session_store() -> Any:
    """Return the class of sessions that this installation uses."""
    return import_module(settings.SESSION_ENGINE).SessionStore


def address_read(text: str | None) -> str | None:
    """Return an IP address that the database takes, or None."""
    try:
        return str(ip_address((text or "").partition("%")[0]))
    except ValueError:
        return None
