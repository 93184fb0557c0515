"""Over a real server: who does not read is closed and holds nobody up; a server that goes down says so."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import Iterator

import aiohttp
import pytest

from vibex.lib.env import ROOT

pytestmark = pytest.mark.ci


@pytest.fixture
def server() -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "vibex.tests.slow_reader_process"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        yield process, f"http://127.0.0.1:{process.stdout.readline().strip()}/"
        process.kill()


async def opened(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    for _ in range(100):
        try:
            return await session.ws_connect(url)
        except aiohttp.ClientConnectorError:
            await asyncio.sleep(0.1)
    raise AssertionError("the server does not answer")


async def sequences(socket: aiohttp.ClientWebSocketResponse, until: int) -> list[int]:
    found: list[int] = []
    while not found or found[-1] < until:
        message = await socket.receive(timeout=30)
        assert message.type is aiohttp.WSMsgType.TEXT, (message, found[-3:])
        found += [each["sequence"] for each in json.loads(message.data)["changes"]]
    return found


def test_who_does_not_read_is_closed_and_the_others_miss_nothing(server):
    async def scene() -> tuple[list[int], int | None, bool]:
        async with aiohttp.ClientSession() as session:
            good, slow = await opened(session, server[1]), await opened(session, server[1])
            slow._conn.transport.pause_reading()
            await good.send_str("go")
            heard = await sequences(good, 4000)
            slow._conn.transport.resume_reading()
            while (message := await slow.receive(timeout=30)).type is aiohttp.WSMsgType.TEXT:
                pass
            return heard, slow.close_code, message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)

    heard, code, closed = asyncio.run(scene())
    assert heard == list(range(1, 4001))
    assert closed
    assert code in (4008, 1006)  # 1006: the server gave up on it before the word could be read


def test_a_server_that_goes_down_says_goodbye(server):
    process, url = server

    async def scene() -> int | None:
        async with aiohttp.ClientSession() as session:
            socket = await opened(session, url)
            process.send_signal(signal.SIGTERM)
            await socket.receive(timeout=20)
            return socket.close_code

    assert asyncio.run(scene()) == 4012
