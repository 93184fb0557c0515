"""The way to a client: frames that are made once and go straight to its socket, where the server is daphne.

daphne hands each message to autobahn, which frames, logs and queues it anew for every client, and to Twisted, which waits
for a round of its loop: a third of a millisecond for each of a thousand clients. A server's frames are not masked, so that one and the same
bytes are right for all. Everywhere else, and as soon as anything is out of the ordinary, messages go the ordinary way.
"""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, MutableMapping
from functools import lru_cache
from typing import Any, Final

type Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

OPEN: Final = 3
"""State of autobahn's protocol in which messages go out."""


class Wire:
    """Sends texts to one client. What private names of daphne's parts it uses, a test over a real server checks."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._protocol: Any = next(iter(getattr(send, "args", ())), None)

    @property
    def waiting(self) -> int:
        """Bytes that the server holds for a client which does not read them; 0 where it does not tell."""
        transport = getattr(self._protocol, "transport", None)
        buffered = len(getattr(transport, "dataBuffer", b"")) - getattr(transport, "offset", 0)
        return int(max(buffered, 0) + getattr(transport, "_tempDataLen", 0))

    @property
    def direct(self) -> bool:
        """Whether frames can go straight to the socket: plain TCP, open, nothing compressed, nothing queued by autobahn."""
        protocol = self._protocol
        transport = getattr(protocol, "transport", None)
        return (
            getattr(protocol, "state", None) == OPEN
            and getattr(protocol, "_perMessageCompress", self) is None
            and not getattr(protocol, "send_queue", True)
            and isinstance(getattr(transport, "socket", None), socket.socket)
            and not getattr(transport, "TLS", True)
            and bool(getattr(transport, "connected", False))
        )

    async def text(self, text: str) -> None:
        """Send a message."""
        if self.direct:
            self._write(frame_of(text))
        else:
            await self._send({"type": "websocket.send", "text": text})

    async def close(self, code: int) -> None:
        """End the connection. What went out before comes before it."""
        await self._send({"type": "websocket.close", "code": code})

    def _write(self, frame: bytes) -> None:
        transport, sent = self._protocol.transport, 0
        if not self.waiting:
            try:
                sent = transport.socket.send(frame)
            except OSError:  # full, or broken: the transport finds out which
                sent = 0
        if sent < len(frame):
            transport.write(frame[sent:])


@lru_cache(maxsize=256)
def frame_of(text: str) -> bytes:
    """Return a text message as one frame (RFC 6455, 5.2), not masked."""
    data = text.encode()
    size = len(data)
    if size < 126:
        return bytes((0x81, size)) + data
    if size < 1 << 16:
        return b"\x81\x7e" + size.to_bytes(2) + data
    return b"\x81\x7f" + size.to_bytes(8) + data
