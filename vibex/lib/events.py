"""Events to people who watch. Published after commit, through this module only.

An event is a hint that something changed, never the truth itself: the truth is in the database.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

log = logging.getLogger(__name__)

AT_ONCE: Final = 50
"""Watchers of so many accounts are told at a time."""
PATIENCE: Final = 0.5
"""Seconds for which an order may be held up by those who watch."""
SILENCE: Final = 5.0
"""Seconds in which nobody is told anything after a layer that did not answer in time."""
_silent_until = 0.0


def account_group(account_id: int) -> str:
    """Return the channel group of everybody who watches an account."""
    return f"account.{account_id}"


def publish_on_commit(*, account_id: int, kind: str, data: dict[str, Any] | None = None) -> None:
    """Tell the watchers of an account, once the running transaction is committed, that `kind` happened."""
    transaction.on_commit(partial(_send, [account_group(account_id)], kind, data or {}))


def publish_to_many_on_commit(*, account_ids: Sequence[int], kind: str) -> None:
    """Tell the watchers of many accounts, once the running transaction is committed, that `kind` happened on each."""
    groups = [account_group(account_id) for account_id in account_ids]
    for first in range(0, len(groups), AT_ONCE):
        transaction.on_commit(partial(_send, groups[first : first + AT_ONCE], kind, {}))


def _send(groups: Sequence[str], kind: str, data: dict[str, Any]) -> None:
    """A watcher's channel must never undo or delay a trade; the page also polls."""
    global _silent_until  # noqa: PLW0603
    layer = get_channel_layer()
    if layer is None or time.monotonic() < _silent_until:
        return
    try:
        async_to_sync(_tell)(layer, groups, {"type": "vibex.event", "kind": kind, "data": data})
    except TimeoutError:
        _silent_until = time.monotonic() + SILENCE
        log.error("event %s could not be published to %s within %s s", kind, groups[0], PATIENCE)  # noqa: TRY400
    except Exception:
        log.exception("event %s could not be published to %s", kind, groups[0])


async def _tell(layer: Any, groups: Sequence[str], message: dict[str, Any]) -> None:
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(layer.group_send(group, message) for group in groups))
