"""The ways by which alerts reach a person. Addresses go in and never come out: they are sealed as keys are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from django.db import transaction

from accounts.domain.alerts import Severity
from accounts.models import AlertChannel, User
from accounts.services.audit import Actor, audit_write, validation_told
from accounts.services.sealing import all_keys, opened, sealed
from vibex.lib.errors import NeedsOperator, Rejected

if TYPE_CHECKING:
    from cryptography.fernet import MultiFernet

MOST_CHANNELS: Final = 20
SHOWN: Final = ("name", "kind", "shown", "min_severity", "types", "per_hour", "enabled")


def channel_save(
    *,
    user: User,
    actor: Actor,
    name: str,
    url: str = "",
    channel: AlertChannel | None = None,
    min_severity: Severity = Severity.WARNING,
    types: Sequence[str] = (),
    per_hour: int = 30,
    enabled: bool = True,
) -> AlertChannel:
    """Make a channel of a person, or change one. An empty `url` keeps the address that is stored.

    Raises Rejected that says what is wrong with the address or the rest.
    """
    from accounts.services.alerts.outgoing import address_read

    address = address_read(url, private=user.is_staff) if url.strip() else None
    if address is None and channel is None:
        raise Rejected("Enter the address: nothing is stored yet.", code="url")
    before = {} if channel is None else _told(channel)
    with transaction.atomic(), validation_told():
        User.objects.select_for_update(no_key=True).get(pk=user.pk)  # one after the other: there is a most
        if channel is None and AlertChannel.objects.filter(user=user).count() >= MOST_CHANNELS:
            raise Rejected(f"You have {MOST_CHANNELS} channels; remove one first.", code="many")
        row = channel or AlertChannel(user=user)
        row.name, row.min_severity, row.types = name, min_severity.value, list(types)
        row.per_hour, row.enabled = per_hour, enabled
        if address is not None:
            row.kind, row.shown = address.kind, address.shown
            row.sealed = sealed({"user": user.pk, "url": address.url})
        row.full_clean()
        row.save()
        action = "alert-channel-change" if before else "alert-channel-create"
        after = _told(row) | ({"address": "entered"} if address else {})
        audit_write(actor=actor, action=action, obj=row, before=before, after=after)
    return row


def channel_delete(*, channel: AlertChannel, actor: Actor) -> None:
    """Remove a channel, and what was on its way over it."""
    with transaction.atomic():
        AlertChannel.objects.select_for_update().filter(pk=channel.pk).values_list("pk").first()
        audit_write(actor=actor, action="alert-channel-delete", obj=channel, before=_told(channel))
        channel.delete()


def channel_url(channel: AlertChannel, keys: MultiFernet | None = None) -> str | None:
    """Return the address of a channel; None when it does not open, or was sealed for another person."""
    content = opened(channel.sealed, keys or all_keys())
    return content["url"] if content and content.get("user") == channel.user_id else None


def channel_address(channel: AlertChannel) -> str:
    """Return the address of a channel. Raises NeedsOperator when it does not open."""
    url = channel_url(channel)
    if url is None:
        raise NeedsOperator(
            f"The address of {channel.name} does not open with CREDENTIALS_KEY: add the key that sealed it, or enter it anew."
        )
    return url


def _told(channel: AlertChannel) -> dict[str, object]:
    return {name: getattr(channel, name) for name in SHOWN}
