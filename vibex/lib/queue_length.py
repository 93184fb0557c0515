"""How many tasks wait for a worker in each queue, asked of Redis: at most once in some seconds by a process."""

from __future__ import annotations

import time
from typing import Final

from django.conf import settings

from vibex.lib.queues import QUEUES

KEPT: Final = 5.0
"""Seconds for which an answer is remembered, and that there was none too: a page never waits for it twice."""
PATIENCE: Final = 0.2
"""Seconds that a page waits for it."""

_known: dict[str, tuple[float, dict[str, int] | None]] = {}
"""By address: until when (monotonic seconds) the answer is good, and the answer."""


def tasks_waiting() -> int | None:
    """Return how many tasks wait in Redis; None when it did not answer within PATIENCE, now or some seconds ago."""
    found = waiting_by_queue()
    return None if found is None else sum(found.values())


def waiting_by_queue() -> dict[str, int] | None:
    """Return the same for each queue."""
    address = str(settings.REDIS_URL)
    until, kept = _known.get(address, (0.0, None))
    if time.monotonic() < until:
        return kept
    found = _asked(address)
    _known[address] = time.monotonic() + KEPT, found
    return found


def _asked(address: str) -> dict[str, int] | None:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    client = redis.Redis.from_url(address, socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, retry=once)
    try:
        with client.pipeline(transaction=False) as asking:
            for queue in QUEUES:
                asking.llen(queue)
            return dict(zip(QUEUES, map(int, asking.execute()), strict=True))
    except (redis.RedisError, OSError):
        return None
    finally:
        client.close()
