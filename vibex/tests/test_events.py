"""The log of events: sequences that grow, order, gaps that are told, and nobody who is held up by it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from vibex.lib.events import LOST, Batch, Event, Hint, Log, over_redis
from vibex.lib.events.over_redis import PATIENCE, RedisLog
from vibex.lib.events.ring import Ring

KEY = "vibex:test:events"


@pytest.fixture
def redis_client(redis_url: str) -> Iterator[object]:
    import redis

    client = redis.Redis.from_url(redis_url)
    for key in (KEY, f"{KEY}:sequence"):
        client.delete(key)
    yield client
    for key in (KEY, f"{KEY}:sequence"):
        client.delete(key)
    client.close()


def hints(*kinds: str) -> list[Hint]:
    return [Hint(("account.1",), kind, {"id": number}) for number, kind in enumerate(kinds)]


async def heard(log: Log, after: int, count: int) -> list[Batch]:
    found: list[Batch] = []
    async with asyncio.timeout(5):
        async with contextlib.aclosing(log.listen(after)) as batches:
            async for batch in batches:
                found.append(batch)
                if sum(len(each.events) for each in found) >= count:
                    break
    return found


def events_of(batches: list[Batch]) -> list[Event]:
    return [event for batch in batches for event in batch.events]


def keeps_its_promises(log: Log, another: Log) -> None:
    async def scene() -> list[Batch]:
        after = await log.newest()
        listening = asyncio.create_task(heard(log, after, 3))
        await asyncio.sleep(0.05)
        await asyncio.to_thread(another.put, hints("a", "b"))
        await asyncio.to_thread(another.put, hints("c"))
        found = events_of(await listening)
        again = events_of(await heard(log, found[0].sequence, 2))
        assert [event.kind for event in again] == ["b", "c"]
        assert [event.kind for event in await log.recent(2)] == ["b", "c"]
        assert await log.newest() == found[-1].sequence
        return found

    found = asyncio.run(scene())
    assert [event.kind for event in found] == ["a", "b", "c"]
    assert [event.sequence for event in found] == sorted({event.sequence for event in found})
    assert (found[1].topics, found[1].data) == (("account.1",), {"id": 1})
    assert found[0].sequence > time.time_ns() // 1000 - 60_000_000


def test_a_ring_keeps_events_in_their_order():
    log = Ring()
    keeps_its_promises(log, log)


def test_a_ring_that_overflowed_says_so():
    log = Ring(size=2)
    after = asyncio.run(log.newest())
    log.put(hints("a", "b", "c"))
    (batch,) = asyncio.run(heard(log, after, 2))
    assert ([event.kind for event in batch.events], batch.gap) == (["b", "c"], True)
    (later,) = asyncio.run(heard(log, batch.events[0].sequence, 1))
    assert not later.gap


@pytest.mark.redis
def test_a_log_over_redis_keeps_events_in_their_order_over_processes(redis_url, redis_client):
    RedisLog(redis_url, KEY).put(hints("before"))
    keeps_its_promises(RedisLog(redis_url, KEY), RedisLog(redis_url, KEY))


@pytest.mark.redis
def test_many_who_publish_at_once_leave_no_gap_and_no_double(redis_url, redis_client):
    log = RedisLog(redis_url, KEY)
    log.put(hints("first"))
    after = asyncio.run(log.newest())
    threads = [threading.Thread(target=lambda: [log.put(hints("a", "b")) for _ in range(20)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    batches = asyncio.run(heard(log, after, 320))
    assert [event.sequence for event in events_of(batches)] == list(range(after + 1, after + 321))
    assert not any(batch.gap for batch in batches)


@pytest.mark.redis
def test_a_redis_that_lost_everything_goes_on_with_greater_sequences_and_tells_of_the_gap(redis_url, redis_client):
    log = RedisLog(redis_url, KEY)
    log.put(hints("a"))
    after = asyncio.run(log.newest())
    redis_client.delete(KEY, f"{KEY}:sequence")
    log.put(hints("b"))
    (batch,) = asyncio.run(heard(log, after, 1))
    assert (batch.gap, batch.events[0].kind, batch.events[0].sequence > after) == (True, "b", True)


@pytest.mark.redis
def test_who_listens_before_the_first_event_hears_it_without_a_gap(redis_url, redis_client):
    async def scene() -> list[list[Batch]]:
        one, other = RedisLog(redis_url, KEY), RedisLog(redis_url, KEY)
        first, second = await asyncio.gather(one.newest(), other.newest())
        assert first == second
        listening = asyncio.gather(heard(one, first, 1), heard(other, second, 1))
        await asyncio.to_thread(RedisLog(redis_url, KEY).put, hints("a"))
        return await listening

    for (batch,) in asyncio.run(scene()):
        assert ([event.kind for event in batch.events], batch.gap) == (["a"], False)


@pytest.mark.redis
def test_who_listens_while_redis_loses_everything_hears_the_next_event_as_a_gap(redis_url, redis_client):
    log = RedisLog(redis_url, KEY)
    log.put(hints("a"))

    async def scene() -> list[Batch]:
        after = await log.newest()
        listening = asyncio.create_task(heard(log, after - 1, 2))
        await asyncio.sleep(0.05)
        redis_client.delete(KEY, f"{KEY}:sequence")
        await asyncio.to_thread(log.put, hints("b"))
        return await listening

    before, after = asyncio.run(scene())
    assert [(batch.events[0].kind, batch.gap) for batch in (before, after)] == [("a", False), ("b", True)]
    assert after.events[0].sequence > before.events[0].sequence


@pytest.mark.redis
def test_a_redis_that_came_back_with_less_than_it_had_tells_everybody_of_the_gap(redis_url, redis_client):
    """As one that writes its data to disk from time to time does when it is started anew: its count is an old one."""
    log, counter = RedisLog(redis_url, KEY), f"{KEY}:sequence"
    log.put(hints("a"))
    first = asyncio.run(log.newest())
    kept = {key: redis_client.dump(key) for key in (KEY, counter)}
    log.put(hints("b", "c", "d", "e"))
    after = asyncio.run(log.newest())
    for key, value in kept.items():
        redis_client.restore(key, 0, value, replace=True)
    log.put(hints("nobody hears this"))

    async def scene() -> list[Batch]:
        listening = asyncio.create_task(heard(log, after, 1))
        while await log.newest() < after and not listening.done():
            await asyncio.sleep(0.01)
        await asyncio.to_thread(log.put, hints("f"))
        return [*await listening, *await heard(log, after, 1), *await heard(log, first, 2)]

    found = asyncio.run(scene())
    told = [([event.kind for event in batch.events], batch.gap) for batch in found]
    late = [(["nobody hears this"], False), (["f"], True)]  # who had not read all that was lost
    assert told == [(["f"], True), (["f"], True), *late]
    assert found[0].events[0].sequence > after + 1


def test_a_redis_that_does_not_answer_holds_nobody_up_for_long(monkeypatch):
    monkeypatch.setattr(over_redis, "SILENCE", 600.0)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        log = RedisLog(f"redis://127.0.0.1:{mute.getsockname()[1]}/0", KEY)
        log.put(hints("a"))
        began = time.monotonic()
        for _ in range(1_000):
            log.put(hints("b"))
        assert time.monotonic() - began < 100 * PATIENCE, "each of them would wait as long as the first"
        mute.setblocking(False)
        mute.accept()[0].close()
        with pytest.raises(BlockingIOError):  # nobody else has tried
            mute.accept()


class Way:
    """The way to a Redis, that can stop: what is connected then is never told anything again, and is not closed either."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self._tasks: set[asyncio.Task[None]] = set()
        self.stopped, self.lost = False, set[StreamWriter]()
        self.open = set[StreamWriter]()
        self.tries = 0

    async def __aenter__(self) -> Way:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = self._to._replace(netloc=f"127.0.0.1:{port}").geturl()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self) -> None:
        self.stopped, self.lost = True, set(self.open)

    async def _connected(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        self.tries += 1
        self.open.add(writer)
        if self.stopped:
            self.lost.add(writer)
        there, to_redis = await asyncio.open_connection(self._to.hostname, self._to.port)
        answers = asyncio.create_task(self._pass_on(there, writer, writer))
        try:
            await self._pass_on(reader, to_redis, writer)
        finally:
            self.open.discard(writer)
            answers.cancel()
            to_redis.close()
            writer.close()

    async def _pass_on(self, source: StreamReader, target: StreamWriter, client: StreamWriter) -> None:
        while data := await source.read(65_536):
            if client not in self.lost:
                target.write(data)


@pytest.mark.redis
def test_who_listens_to_a_redis_that_hangs_connects_anew_and_misses_nothing(redis_url, redis_client, monkeypatch):
    monkeypatch.setattr(over_redis, "BLOCK", 0.1)
    monkeypatch.setattr(over_redis, "PAUSE", 0.05)

    async def scene() -> list[Batch]:
        async with Way(redis_url) as way:
            log, direct = RedisLog(way.url, KEY), RedisLog(redis_url, KEY)
            after = await log.newest()
            listening = asyncio.create_task(heard(log, after, 3))
            await asyncio.to_thread(direct.put, hints("a"))
            while not way.open:
                await asyncio.sleep(0.01)
            way.stop()
            await asyncio.to_thread(direct.put, hints("b"))
            tries = way.tries
            while way.tries < tries + 2:  # it has given up the first, and another that hung too
                await asyncio.sleep(0.01)
            way.stopped = False
            await asyncio.to_thread(direct.put, hints("c"))
            found = await listening
            async with asyncio.timeout(10):  # what hung is closed
                while way.open:
                    await asyncio.sleep(0.01)
            return found

    found = asyncio.run(scene())
    assert [event.kind for event in events_of(found)] == ["a", "b", "c"]
    assert not any(batch.gap for batch in found)


@pytest.mark.redis
def test_what_could_not_be_published_is_told_as_lost_with_the_next_that_can(redis_url, redis_client, monkeypatch):
    log = RedisLog(redis_url, KEY)
    log.put(hints("a"))
    after = asyncio.run(log.newest())
    working, log._add = log._add, None
    log.put(hints("b"))
    log._add = working
    log.put(hints("c"))  # still silent
    log._silent_until = 0.0
    log.put(hints("d"))
    log.put(hints("e"))
    assert [event.kind for event in events_of(asyncio.run(heard(log, after, 3)))] == [LOST, "d", "e"]


@pytest.mark.redis
def test_what_is_lost_while_another_thread_gets_through_is_told_too(redis_url, redis_client):
    log = RedisLog(redis_url, KEY)
    after = asyncio.run(log.newest())
    working = log._add

    def meanwhile_another_fails(**wanted: object) -> None:
        log._add = None
        log.put(hints("b"))
        log._add = working
        working(**wanted)

    log._add = meanwhile_another_fails
    log.put(hints("a"))
    log._silent_until = 0.0
    log.put(hints("c"))
    log.put(hints("d"))
    assert [event.kind for event in events_of(asyncio.run(heard(log, after, 4)))] == ["a", LOST, "c", "d"]
