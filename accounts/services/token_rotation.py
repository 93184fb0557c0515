"""Tokens of programs: begun with a sign-in, rotated at each refresh, and what happens to one that is used twice."""

from __future__ import annotations

from enum import Enum
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.domain.access import REFRESH_GRACE
from accounts.models import SignIn, User
from accounts.services.access_alerts import token_stolen
from accounts.services.audit import audit_write
from accounts.services.people import signed_in_now
from accounts.services.sign_ins import sign_in_begin, sign_in_end
from accounts.services.tokens import (
    Tokens,
    refresh_id_of,
    refresh_token_new,
    refresh_token_read,
    refresh_void,
    refresh_voided,
    tokens_issue,
)
from vibex.lib.errors import Rejected

OVER: Final = "This sign-in is over. Sign in again."


class _Fault(Enum):
    OVER = "over"
    JUST_NOW = "just now"
    STOLEN = "stolen"


def tokens_begin(*, user: User, address: str | None, agent: str) -> Tokens:
    """Note that a program signed in as a person, and return its first pair."""
    refresh = refresh_token_new()
    with transaction.atomic():
        row = sign_in_begin(
            user=user, kind=SignIn.Kind.TOKENS, address=address, agent=agent, refresh_id=refresh_id_of(refresh)
        )
        signed_in_now(user)
        return tokens_issue(row, refresh)


def tokens_refresh(*, refresh: str) -> Tokens:
    """Return the next pair for a refresh token, which counts no more from then on.

    Raises Rejected: code token for what is no token of ours; signed-out when its sign-in is over; refreshed-already when
    somebody used it within the last ten seconds, as two tabs of a browser do: one of them has the new pair. Used again
    later it is taken for a copy in other hands: the sign-in ends for both, the person is told (signed-out).
    """
    sign_in_id, user_id, refresh_id = refresh_token_read(refresh)
    with transaction.atomic():
        # The row queues two refreshes of the same moment.
        row = SignIn.objects.select_for_update(of=("self",)).select_related("user")
        sign_in = row.filter(pk=sign_in_id, user_id=user_id).first()
        fault = _fault(sign_in, refresh_id)
        if fault is None and sign_in is not None:
            return _rotated(sign_in)
    # Outside of the transaction: what follows must stand although the caller is refused.
    match fault:
        case _Fault.JUST_NOW:
            raise Rejected(
                "This token was refreshed a moment ago: use the pair of that answer.", code="refreshed-already"
            )
        case _Fault.STOLEN if sign_in is not None:
            _stolen(sign_in)
    raise Rejected(OVER, code="signed-out")


def _fault(sign_in: SignIn | None, refresh_id: str) -> _Fault | None:
    if sign_in is None or sign_in.ended is not None or not sign_in.user.is_active:
        return _Fault.OVER
    if sign_in.refresh_id == refresh_id:
        return None
    voided = refresh_voided(refresh_id)
    recent = voided is not None and timezone.now() - voided < REFRESH_GRACE
    return _Fault.JUST_NOW if recent else _Fault.STOLEN


def _rotated(sign_in: SignIn) -> Tokens:
    refresh = refresh_token_new()
    refresh_void(sign_in.refresh_id)
    sign_in.refresh_id, sign_in.seen = refresh_id_of(refresh), timezone.now()
    sign_in.save(update_fields=["refresh_id", "seen"])
    return tokens_issue(sign_in, refresh)


def _stolen(sign_in: SignIn) -> None:
    with transaction.atomic():
        if not sign_in_end(sign_in=sign_in, actor=None, reason="a refresh token was used twice"):
            return
        audit_write(actor=None, action="refresh-token-reuse", obj=sign_in, before={"agent": sign_in.agent})
    what = f"the sign-in of {sign_in.created:%Y-%m-%d %H:%M} UTC"
    token_stolen(user=sign_in.user, what=f"{what} ({sign_in.agent})" if sign_in.agent else what)
