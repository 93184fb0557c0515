"""Events to people who watch. Published after commit, through this package only.

An event is a hint that something changed, never the truth itself: the truth is in the database. It says of whom it is
(its topics), what changed (its kind) and which rows (its data). The streams make messages of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache, partial
from typing import Any

from django.conf import settings
from django.db import transaction

from vibex.lib.events.event import (
    EVERYBODY,
    LOST,
    Batch,
    Event,
    Hint,
    Log,
    account_topic,
    market_topic,
    person_topic,
)
from vibex.lib.events.ring import Ring

__all__ = [
    "EVERYBODY",
    "LOST",
    "Batch",
    "Event",
    "Hint",
    "Log",
    "account_topic",
    "log_of_process",
    "market_topic",
    "person_topic",
    "publish_market_on_commit",
    "publish_on_commit",
    "publish_to_many_on_commit",
    "publish_to_person_on_commit",
]


def publish_on_commit(*, account_id: int, kind: str, data: dict[str, Any] | None = None) -> None:
    """Tell the watchers of an account, once the running transaction is committed, that `kind` happened."""
    _on_commit([account_topic(account_id)], kind, data)


def publish_to_many_on_commit(*, account_ids: Sequence[int], kind: str) -> None:
    """Tell the watchers of many accounts, once the running transaction is committed, that `kind` happened on each."""
    if account_ids:
        _on_commit([account_topic(account_id) for account_id in account_ids], kind, None)


def publish_to_person_on_commit(*, user_id: int, kind: str, data: dict[str, Any] | None = None) -> None:
    """Tell the open streams of a person, once committed: `access` (what they may see has changed), `job`, `alert`."""
    _on_commit([person_topic(user_id)], kind, data)


def publish_market_on_commit(*, market: str, kind: str, data: dict[str, Any] | None = None) -> None:
    """Tell those who watch a market, once committed: `prices`, `candles`, with the symbols that moved."""
    _on_commit([market_topic(market)], kind, data)


def log_of_process() -> Log:
    """Return where the events of this installation go: over Redis where several processes run, else in this one."""
    return _log_at(settings.REDIS_URL or "")


@lru_cache(maxsize=4)
def _log_at(redis_url: str) -> Log:
    if not redis_url:
        return Ring()
    from vibex.lib.events.over_redis import RedisLog
    from vibex.lib.installation import installation_tag

    return RedisLog(redis_url, f"vibex:{installation_tag()}:events")


def _on_commit(topics: list[str], kind: str, data: dict[str, Any] | None) -> None:
    transaction.on_commit(partial(_put, Hint(tuple(topics), kind, data or {})))


def _put(hint: Hint) -> None:
    log_of_process().put([hint])
