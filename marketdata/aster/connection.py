"""One WebSocket to AsterDEX: it subscribes, checks the answers, listens, and knows when it was last told something."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import batched
from typing import TYPE_CHECKING, Any, Final

from vibex.lib.errors import Retryable, VibexError

if TYPE_CHECKING:
    from aiohttp import ClientSession, ClientWebSocketResponse

MOST_STREAMS: Final = 200
"""Streams of one connection, by the venue's rule."""
ASKED_AT_ONCE: Final = 50
"""Streams of one control message: about a kilobyte."""
CLOSE_SECONDS: Final = 1.0
FRAME_BYTES: Final = 4 * 1024 * 1024
SHOWN: Final = 80
BARRED_SECONDS: Final = 120.0
LONGEST_BAN_SECONDS: Final = 3 * 86_400.0
TOO_MANY: Final = (403, 418, 429)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Pace:
    """How a stream behaves in time. Everything in seconds."""

    silence: float = 15.0
    """A connection that said nothing for so long is replaced. Mark prices come every second."""
    life: float = 23 * 3600.0
    """A connection is renewed after that: the venue ends it after 24 hours."""
    first_pause: float = 0.5
    longest_pause: float = 30.0
    healthy: float = 60.0
    """A connection that lasted so long makes the next pause the first one again."""
    again: float = 300.0
    """A connection of which the venue refused streams is renewed after that: it may have been in trouble only."""
    overlap: float = 1.0
    """How long the old connection is still listened to when a new one has taken its place."""
    connect: float = 10.0
    answer: float = 10.0
    spacing: float = 0.15
    """Between two control messages: the venue takes ten a second, pings included."""
    complaint: float = 60.0
    """The same fault is logged once in so long."""


class ConnectionLost(Retryable):
    """The connection cannot be made or used any more. `seconds`: the venue wants to be left alone for so long."""

    def __init__(self, message: str, *, seconds: float = 0.0) -> None:
        super().__init__(message)
        self.seconds = seconds


@dataclass(slots=True)
class Complaints:
    """Logs what is wrong, each kind at most once in `every` seconds, and counts it."""

    every: float
    counts: dict[str, int] = field(default_factory=dict)
    _told: dict[str, float] = field(default_factory=dict)

    def __call__(self, kind: str, text: str) -> None:
        self.counts[kind] = self.counts.get(kind, 0) + 1
        now = time.monotonic()
        if now - self._told.get(kind, -self.every) >= self.every:
            self._told[kind] = now
            log.warning("the stream of AsterDEX: %s", text)


