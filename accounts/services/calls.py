"""The writer of calls that named themselves, so that asking again does nothing twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from django.db import IntegrityError, transaction
from django.utils import timezone

from accounts.models import IdempotentCall, User

KEPT: Final = timedelta(hours=24)
"""How long an answer is kept."""
LONGEST: Final = timedelta(minutes=3)
"""No call is worked on for so long: the process that did has died."""


def call_begin(*, user: User, key: str, digest: str) -> tuple[IdempotentCall, bool]:
    """Return the call of this key, and whether it is new: only then it may act.

    One that is older than is kept counts no more.
    """
    now = timezone.now()
    IdempotentCall.objects.filter(user=user, key=key, created__lt=now - KEPT).delete()
    while True:
        try:
            with transaction.atomic():
                return IdempotentCall.objects.create(user=user, key=key, digest=digest, created=now), True
        except IntegrityError:  # unique by person and key: of two that come at once one is first
            call = IdempotentCall.objects.filter(user=user, key=key).first()
        if call is not None:
            return call, False
        # The first one failed in this moment and was dropped: then this one is the first.


def call_answered(*, call: IdempotentCall, status: int, headers: dict[str, str], body: Any) -> None:
    """Keep the answer, from now on. `body` is None where it held a secret, or where there was none.

    One that was dropped meanwhile stays dropped, as when a second one that lowers risk was done beside it and failed.
    """
    call.status, call.headers, call.body = status, headers, body
    kept = {"status": status, "headers": headers, "body": body, "created": timezone.now()}
    IdempotentCall.objects.filter(pk=call.pk).update(**kept)


def call_drop(*, call: IdempotentCall) -> None:
    """Forget a call that was turned away or failed: the same key may try again."""
    call.delete()


def calls_prune() -> int:
    """Forget the answers that are older than a day. Returns how many."""
    return IdempotentCall.objects.filter(created__lt=timezone.now() - KEPT).delete()[0]
