"""One-time tickets for streams of browsers and programs that cannot send a header with a handshake."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Final

from django.core.cache import cache

from accounts.access.acts import Access
from accounts.domain.access import digest_of
from vibex.lib.errors import Retryable

SECONDS: Final = 30
FORM_LENGTH: Final = 43


@dataclass(frozen=True, slots=True)
class Ticket:
    """What a ticket stands for."""

    kind: str
    row_id: int


def ticket_make(access: Access) -> str:
    """Return a ticket for the way by which the caller got in; it opens one stream within 30 s.

    Raises Retryable while the cache cannot be reached.
    """
    if access.row is None:
        raise Retryable("This session is not on record yet. Load the page again.")
    ticket = secrets.token_urlsafe(32)
    try:
        cache.set(_name(ticket), (access.kind, access.row.pk), SECONDS)
    except Exception as fault:
        raise Retryable("No ticket can be given: the cache cannot be reached.") from fault
    return ticket


def ticket_take(ticket: str) -> Ticket | None:
    """Return what a ticket stands for, once; None for one that is unknown, used or older than 30 s."""
    if len(ticket) != FORM_LENGTH:
        return None
    found = cache.get(_name(ticket))
    # Of two who come with the same ticket only one deletes it.
    if found is None or not cache.delete(_name(ticket)):
        return None
    return Ticket(*found)


def _name(ticket: str) -> str:
    return f"ticket:{digest_of(ticket)}"
