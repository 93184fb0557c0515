"""Who listens, and what they may see: read once for all connections of one sign-in or key that ask at the same time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from accounts.access.sockets import Caller, caller_now, still_in
from accounts.models import User
from accounts.selectors import accounts_seen_by
from vibex.lib.hub import in_thread
from vibex.lib.shared import Shared, shared

OF_THE_HANDSHAKE: Final = b"sec-websocket-"
"""Begins headers that differ from one connection to the next and say nothing of who opens it."""


@dataclass(frozen=True, slots=True)
class Rights:
    """Who listens, and which accounts they may see."""

    user: User
    accounts: frozenset[int]


async def known(scope: dict[str, Any]) -> Caller | None:
    """Return who opens a stream; None for nobody. A ticket is good once, so it is read for each by itself."""
    if scope.get("query_string"):
        return await in_thread(caller_now, scope)
    asked, client = time.monotonic(), (scope.get("client") or [None])[0]
    headers = (tuple(each) for each in scope["headers"] if not each[0].lower().startswith(OF_THE_HANDSHAKE))
    return await shared(("caller", client, *headers), partial(caller_now, scope)).since(asked)


def reading_of(caller: Caller) -> Shared[Rights | None]:
    """Return what reads the rights of a caller; None of who is out."""
    row = caller.access.row
    return shared(("rights", caller.access.kind, row.pk if row else -caller.user.pk), partial(_read, caller))


def _read(caller: Caller) -> Rights | None:
    now = still_in(caller)
    if now is None or "read" not in now.access.scopes:
        return None
    return Rights(now.user, frozenset(accounts_seen_by(now.user).values_list("pk", flat=True)))
