"""Rules for what concerns getting in itself: more than scope and role say."""

from __future__ import annotations

from typing import cast

from django.utils import timezone
from rest_framework.exceptions import PermissionDenied
from rest_framework.request import Request

from accounts.access.acts import Access
from accounts.access.confirm import ConfirmationNeeded, is_confirmed
from accounts.models import ApiKey


def access_of(request: Request) -> Access:
    """Return how the caller got in. Only behind `Closed`."""
    return cast("Access", request.auth)


def person_wanted(request: Request) -> None:
    """Raise PermissionDenied for a key: passwords, sign-ins and the second factor are for people who signed in.

    A key that was stolen must not lock its person out.
    """
    if access_of(request).kind == "key":
        raise PermissionDenied("A key cannot do this. Sign in.", code="person-needed")


def keys_wanted(request: Request, *, of: ApiKey | None = None) -> None:
    """Raise PermissionDenied for a key without the scope admin that wants to make or revoke keys; one may revoke itself."""
    access = access_of(request)
    itself = of is not None and isinstance(access.row, ApiKey) and access.row.pk == of.pk
    if access.kind == "key" and "admin" not in access.scopes and not itself:
        raise PermissionDenied("This needs a key with the scope admin.", code="scope")


def confirmation_wanted(request: Request) -> None:
    """Raise ConfirmationNeeded unless the caller gave second factor or password lately by the same way."""
    if not is_confirmed(access_of(request), timezone.now()):
        raise ConfirmationNeeded
