"""What processes share while models are asked: one connection to Redis each, and no connection to the database."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.db import connection, transaction

from marketdata.services.budget import without_waiting_for_the_disk
from vibex.lib.connections import let_go

if TYPE_CHECKING:
    from redis import Redis

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0
HURRIED_SECONDS: Final = 0.2
"""After an answer, when the deadline may be over: what is not counted now is counted anew later."""

SILENCE: Final = 5.0
"""Seconds in which a Redis that did not answer is not asked: a try takes up to four of the thirty that an ask may last."""

_clients: dict[tuple[str, bool], Redis] = {}
_silent_until: dict[str, float] = {}
"""By address: until when (monotonic) a Redis that did not answer is left alone."""
_lock = threading.Lock()


class RedisSilent(OSError):
    """Redis did not answer a moment ago, and is not asked."""


@contextmanager
def redis_answering() -> Iterator[Redis]:
    """Yield the client of a Redis, unless it did not answer within the last SILENCE seconds: then RedisSilent, at once.

    After that one thread looks whether it is there again, and the others do not wait with it.
    """
    from redis import ConnectionError as Unreachable
    from redis import TimeoutError as Late

    url = str(settings.REDIS_URL)
    with _lock:
        now = time.monotonic()
        if now < _silent_until.get(url, 0.0):
            raise RedisSilent("Redis did not answer a moment ago")
        if url in _silent_until:
            _silent_until[url] = now + SILENCE
    try:
        yield redis_client()
    except (Unreachable, Late, OSError):
        _silent_until[url] = time.monotonic() + SILENCE
        raise
    _silent_until.pop(url, None)


def redis_client(*, hurried: bool = False) -> Redis:
    """Return this process's client of the Redis at REDIS_URL. It tries a second time, at once, and then raises.

    A `hurried` one tries once, and waits for next to nothing.
    """
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    url = str(settings.REDIS_URL)
    if (url, hurried) not in _clients:
        _clients[url, hurried] = Redis.from_url(
            url,
            socket_connect_timeout=HURRIED_SECONDS if hurried else CONNECT_SECONDS,
            socket_timeout=HURRIED_SECONDS if hurried else ANSWER_SECONDS,
            retry=Retry(NoBackoff(), 0 if hurried else 1),
            decode_responses=True,
        )
    return _clients[url, hurried]


@contextmanager
def short_transaction() -> Iterator[None]:
    """Commit at the end, and give the connection back: what follows is waiting, and a connection is not held for that.

    What is written is only a count that can be had again, so no disk is waited for. Inside of somebody else's
    transaction, as in a test, it is a part of that. A file that was open before stays open: it keeps nobody waiting.
    """
    stays = connection.vendor == "sqlite" and connection.connection is not None
    try:
        with transaction.atomic():
            without_waiting_for_the_disk()
            yield
    finally:
        if not stays:
            let_go()
