"""Many WebSocket clients in one process, as light as can be: what is measured is the server."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

CHANGE = re.compile(rb'\{"sequence":(\d+),')
STATE = re.compile(rb'^\{"type":"(snapshot|resumed)","sequence":(\d+)')


@dataclass
class Heard:
    """When which change reached a client, by its sequence."""

    at: dict[int, float] = field(default_factory=dict)
    twice: int = 0
    newest: int = 0
    answers: list[str] = field(default_factory=list)
    """What its subscriptions were answered with: a snapshot, or resumed."""
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    closed: str = ""


class Client(asyncio.Protocol):
    """One connection: shakes hands, subscribes, notes what comes, answers pings."""

    def __init__(self, cookie: str, port: int, heard: Heard, since: int | None) -> None:
        self.heard = heard
        self._hello = _handshake(cookie, port)
        self._subscribe = json.dumps({"type": "subscribe", "kinds": ["account"], "since": since})
        self._buffer = b""
        self._open = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(self._hello)

    def data_received(self, data: bytes) -> None:
        now = time.time()
        self._buffer += data
        if not self._open and not self._shaken():
            return
        while (taken := self._frame()) is not None:
            self._take(taken[0], taken[1], now)

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.closed = self.heard.closed or f"lost {exc}"

    def _shaken(self) -> bool:
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found or self.transport is None:
            return False
        if b" 101 " not in head.split(b"\r\n")[0]:
            self.heard.closed = head.split(b"\r\n")[0].decode()
            return False
        self._open, self._buffer = True, rest
        self.transport.write(_text_frame(self._subscribe))
        return True

    def _frame(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, start = buffer[1] & 127, 2
        if length >= 126:
            start = 4 if length == 126 else 10
            length = int.from_bytes(buffer[2:start])
        if len(buffer) < start + length:
            return None
        self._buffer = buffer[start + length :]
        return buffer[0] & 15, buffer[start : start + length]

    def _take(self, kind: int, payload: bytes, now: float) -> None:
        heard = self.heard
        if kind == 9 and self.transport:
            self.transport.write(bytes([0x8A, 0x80 | len(payload), 0, 0, 0, 0]) + payload)
        elif kind == 8:
            heard.closed = f"closed {int.from_bytes(payload[:2])}"
        elif state := STATE.match(payload):
            heard.newest = max(heard.newest, int(state[2]))
            heard.answers.append(state[1].decode())
            heard.answered.set()
        else:
            for number in CHANGE.findall(payload):
                sequence = int(number)
                heard.twice += sequence in heard.at
                heard.at[sequence] = now
                heard.newest = max(heard.newest, sequence)


async def connect_all(
    cookies: Sequence[str], port: int, heard: Sequence[Heard], *, resume: bool = False
) -> list[Client]:
    """Open a connection for each cookie, all at once, and return when each has its state (or was resumed)."""
    loop = asyncio.get_running_loop()
    for each in heard:
        each.answered.clear()
        each.closed = ""

    async def connect(cookie: str, one: Heard) -> Client:
        made: Callable[[], Client] = lambda: Client(cookie, port, one, one.newest if resume else None)  # noqa: E731
        _, client = await loop.create_connection(made, "127.0.0.1", port)
        return client

    clients = await asyncio.gather(*(connect(cookie, one) for cookie, one in zip(cookies, heard, strict=True)))
    try:
        async with asyncio.timeout(60):
            await asyncio.gather(*(each.answered.wait() for each in heard))
    except TimeoutError:
        raise RuntimeError(f"not all got in: {[each.closed for each in heard if not each.answered.is_set()]}") from None
    return list(clients)


def _handshake(cookie: str, port: int) -> bytes:
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        "GET /ws/trading-events/ HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Origin: http://127.0.0.1:{port}",
        "Upgrade: websocket", "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
        f"Cookie: {cookie}",
    ]  # fmt: skip
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _text_frame(text: str) -> bytes:
    """A masked frame; the mask is zero, as masking is against proxies that are not there."""
    data = text.encode()
    size = bytes([0x80 | len(data)]) if len(data) < 126 else bytes([0x80 | 126]) + len(data).to_bytes(2)
    return b"\x81" + size + bytes(4) + data
