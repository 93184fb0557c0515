"""Open streams are counted over all web processes, and a process that died is forgotten."""

from __future__ import annotations

import asyncio
import time

import pytest

from vibex.metrics import sockets


async def opened(app: sockets.Counted, until: asyncio.Event) -> None:
    await app({"type": "websocket"}, None, until)


async def inner(_scope, _receive, until: asyncio.Event) -> None:
    await until.wait()


async def broken(_scope, _receive, _send) -> None:
    raise RuntimeError("the client is gone")


def test_streams_of_this_process_are_counted_while_they_are_open() -> None:
    before = sockets.clients()

    async def life() -> int:
        app, until = sockets.Counted(inner), asyncio.Event()
        tasks = [asyncio.create_task(opened(app, until)) for _ in range(3)]
        await asyncio.sleep(0)
        during = sockets.clients()
        until.set()
        await asyncio.gather(*tasks)
        return during

    assert asyncio.run(life()) == before + 3
    assert sockets.clients() == before


def test_a_stream_that_breaks_is_not_counted_for_ever() -> None:
    before = sockets.clients()
    with pytest.raises(RuntimeError):
        asyncio.run(sockets.Counted(broken)({"type": "websocket"}, None, None))
    assert sockets.clients() == before


@pytest.mark.redis
def test_other_processes_are_added_as_long_as_they_say_so(settings, redis_url: str, monkeypatch) -> None:
    monkeypatch.setattr(sockets, "KEY", f"vibex:test:sockets:{time.time_ns()}")
    settings.REDIS_URL = redis_url
    before = sockets.clients()
    now = time.time()
    with sockets._client() as client:
        client.hset(sockets.KEY, "web:1", f"40 {now:.0f}")
        client.hset(sockets.KEY, "web:2", f"2 {now:.0f}")
        client.hset(sockets.KEY, "died", f"900 {now - sockets.GONE - 1:.0f}")
        client.expire(sockets.KEY, 60)
    assert sockets.clients() == before + 42


@pytest.mark.redis
def test_a_process_says_how_many_it_has_until_there_are_none(settings, redis_url: str, monkeypatch) -> None:
    monkeypatch.setattr(sockets, "KEY", f"vibex:test:sockets:{time.time_ns()}")
    monkeypatch.setattr(sockets, "EVERY", 0.05)
    settings.REDIS_URL = redis_url

    def told() -> bytes | None:
        with sockets._client() as client:
            return client.hget(sockets.KEY, sockets._name())

    async def until_told(wanted: bytes | None) -> None:
        async with asyncio.timeout(30):
            while (said := told()) != wanted and not (said and wanted and said.startswith(wanted)):
                await asyncio.sleep(0.05)

    async def life() -> None:
        app, until = sockets.Counted(inner), asyncio.Event()
        tasks = [asyncio.create_task(opened(app, until)) for _ in range(2)]
        await until_told(b"2 ")
        until.set()
        await asyncio.gather(*tasks)
        await until_told(None)

    asyncio.run(life())


def test_a_redis_that_is_away_is_an_error_and_not_a_zero(settings) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    with pytest.raises(OSError, match="Redis does not answer"):
        sockets.clients()
