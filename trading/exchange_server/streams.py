"""The WebSocket side: connections, what they listen to, and the beat at which news goes out."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from aiohttp import WSCloseCode, WSMsgType, web

from trading.exchange_server.faults import FaultBook, broken_message
from trading.exchange_server.markets import Markets
from trading.exchange_server.messages import Feed, feed_of, news
from vibex.lib.errors import Rejected

log = logging.getLogger(__name__)

PULSE_SECONDS: Final = 0.25
MOST_STREAMS: Final = 200
MOST_MESSAGES: Final = 10
"""Messages a second that a client may send."""
PING_SECONDS: Final = 300.0
LIFE_SECONDS: Final = 24 * 3600.0
BACKLOG: Final = 20_000
"""Messages that may wait for a client that reads too slowly; then it is cut off."""


@dataclass(slots=True)
class Message:
    """One message, in the two shapes in which it may go out."""

    stream: str
    data: Any

    def text(self, *, combined: bool) -> str:
        return dumps({"stream": self.stream, "data": self.data} if combined else self.data)


@dataclass(slots=True, eq=False)
class Connection:
    """One client. Messages wait in `outbox` until its writer has sent them; `held` are to be overtaken by others."""

    socket: web.WebSocketResponse
    transport: asyncio.BaseTransport | None
    combined: bool
    streams: dict[str, None] = field(default_factory=dict)
    outbox: asyncio.Queue[str] = field(default_factory=lambda: asyncio.Queue(BACKLOG))
    held: list[tuple[int, str]] = field(default_factory=list)
    ends: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when its life is to end early."""
    asked: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_MESSAGES))

    def hurries(self) -> bool:
        """Note a message of the client and say whether that was more than it may send in a second."""
        now = time.monotonic()
        full = len(self.asked) == MOST_MESSAGES and now - self.asked[0] < 1.0
        self.asked.append(now)
        return full


