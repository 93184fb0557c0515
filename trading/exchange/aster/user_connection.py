"""One WebSocket to AsterDEX that says what happens to an account. It may be silent for hours and be well.

So it is asked: a ping goes out every few seconds, and one that does not even answer those is dead. The address holds
the listen key and stands in no message.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketdata.aster.connection import CLOSE_SECONDS, FRAME_BYTES, ConnectionLost, ban_of

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse


@dataclass(frozen=True, slots=True)
class UserPace:
    """How a user stream behaves in time. Everything in seconds."""

    prolong: float = 30 * 60.0
    """The listen key is kept alive this often; it lives for 60 minutes."""
    again: float = 60.0
    """So soon when that failed."""
    life: float = 23 * 3600.0
    """A connection is renewed after that: the venue ends it after 24 hours."""
    overlap: float = 1.0
    """How long the old connection is still listened to when a new one has taken its place."""
    ping: float = 20.0
    silence: float = 60.0
    """A connection on which nothing came for so long, no answer to a ping either, is replaced."""
    quiet: float = 15 * 60.0
    """After so long without any event a gap is told: nothing may have happened, or nothing may have been sent."""
    hold: float = 0.1
    """An event waits so long for one that happened before it and is still on its way."""
    first_pause: float = 0.5
    longest_pause: float = 30.0
    healthy: float = 60.0
    """A connection that lasted so long makes the next pause the first one again."""
    connect: float = 10.0
    complaint: float = 60.0
    """The same fault is logged once in so long."""


class UserConnection:
    """A connection between `open_connection` and `close`. Used in one event loop."""

    def __init__(
        self,
        socket: ClientWebSocketResponse,
        *,
        hear: Callable[[Any], None],
        garbled: Callable[[str], None],
        alive: Callable[[], None],
        pace: UserPace,
    ) -> None:
        """`hear` takes messages, `garbled` is told what could not even be parsed, `alive` is called at every frame."""
        self.ended = asyncio.Event()
        self.broken = ""
        """Why this connection was given up."""
        self._socket, self._pace = socket, pace
        self._hear, self._garbled, self._alive = hear, garbled, alive
        self._heard = time.monotonic()
        self._listener = asyncio.create_task(self._listen())
        self._pinger = asyncio.create_task(self._ping())

    def is_well(self) -> bool:
        """Tell whether events can come."""
        return not self.ended.is_set()

    def give_up(self, reason: str) -> None:
        """Use this connection no more, whatever still comes."""
        self.broken = self.broken or reason
        self.ended.set()

    async def close(self) -> None:
        """Close the socket, a good second at most."""
        self._pinger.cancel()
        await self._socket.close()
        self._listener.cancel()
        await asyncio.gather(self._listener, self._pinger, return_exceptions=True)

    async def _listen(self) -> None:
        from aiohttp import WSMsgType

        try:
            async for frame in self._socket:
                self._heard = time.monotonic()
                self._alive()
                if frame.type is WSMsgType.TEXT:
                    self._read(frame.data)
                elif frame.type is WSMsgType.PING:
                    await self._socket.pong(frame.data)
                elif frame.type is not WSMsgType.PONG:
                    self._garbled(f"a frame of kind {frame.type.name}")
        except Exception as fault:  # noqa: BLE001  whatever it is, this connection is over and a new one is made
            self.give_up(f"{type(fault).__name__}")
            return
        broken = self._socket.exception()
        why = type(broken).__name__ if broken else f"code {self._socket.close_code}"
        self.give_up(f"the connection ended ({why})")

    async def _ping(self) -> None:
        """Ask for a sign of life, and give the connection up when none came for too long."""
        while True:
            await asyncio.sleep(min(self._pace.ping, self._pace.silence))
            if time.monotonic() - self._heard >= self._pace.silence:
                self.give_up(f"nothing came for {self._pace.silence:g} s, not even an answer to a ping")
                return
            with suppress(OSError, TimeoutError):  # the listener sees the end of it
                async with asyncio.timeout(self._pace.ping):
                    await self._socket.ping()

    def _read(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._garbled("a message that is no JSON")
            return
        self._hear(message)


async def open_connection(
    session: ClientSession,
    url: str,
    *,
    hear: Callable[[Any], None],
    garbled: Callable[[str], None],
    alive: Callable[[], None],
    pace: UserPace,
) -> UserConnection:
    """Return a connection to `url`, which is secret. Raises ConnectionLost that does not tell it."""
    import aiohttp

    try:
        async with asyncio.timeout(pace.connect):
            socket = await session.ws_connect(
                url,
                autoping=False,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                max_msg_size=FRAME_BYTES,
            )
    except TimeoutError:
        raise ConnectionLost(f"no connection within {pace.connect:g} s") from None
    except aiohttp.WSServerHandshakeError as error:
        raise ConnectionLost(f"the venue answered {error.status}", seconds=ban_of(error)) from None
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ConnectionLost(f"no connection ({type(error).__name__})") from None
    return UserConnection(socket, hear=hear, garbled=garbled, alive=alive, pace=pace)