class Connection:
    """A connection between `connect` and `close`. Used in one event loop, by one task at a time."""

    def __init__(
        self,
        socket: ClientWebSocketResponse,
        *,
        hear: Callable[[Any], bool],
        complain: Callable[[str, str], None],
        pace: Pace,
    ) -> None:
        """`hear` takes a message and says whether it was one; it raises VibexError for one that cannot be read."""
        self.streams: frozenset[str] = frozenset()
        """What the venue has agreed to send."""
        self.refused: frozenset[str] = frozenset()
        self.broken = ""
        """Why this connection was given up. What speaks again after a silence has still missed something."""
        self._socket, self._hear, self._complain, self._pace = socket, hear, complain, pace
        self._heard = time.monotonic()
        self._asked = 0
        self._may_ask_at = 0.0
        self._answer: asyncio.Future[Mapping[str, Any] | None] | None = None
        self._listener = asyncio.create_task(self._listen())

    def patience(self) -> float:
        """Return for how many seconds the connection may say nothing from now on; not above zero when it is silent.

        One that is subscribed to nothing may be silent for ever.
        """
        return self._heard + self._pace.silence - time.monotonic() if self.streams else math.inf

    def is_well(self) -> bool:
        """Tell whether prices can be expected to come."""
        return not self.broken and not self._listener.done() and self.patience() > 0

    def when_ended(self, call: Callable[[], None]) -> None:
        """Have `call` called when nothing more can come."""
        self._listener.add_done_callback(lambda _: call())

    def why_ended(self) -> str:
        """Return in words why the connection is not well."""
        if self.broken:
            return self.broken
        if not self._listener.done():
            return f"nothing was heard for {self._pace.silence:g} s"
        fault = self._socket.exception()
        return f"{type(fault).__name__}: {fault}" if fault else f"the venue closed it (code {self._socket.close_code})"

    async def follow(self, streams: Iterable[str]) -> bool:
        """Subscribe to these and to no others; tell whether new ones came in. Raises ConnectionLost.

        A stream that the venue refuses is left out until there is a new connection.
        """
        wanted = frozenset(streams)
        gone, new = sorted(self.streams - wanted), sorted(wanted - self.streams - self.refused)
        try:
            for batch in batched(gone, ASKED_AT_ONCE):
                await self._ask("UNSUBSCRIBE", batch)
                self.streams -= frozenset(batch)
            for batch in batched(new, ASKED_AT_ONCE):
                await self._subscribe(batch)
        except ConnectionLost as fault:
            self.broken = str(fault)
            raise
        return bool(new)

    async def close(self) -> None:
        """Close the socket and wait for the listener, a good second at most."""
        await self._socket.close()
        self._listener.cancel()
        (ended,) = await asyncio.gather(self._listener, return_exceptions=True)
        if isinstance(ended, Exception):
            log.error("the stream of AsterDEX: a message was not understood by a fault of ours", exc_info=ended)

    async def _subscribe(self, streams: Sequence[str]) -> None:
        """Subscribe; where the venue refuses, find the ones that it means by halving."""
        if await self._ask("SUBSCRIBE", streams):
            self.streams |= frozenset(streams)
        elif len(streams) == 1:
            self.refused |= frozenset(streams)
        else:
            middle = len(streams) // 2
            await self._subscribe(streams[:middle])
            await self._subscribe(streams[middle:])

    async def _ask(self, method: str, streams: Sequence[str]) -> bool:
        """Send one control message and wait for its answer; tell whether it was yes."""
        await asyncio.sleep(max(0.0, self._may_ask_at - time.monotonic()))
        self._may_ask_at = time.monotonic() + self._pace.spacing
        self._asked += 1
        self._answer = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._pace.answer):
                await self._socket.send_json({"method": method, "params": list(streams), "id": self._asked})
                answer = None if self._listener.done() else await self._answer
        except TimeoutError:
            raise ConnectionLost(f"{method} was not answered within {self._pace.answer:g} s") from None
        except OSError as error:
            raise ConnectionLost(f"{method} could not be sent: {error}") from error
        if answer is None:
            raise ConnectionLost(f"{method} was not answered: {self.why_ended()}")
        return "error" not in answer and "code" not in answer

    async def _listen(self) -> None:
        from aiohttp import WSMsgType

        try:
            async for frame in self._socket:
                if frame.type is WSMsgType.TEXT:
                    self._read(frame.data)
                else:
                    self._complain("frame", f"a frame of kind {frame.type.name} was ignored")
        finally:
            self._answered(None)

    def _read(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            self._complain("json", f"a message that is no JSON was ignored: {text[:SHOWN]!r}")
            return
        if _is_answer(message):
            self._heard = time.monotonic()
            if message.get("id") in (None, self._asked):
                self._answered(message)
            return
        try:
            if self._hear(message):
                self._heard = time.monotonic()
        except VibexError as error:
            self._complain("payload", str(error))

    def _answered(self, answer: Mapping[str, Any] | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_result(answer)


async def connect(
    session: ClientSession,
    url: str,
    *,
    hear: Callable[[Any], bool],
    complain: Callable[[str, str], None],
    pace: Pace,
) -> Connection:
    """Return a connection to the venue at `url`. Raises ConnectionLost."""
    import aiohttp

    where = url.rpartition("@")[2]  # never a password
    try:
        async with asyncio.timeout(pace.connect):
            socket = await session.ws_connect(
                url,
                heartbeat=pace.silence * 2 / 3,
                timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                max_msg_size=FRAME_BYTES,
            )
    except TimeoutError:
        raise ConnectionLost(f"no connection to {where} within {pace.connect:g} s") from None
    except aiohttp.WSServerHandshakeError as error:
        raise ConnectionLost(f"{where} answered {error.status}", seconds=ban_of(error)) from error
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise ConnectionLost(f"no connection to {where}: {error}") from error
    return Connection(socket, hear=hear, complain=complain, pace=pace)


def ban_of(error: Any) -> float:
    """Return for how many seconds a refused handshake asks us to stay away."""
    if error.status not in TOO_MANY:
        return 0.0
    told = str((error.headers or {}).get("Retry-After", ""))
    return min(float(told), LONGEST_BAN_SECONDS) if told.isascii() and told.isdigit() else BARRED_SECONDS


def _is_answer(message: object) -> bool:
    """Tell whether a message answers a control message; some refusals name no id."""
    if not isinstance(message, Mapping) or "e" in message or "stream" in message:
        return False
    return any(name in message for name in ("result", "error", "code"))
