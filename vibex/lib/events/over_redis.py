"""The log of several processes: one Redis stream, whose entry ids are the sequence."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final, cast

import redis
import redis.asyncio
from redis.backoff import NoBackoff
from redis.retry import Retry

from vibex.lib.events.event import EVERYBODY, KEPT, LOST, Batch, Event, Hint

log = logging.getLogger(__name__)

PATIENCE: Final = 0.4
"""Seconds for which who publishes may be held up by those who watch."""
SILENCE: Final = 5.0
"""Seconds in which nothing is published after a Redis that did not answer in time."""
AT_ONCE: Final = 500
"""Events that are read with one command."""
BLOCK: Final = 5.0
"""Seconds for which a read waits for an event."""
PAUSE: Final = 0.5
"""Seconds between two attempts to reach a Redis that is gone."""

ADD: Final = """
local n = redis.call('INCRBY', KEYS[2], #ARGV - 1)
if n < 1000000000000 then
  local t = redis.call('TIME')
  n = t[1] * 1000000 + t[2] + #ARGV - 1
  redis.call('SET', KEYS[2], string.format('%.0f', n))
end
for i = 2, #ARGV do
  local id = string.format('%.0f', n - #ARGV + i) .. '-0'
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', ARGV[1], id, 'e', ARGV[i])
end
return n
"""
"""Adds events with the next sequences, all or none. Where there is no counter it begins with the wall time in µs: after a
Redis that lost everything, sequences still grow."""

NEWEST: Final = """
local n, known = redis.call('GET', KEYS[1]), tonumber(ARGV[1])
if not n or tonumber(n) < known then
  local t = redis.call('TIME')
  n = string.format('%.0f', math.max(t[1] * 1000000 + t[2], known + 1))
  redis.call('SET', KEYS[1], n)
end
return n
"""
"""Tells the newest sequence. Who asks before the first event begins the count, and so knows that the first is the next. Who
knows of a later one asks a Redis that came back with what it had some minutes ago: the count leaps beyond it. Else the next
events had sequences that others had before them, and nobody who knows those would read them."""


class RedisLog:
    """Events of all processes that use the same Redis and the same key."""

    def __init__(self, url: str, key: str, size: int = KEPT) -> None:
        self._url, self._key, self._counter, self._size = url, key, f"{key}:sequence", size
        # A connection that the server closed meanwhile is found out at once, and one new one is tried.
        once = Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,))
        client = redis.Redis.from_url(url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE, retry=once)
        self._add: Any = client.register_script(ADD)
        self._lock = threading.Lock()
        self._silent_until = 0.0
        self._lost = self._told = 0
        """How often something was not published, and of how many of these those who watch were told."""

    def put(self, hints: Sequence[Hint]) -> None:
        if time.monotonic() < self._silent_until:
            self._count_loss()
            return
        lost = self._lost  # another thread may lose more meanwhile: that is told with the next
        try:
            texts = [hint.text() for hint in hints]
            if lost > self._told:
                texts.insert(0, Hint((EVERYBODY,), LOST).text())
            self._add(keys=[self._key, self._counter], args=[self._size, *texts])
            self._told = max(self._told, lost)
        except Exception as fault:  # noqa: BLE001 - whatever it is, the trade goes on
            # A watcher must never undo or delay a trade. Watchers look anew as soon as one event gets through.
            self._count_loss()
            self._silent_until = time.monotonic() + SILENCE
            log.error("events are not published for %s s: %s: %s", SILENCE, type(fault).__name__, fault)  # noqa: TRY400

    def _count_loss(self) -> None:
        with self._lock:
            self._lost += 1

    async def newest(self) -> int:
        async with self._client() as client:
            return await self._newest(client, 0)

    async def recent(self, count: int) -> Sequence[Event]:
        async with self._client() as client:
            found: Any = await client.xrevrange(self._key, count=count)
        return [_event(entry) for entry in reversed(found or [])]

    async def listen(self, after: int) -> AsyncIterator[Batch]:
        while True:
            try:
                async with self._client() as client:
                    await self._newest(client, after)
                    while True:
                        for batch in unbroken(await self._read(client, after), after):
                            yield batch
                            after = batch.events[-1].sequence
            except (redis.RedisError, OSError) as fault:
                log.warning("events cannot be read: %s: %s", type(fault).__name__, fault)
                await asyncio.sleep(PAUSE)

    async def _read(self, client: redis.asyncio.Redis, after: int) -> list[Event]:
        found = await client.xread({self._key: f"{after}-0"}, count=AT_ONCE, block=int(BLOCK * 1000))
        streams = cast("list[Any]", found.values() if isinstance(found, dict) else [entries for _, entries in found])
        return [_event(entry) for entries in streams for entry in _flat(entries)]

    async def _newest(self, client: redis.asyncio.Redis, known: int) -> int:
        return int(await client.eval(NEWEST, 1, self._counter, known))

    def _client(self) -> redis.asyncio.Redis:
        return redis.asyncio.Redis.from_url(self._url, socket_timeout=3 * BLOCK, socket_connect_timeout=BLOCK)


def unbroken(events: Sequence[Event], after: int) -> Iterator[Batch]:
    """Return events in batches without a gap inside: where a sequence is not the next one, some are gone for ever."""
    start = 0
    for end in range(1, len(events) + 1):
        if end == len(events) or events[end].sequence != events[end - 1].sequence + 1:
            yield Batch(events[start:end], gap=events[start].sequence != after + 1)
            after, start = events[end - 1].sequence, end


def _flat(entries: Any) -> list[Any]:
    """Return the entries of one stream; newer protocols wrap them once more."""
    return entries[0] if entries and isinstance(entries[0], list) else entries


def _event(entry: Any) -> Event:
    name, fields = entry
    return Event.from_text(int(name.split(b"-")[0]), fields[b"e"])
