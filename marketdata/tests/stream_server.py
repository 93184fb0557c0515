"""A venue's stream in a thread of the test: says what it is told to say, and misbehaves on demand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web


class StreamServer:
    """Accepts WebSockets at /ws. Everything that a test may change or read is a plain attribute."""

    def __init__(self) -> None:
        self.subscriptions: dict[web.WebSocketResponse, set[str]] = {}
        """Per open socket, oldest first, the streams that it is subscribed to."""
        self.asked: list[tuple[str, list[str]]] = []
        """Control messages: method and streams."""
        self.most_at_once = 0
        """Most streams that one socket was ever subscribed to."""
        self.accepted = 0
        self.status: int | None = None
        """Answer handshakes with this status and a page of HTML."""
        self.retry_after: str | None = None
        self.hanging = False
        """Leave handshakes without an answer."""
        self.answering = True
        self.refusing: Callable[[str], bool] = lambda stream: False
        self.names_id = True
        self.beating = True
        """Say a mark price per subscribed symbol every 20 ms."""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> StreamServer:
        self._thread.start()
        assert self._ready.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._end.set)
        self._thread.join(10)
        self._loop.close()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    @property
    def streams(self) -> set[str]:
        """Return what is subscribed to on any socket."""
        return set().union(*self.subscriptions.values())

    def say(self, message: Any) -> None:
        """Send a message to every socket: text as it is, bytes as they are, the rest as JSON."""
        self._do(self._say(message))

    def cut(self) -> None:
        """Close every socket without a word."""
        self._do(self._cut())

    def close(self, text: bytes) -> None:
        """Close every socket with a reason."""
        self._do(self._close(text))

    def _do(self, work: Any) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        self._end = asyncio.Event()
        app = web.Application()
        app.router.add_get("/ws", self._handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        beats = asyncio.create_task(self._beat())
        self._ready.set()
        await self._end.wait()
        beats.cancel()
        await self._cut()
        await runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if self.hanging:
            await self._end.wait()
        if self.status:
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return web.Response(status=self.status, text="<html>no</html>", content_type="text/html", headers=headers)
        socket = web.WebSocketResponse(timeout=0.2)
        await socket.prepare(request)
        self.accepted += 1
        self.subscriptions[socket] = set()
        try:
            async for frame in socket:
                if frame.type is WSMsgType.TEXT:
                    await self._control(socket, json.loads(frame.data))
        finally:
            self.subscriptions.pop(socket, None)
        return socket

    async def _control(self, socket: web.WebSocketResponse, message: dict[str, Any]) -> None:
        method, streams = message["method"], message["params"]
        self.asked.append((method, streams))
        if not self.answering:
            return
        if any(map(self.refusing, streams)):
            answer: dict[str, Any] = {"code": 2, "msg": "Invalid request"}
            await socket.send_json(answer | ({"id": message["id"]} if self.names_id else {}))
            return
        held = self.subscriptions[socket]
        held.update(streams) if method == "SUBSCRIBE" else held.difference_update(streams)
        self.most_at_once = max(self.most_at_once, len(held))
        await socket.send_json({"result": None, "id": message["id"]})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(0.02)
            if self.beating:
                for socket, streams in list(self.subscriptions.items()):
                    for stream in [name for name in streams if name.endswith("@markPrice@1s")][:5]:
                        await self._send(socket, json.dumps(mark_event(stream.partition("@")[0].upper())))

    async def _say(self, message: Any) -> None:
        for socket in list(self.subscriptions):
            if isinstance(message, bytes):
                await socket.send_bytes(message)
            else:
                await self._send(socket, message if isinstance(message, str) else json.dumps(message))

    async def _send(self, socket: web.WebSocketResponse, text: str) -> None:
        with suppress(ConnectionError):
            await socket.send_str(text)

    async def _cut(self) -> None:
        for socket in list(self.subscriptions):
            transport = socket._req.transport  # type: ignore[union-attr]
            if transport:
                transport.abort()

    async def _close(self, text: bytes) -> None:
        await asyncio.gather(*(socket.close(code=1008, message=text) for socket in list(self.subscriptions)))


def mark_event(symbol: str, price: str = "100.5") -> dict[str, Any]:
    """Return a mark price as the venue sends it."""
    now = int(time.time() * 1000)
    return {"e": "markPriceUpdate", "E": now, "s": symbol, "p": price, "r": "0.0001", "T": now + 60_000}


def book_event(symbol: str, bid: str = "100", ask: str = "101", event: int = 1_700_000_000_000) -> dict[str, Any]:
    """Return a best bid and ask as the venue sends them."""
    return {"e": "bookTicker", "u": 1, "E": event, "T": event, "s": symbol, "b": bid, "B": "1", "a": ask, "A": "1"}


def candle_event(symbol: str, *, closed: bool = False, opened: int = 1_700_000_040_000) -> dict[str, Any]:
    """Return a candle as the venue sends it."""
    candle = {"t": opened, "T": opened + 59_999, "s": symbol, "i": "1m", "x": closed, "n": 3}
    prices = {"o": "100", "h": "102", "l": "99", "c": "101.5", "v": "7", "q": "700", "V": "3", "Q": "300", "B": "0"}
    return {"e": "kline", "E": opened + 60_000, "s": symbol, "k": candle | prices}
