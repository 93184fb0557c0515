"""Whether a caller has proved lately who they are: what live actions, and new keys, need."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.conf import settings
from rest_framework.exceptions import PermissionDenied

from accounts.access.acts import Access
from accounts.domain.access import is_fresh

NEEDED: Final = "Give the code of your second factor, or your password, at /api/v1/auth/confirm/ first."


class ConfirmationNeeded(PermissionDenied):
    """The caller has to confirm first (403, code `confirmation-needed`)."""

    default_detail = NEEDED
    default_code = "confirmation-needed"


def is_confirmed(access: Access, now: datetime) -> bool:
    """Return whether second factor or password were given by this way within `CONFIRM_MINUTES`."""
    return is_fresh(access.confirmed, now=now, minutes=settings.CONFIRM_MINUTES)


def confirmed_until(access: Access, now: datetime) -> datetime | None:
    """Return until when live actions are open; None when they are not."""
    if access.confirmed is None or not is_confirmed(access, now):
        return None
    return access.confirmed + timedelta(minutes=settings.CONFIRM_MINUTES)
