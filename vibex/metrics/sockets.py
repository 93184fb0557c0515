"""How many streams are open, of all web processes: each says how many it has, where the others can read it.

In one process the number is at hand. With Redis each process keeps a field of one hash, with the time at which it was
written; what is older than a minute is of a process that is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

from django.conf import settings

log = logging.getLogger(__name__)

KEY: Final = "vibex:metrics:sockets"
EVERY: Final = 10.0
"""Seconds between two words of a process that has streams open."""
GONE: Final = 60.0
PATIENCE: Final = 0.5

type Scope = dict[str, Any]
type App = Callable[[Scope, Any, Any], Awaitable[None]]


class Counted:
    """An ASGI application whose open connections are counted."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._telling: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        _here.open += 1
        if settings.REDIS_URL and (self._telling is None or self._telling.done()):
            self._telling = asyncio.get_running_loop().create_task(_tell_on())
        try:
            await self._app(scope, receive, send)
        finally:
            _here.open -= 1


class _Here:
    """What this process has open."""

    open = 0


_here: Final = _Here()


def clients() -> int:
    """Return how many streams are open. Raises OSError when Redis does not answer."""
    if not settings.REDIS_URL:
        return _here.open
    import redis

    try:
        with _client() as client:
            told: dict[bytes, bytes] = client.hgetall(KEY)
    except redis.RedisError as fault:
        raise ConnectionError(f"Redis does not answer: {type(fault).__name__}") from None
    others = {name: said for name, said in told.items() if name != _name().encode()}
    return _here.open + sum(_count_of(said) for said in others.values())


def _count_of(said: bytes) -> int:
    count, _, at = said.decode().partition(" ")
    return int(count) if time.time() - float(at) < GONE else 0


async def _tell_on() -> None:
    """Say how many are open until there are none, and that too."""
    while True:
        await asyncio.get_running_loop().run_in_executor(None, _tell, _here.open)
        if not _here.open:
            return
        await asyncio.sleep(EVERY)


def _tell(count: int) -> None:
    import redis

    with contextlib.suppress(redis.RedisError, OSError), _client() as client:  # the next word comes soon
        if count:
            client.hset(KEY, _name(), f"{count} {time.time():.0f}")
            client.expire(KEY, int(GONE))
        else:
            client.hdel(KEY, _name())


def _client() -> Any:
    import redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    once = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(
        str(settings.REDIS_URL), socket_connect_timeout=PATIENCE, socket_timeout=PATIENCE, retry=once
    )


def _name() -> str:
    return f"{socket.gethostname()}:{os.getpid()}"
