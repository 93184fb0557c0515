"""Events to people who watch. Published after commit, through this module only.

An event is a hint that something changed, never the truth itself: the truth is in the database.
"""

import logging
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from channels.layers import get_channel_layer
from django.db import transaction

log = logging.getLogger(__name__)


def account_group(account_id: int) -> str:
    """Return the channel group of everybody who watches an account."""
    return f"account.{account_id}"


def publish_on_commit(*, account_id: int, kind: str, data: dict[str, Any] | None = None) -> None:
    """Tell the watchers of an account, once the running transaction is committed, that `kind` happened."""
    transaction.on_commit(partial(_send, account_group(account_id), kind, data or {}))


def _send(group: str, kind: str, data: dict[str, Any]) -> None:
    layer = get_channel_layer()
    if layer is None:
        return
    try:
        async_to_sync(layer.group_send)(group, {"type": "vibex.event", "kind": kind, "data": data})
    except Exception:
        # A watcher's channel must never undo or delay a trade; the page also polls.
        log.exception("event %s could not be published to %s", kind, group)