class Hub:
    """All connections, and the feeds that at least one of them listens to."""

    def __init__(self, markets: Markets, faults: FaultBook, *, pulse: float, life: float, ping: float) -> None:
        self.markets, self.faults = markets, faults
        self.pulse_seconds, self.life_seconds, self.ping_seconds = pulse, life, ping
        self.connections: set[Connection] = set()
        self.opened = 0
        self.sent = 0
        self.before: list[Callable[[], None]] = []
        """What is done at every beat before anything is sent."""
        self._feeds: dict[str, Feed] = {}
        self._lower = {symbol.lower(): symbol for symbol in markets.contracts}

    async def run(self) -> None:
        """Send news at every beat, for ever."""
        while True:
            await asyncio.sleep(self.pulse_seconds)
            try:
                self.pulse()
            except Exception:
                log.exception("A beat of the streams failed; the next one is tried.")

    def pulse(self) -> None:
        """Send what is new now to those who listen to it."""
        for work in self.before:
            work()
        now = self.markets.now_ms()
        for name in list(self._feeds):
            if not any(name in one.streams for one in self.connections):
                del self._feeds[name]
                continue
            for data in news(self.markets, self._feeds[name], now):
                self.tell(name, data)

    def tell(self, stream: str, data: Any) -> None:
        """Send a message to everybody who listens to a stream, whoever made it: a market, or an account."""
        self._send(Message(stream, data), [one for one in self.connections if stream in one.streams])

    async def serve(self, request: web.Request, names: list[str], *, combined: bool) -> web.WebSocketResponse:
        """Answer one connection until it ends, at the latest at the end of its life."""
        socket = web.WebSocketResponse(heartbeat=self.ping_seconds, max_msg_size=65_536)
        await socket.prepare(request)
        connection = Connection(socket, request.transport, combined)
        self.opened += 1
        if len(names) > MOST_STREAMS:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many streams")
            return socket
        self.connections.add(connection)
        writer = asyncio.create_task(self._write(connection))
        try:
            self._subscribe(connection, names)
            await self._live(connection)
        finally:
            self.connections.discard(connection)
            writer.cancel()
        return socket

    def cut(self) -> int:
        """Break every connection without a word of goodbye and return how many there were."""
        connections = list(self.connections)
        for connection in connections:
            self._break(connection)
        return len(connections)

    def retire(self) -> int:
        """Close every connection as it is closed at the end of its life, and return how many there were."""
        for connection in self.connections:
            connection.ends.set()
        return len(self.connections)

    async def close(self) -> None:
        """Close every connection in order, and those that do not answer without it."""
        for connection in list(self.connections):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(connection.socket.close(code=WSCloseCode.GOING_AWAY), 0.2)
            self._break(connection)

    def _break(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if isinstance(connection.transport, asyncio.WriteTransport):
            connection.transport.abort()

    async def _live(self, connection: Connection) -> None:
        """Read what a client sends until it leaves, or until its life is over."""
        reading, ending = asyncio.create_task(self._read(connection)), asyncio.create_task(connection.ends.wait())
        try:
            await asyncio.wait((reading, ending), timeout=self.life_seconds, return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                await reading
            else:
                await connection.socket.close(code=WSCloseCode.GOING_AWAY, message=b"end of life")
        finally:
            reading.cancel()
            ending.cancel()

    async def _read(self, connection: Connection) -> None:
        async for message in connection.socket:
            if connection.hurries():
                await connection.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=b"too many requests")
                return
            if message.type is WSMsgType.TEXT:
                self._queue(connection, dumps(self._answer(connection, message.data)))

    async def _write(self, connection: Connection) -> None:
        while True:
            text = await connection.outbox.get()
            with contextlib.suppress(ConnectionError):
                await connection.socket.send_str(text)

    def _answer(self, connection: Connection, text: str) -> dict[str, Any]:
        try:
            asked = json.loads(text)
        except ValueError:
            return {"error": {"code": 3, "msg": "Invalid JSON"}}
        if not isinstance(asked, dict) or not isinstance(asked.get("params", []), list):
            return {"error": {"code": 2, "msg": "Invalid request"}}
        number, params = asked.get("id"), asked.get("params", [])
        try:
            return {"result": self._obey(connection, asked.get("method"), params), "id": number}
        except Rejected as refusal:
            return {"error": {"code": 2, "msg": str(refusal)}, "id": number}

    def _obey(self, connection: Connection, method: object, params: list[Any]) -> Any:
        match method:
            case "SUBSCRIBE":
                self._subscribe(connection, [str(name) for name in params])
            case "UNSUBSCRIBE":
                for name in params:
                    connection.streams.pop(str(name), None)
            case "LIST_SUBSCRIPTIONS":
                return list(connection.streams)
            case "SET_PROPERTY" if len(params) == 2 and params[0] == "combined":
                connection.combined = bool(params[1])
            case "GET_PROPERTY" if params == ["combined"]:
                return connection.combined
            case _:
                raise Rejected("Invalid request: unknown method or property.")
        return None

    def _subscribe(self, connection: Connection, names: list[str]) -> None:
        """Add streams and send what they have to say now. Names that mean nothing are taken and stay silent."""
        if len(connection.streams | dict.fromkeys(names)) > MOST_STREAMS:
            raise Rejected(f"Too many streams: at most {MOST_STREAMS} a connection.")
        for name in names:
            fresh = feed_of(name, self.markets, self._lower) if name not in connection.streams else None
            connection.streams[name] = None
            if fresh is None:
                continue
            for data in news(self.markets, fresh, fresh.since):
                self._send(Message(name, data), [connection])
            self._feeds.setdefault(name, fresh)

    def _send(self, message: Message, listeners: list[Connection]) -> None:
        """Send a message to its listeners, or what a fault makes of it."""
        for connection in listeners:
            fault = self.faults.strike_message(message.stream)
            kind = fault.kind if fault else None
            if kind in ("silence", "lose"):
                continue
            told = Message(message.stream, broken_message(message.data)) if kind == "corrupt" else message
            text = told.text(combined=connection.combined)
            if fault and kind == "reorder":
                connection.held.append((fault.after, text))
                continue
            if fault and kind == "delay":
                asyncio.get_running_loop().call_later(fault.seconds, self._queue, connection, text)
                continue
            self._put(connection, text)
            if kind == "duplicate":
                self._put(connection, text)

    def _put(self, connection: Connection, text: str) -> None:
        """Queue a message, then those that it was to overtake."""
        self._queue(connection, text)
        if connection.held:
            waiting = [(left - 1, held) for left, held in connection.held]
            connection.held = [(left, held) for left, held in waiting if left > 0]
            for _, held in (one for one in waiting if one[0] <= 0):
                self._queue(connection, held)

    def _queue(self, connection: Connection, text: str) -> None:
        try:
            connection.outbox.put_nowait(text)
        except asyncio.QueueFull:
            self._break(connection)
        self.sent += 1


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
