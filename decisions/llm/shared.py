"""What processes share while models are asked: one connection to Redis each, and no connection to the database."""

from __future__ import annotations

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

_clients: dict[tuple[str, bool], Redis] = {}


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
