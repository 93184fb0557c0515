"""The writer of keys of programs. A key is shown once; its digest is kept."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Final

from django.db import transaction
from django.utils import timezone

from accounts.domain.access import MINUTE, SCOPES, digest_of, key_make, key_prefix, same, scopes_of
from accounts.models import ApiKey, User
from accounts.services.audit import Actor, audit_write, validation_told
from accounts.services.sign_ins import address_read
from vibex.lib.errors import Rejected
from vibex.lib.events import publish_to_person_on_commit

MOST: Final = 50
"""Keys of one person that are not revoked."""


def api_key_create(
    *,
    user: User,
    name: str,
    scopes: Iterable[str],
    expires: datetime | None,
    actor: Actor,
    within: Iterable[str] = SCOPES,
) -> tuple[ApiKey, str]:
    """Make a key; return its row and the key itself, which nobody can show again.

    `within`: the scopes of who asks; a key makes none that may do more. Raises Rejected for more than that, a time that
    has passed, a name that is taken, and above fifty keys.
    """
    try:
        asked = scopes_of(scopes)
    except ValueError as fault:
        raise Rejected(f"scopes: {fault}.", code="invalid") from fault
    if beyond := [scope for scope in asked if scope not in set(within)]:
        raise Rejected(f"A key may not give what it has not: {', '.join(beyond)}.", code="permission")
    if expires is not None and expires <= timezone.now():
        raise Rejected("expires: this time has passed.", code="invalid")
    prefix, key = key_make()
    row = ApiKey(
        user=user, name=name.strip(), prefix=prefix, digest=digest_of(key), scopes=list(asked), expires=expires
    )
    with transaction.atomic(), validation_told():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # two who ask at once are counted one by one
        if ApiKey.objects.filter(user=user, revoked__isnull=True).count() >= MOST:
            raise Rejected(f"There are {MOST} keys already. Revoke one that is not needed.", code="too-many-keys")
        row.full_clean()
        row.save(force_insert=True)
        audit_write(actor=actor, action="api-key-create", obj=row, after=_told(row))
    return row, key


def api_key_revoke(*, key: ApiKey, actor: Actor) -> bool:
    """Make a key count no more, from the next call on. Returns False when it was revoked before."""
    with transaction.atomic():
        if not ApiKey.objects.filter(pk=key.pk, revoked__isnull=True).update(revoked=timezone.now()):
            return False
        audit_write(actor=actor, action="api-key-revoke", obj=key, before=_told(key))
        publish_to_person_on_commit(user_id=key.user_id, kind="access")
    return True


def api_key_valid(key: str) -> ApiKey | None:
    """Return the row of a key with its person; None for one that is unknown, revoked or expired. One query."""
    prefix = key_prefix(key)
    if prefix is None:
        return None
    try:
        row = ApiKey.objects.select_related("user").get(prefix=prefix)
    except ApiKey.DoesNotExist:
        return None
    if not same(row.digest, digest_of(key)) or not api_key_stands(row, now=timezone.now()):
        return None
    return row


def api_key_stands(row: ApiKey, *, now: datetime) -> bool:
    """Return whether a key counts: not revoked, not expired, its person not switched off."""
    return row.revoked is None and (row.expires is None or row.expires > now) and row.user.is_active


def api_key_used(row: ApiKey, *, address: str | None, now: datetime) -> None:
    """Note when and from where a key was used, at most once a minute."""
    if row.used is None or now - row.used >= MINUTE:
        row.used, row.used_from = now, address_read(address)
        ApiKey.objects.filter(pk=row.pk).update(used=row.used, used_from=row.used_from)


def _told(row: ApiKey) -> dict[str, object]:
    return {
        "name": row.name,
        "prefix": row.prefix,
        "scopes": row.scopes,
        "expires": row.expires.isoformat() if row.expires else None,
    }
