"""The events of one account at AsterDEX, as they happen: a listen key, a connection, and replacements for both.

All streams of a process run on one event loop. What the venue does not send cannot be noticed, so every new connection,
expired key, message that cannot be read and long silence leaves a `Gap`: whoever applies the events then asks by REST.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from marketdata.aster.connection import Complaints, ConnectionLost
from marketdata.venues.public import VenueBusy
from trading.domain.venue_events import Gap, VenueEvent
from trading.exchange.aster.event_queue import EventQueue
from trading.exchange.aster.user_connection import UserConnection, UserPace, open_connection
from trading.exchange.aster.user_events import event_of
from trading.exchange.aster.user_loop import Home, Running, UserLoop
from vibex.lib.errors import NeedsOperator, Rejected, VibexError
from vibex.lib.masking import mask_text

KEPT: Final = 10_000
"""Events that wait to be drained."""
STOP_SECONDS: Final = 3.0
CLOSE_KEY_SECONDS: Final = 1.5
DOUBLINGS: Final = 10
REFUSED_SECONDS: Final = 20.0
"""After a clear no, to the keys of an account for example, nobody asks again sooner."""

LOOP: Final = UserLoop()
"""That of the process."""

log = logging.getLogger(__name__)


class KeyDesk(Protocol):
    """Where a stream gets its listen key. Calls wait for the network and raise errors of Vibex."""

    user: str

    def obtain(self) -> str: ...

    def prolong(self) -> None: ...

    def close(self) -> None: ...


class AsterUserStream:
    """A UserStream over AsterDEX's WebSocket. `url` is the address of the venue's stream, without a path."""

    def __init__(self, url: str, keys: KeyDesk, *, pace: UserPace | None = None, kept: int = KEPT) -> None:
        self.pace = pace or UserPace()
        self.complaints = Complaints(self.pace.complaint)
        self.user = keys.user
        self._url = url.rstrip("/").removesuffix("/ws") + "/ws/"
        self._keys = keys
        self._key = ""
        self._queue = EventQueue(hold=self.pace.hold, kept=kept)
        self._current: UserConnection | None = None
        self._since: float | None = None
        self._heard: float | None = None
        self._event = time.monotonic()
        self._failures = 0
        self._problem = "not connected yet"
        self._running: Running | None = None

    def __repr__(self) -> str:
        return f"AsterUserStream({self.user})"

    # -- called from any thread --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to connect. Returns at once; a second call does nothing."""
        if self._running is None:
            self._running = LOOP.begin(self._main, name=f"user-stream-{self.user[-6:]}")

    def stop(self, seconds: float = STOP_SECONDS) -> bool:
        """Close connection and listen key and wait for that, `seconds` at most. Returns whether it was done."""
        if running := self._running:
            running.cancel()
            if not running.ended(seconds):
                return False
            self._running = None
        return True

    def when_news(self, call: Callable[[float], None]) -> None:
        """Have `call` called, in any thread, with the seconds after which what has just come can be drained."""
        self._queue.when_news(call)

    def due(self) -> float | None:
        """Return the seconds until something can be drained, None while nothing has come."""
        return self._queue.due()

    def drain(self) -> list[VenueEvent]:
        """Return what has come since the last call, in the order in which it happened, duplicates included."""
        return self._queue.drain()

    def wait(self, seconds: float) -> bool:
        """Return True as soon as something can be drained, False when nothing came for so long."""
        return self._queue.wait(seconds)

    def heard_at(self) -> datetime | None:
        """Return when (wall time) the venue last gave a sign of life, answers to pings included."""
        return _moment(self._heard)

    def connected_at(self) -> datetime | None:
        """Return since when (wall time) events can come; None while they cannot."""
        return _moment(self._since) if self.connected() else None

    def connected(self) -> bool:
        """Return whether events can come now."""
        current = self._current
        return current is not None and current.is_well()

    def problem(self) -> str:
        """Return why no events can come, "" while they can."""
        if self.connected():
            return ""
        current = self._current
        return current.broken if current and current.broken else self._problem

    # -- called on the loop -------------------------------------------------------------------------------------------

    async def _main(self, home: Home) -> None:
        """Keep up the connection until it is cancelled."""
        try:
            while True:
                try:
                    await self._keep_up(home)
                except Exception:
                    log.exception("the user stream of %s broke by a fault of ours and is begun anew", self.user)
                    self._problem = "a fault of ours, see the log"
                await self._let_go()
                await asyncio.sleep(self.pace.longest_pause)
        finally:
            await self._let_go()
            self._problem = "stopped"
            await self._close_key(home)

    async def _let_go(self) -> None:
        """Close what is open."""
        current, self._current = self._current, None
        if current:
            await current.close()

    async def _close_key(self, home: Home) -> None:
        """End the listen key; one that cannot be closed in time runs out by itself."""
        key, self._key = self._key, ""
        if key:
            with suppress(VibexError, TimeoutError):
                await asyncio.wait_for(home.aside(self._keys.close), CLOSE_KEY_SECONDS)

    async def _keep_up(self, home: Home) -> None:
        while True:
            try:
                fresh = await self._connected(home)
            except VibexError as fault:
                await self._bide(fault)
                continue
            began = time.monotonic()
            await self._succeed(fresh)
            await self._tend(home, fresh)
            await self._rest(fresh, time.monotonic() - began)

    async def _connected(self, home: Home) -> UserConnection:
        """Return a new connection. The key is asked for each time: that prolongs it, and replaces one that is gone."""
        self._key = await home.aside(self._keys.obtain)
        fresh: list[UserConnection] = []
        fresh.append(
            await open_connection(
                home.session(),
                self._url + self._key,
                hear=lambda message: self._hear(message, fresh),
                garbled=self._garbled,
                alive=self._alive,
                pace=self.pace,
            )
        )
        return fresh[0]

    async def _succeed(self, fresh: UserConnection) -> None:
        """Let a new connection take over. What is on its way over the old one still arrives, then perhaps twice."""
        old, self._current = self._current, fresh
        self._since = self._heard = time.time()
        self._event = time.monotonic()
        self._gap("connected")
        if old:
            try:
                if old.is_well():
                    await asyncio.sleep(self.pace.overlap)
            finally:
                await old.close()

    async def _tend(self, home: Home, connection: UserConnection) -> None:
        """Keep the key of a connection alive until the connection ends, the key is another one, or the time is over."""
        now = time.monotonic()
        renew, prolong = now + self.pace.life, now + self.pace.prolong
        while connection.is_well() and time.monotonic() < renew:
            silent = self._event + self.pace.quiet
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, min(renew, prolong, silent) - time.monotonic())):
                    await connection.ended.wait()
            now = time.monotonic()
            if now >= silent and connection.is_well():
                self._event = now
                self._gap(f"no event for {self.pace.quiet / 60:g} minutes")
            if now >= prolong:
                kept = await self._prolonged(home)
                if kept is False:
                    return
                prolong = time.monotonic() + (self.pace.prolong if kept else self.pace.again)

    async def _prolonged(self, home: Home) -> bool | None:
        """Prolong the key, or ask for one again. False when it is another one now, None when nobody answered."""
        try:
            await home.aside(self._keys.prolong)
        except VibexError as fault:
            self._complain("key", f"the listen key was not prolonged: {fault}")
        else:
            return True
        try:
            return await home.aside(self._keys.obtain) == self._key
        except VibexError as fault:
            self._complain("key", f"no listen key: {fault}")
            return None

    async def _bide(self, fault: VibexError) -> None:
        """Wait before the next attempt to connect; a connection that is still there goes on meanwhile."""
        self._failures += 1
        self._problem = mask_text(str(fault))
        self._complain("connect", str(fault))
        await asyncio.sleep(max(self._pause(), _asked_for(fault)))

    async def _rest(self, connection: UserConnection, lived: float) -> None:
        """Wait before a lost connection is replaced, the longer the more often it happened; a renewal need not wait."""
        if connection.is_well():
            self._failures = 0
            return
        self._complain("lost", f"{connection.broken}, after {lived:.0f} s")
        self._failures = 1 if lived >= self.pace.healthy else self._failures + 1
        await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Return the seconds to wait after so many failures in a row: twice as long each time, with jitter."""
        whole = self.pace.first_pause * 2.0 ** min(self._failures - 1, DOUBLINGS)
        return min(whole, self.pace.longest_pause) * random.uniform(0.5, 1.0)  # noqa: S311  spreads, hides nothing

    def _hear(self, message: Any, connection: list[UserConnection]) -> None:
        try:
            event = event_of(message)
        except VibexError as fault:
            self._garbled(str(fault))
            return
        except Exception as fault:  # a fault of ours must not end the connection again and again
            log.exception("the user stream of %s: a message was not understood by a fault of ours", self.user)
            self._garbled(type(fault).__name__)
            return
        if event is None:
            return
        self._event = time.monotonic()
        if isinstance(event, Gap):
            self._gap(event.reason)
            for one in connection:
                one.give_up(event.reason)
        elif not self._queue.put(event):
            self._complain("overflow", "events waited too long to be read; the oldest are lost")
            self._gap("more events than could be kept")

    def _garbled(self, what: str) -> None:
        self._complain("garbled", f"not readable: {what}")
        self._gap("a message could not be read")

    def _alive(self) -> None:
        self._heard = time.time()

    def _gap(self, reason: str) -> None:
        self._queue.put_gap(datetime.now(UTC), reason)

    def _complain(self, kind: str, text: str) -> None:
        self.complaints(kind, mask_text(f"events of {self.user}: {text}"))


def _asked_for(fault: VibexError) -> float:
    """Return for how many seconds a fault wants us to stay away."""
    if isinstance(fault, VenueBusy):
        return max(0.0, (fault.until - datetime.now(UTC)).total_seconds())
    if isinstance(fault, ConnectionLost):
        return fault.seconds
    return REFUSED_SECONDS if isinstance(fault, Rejected | NeedsOperator) else 0.0


def _moment(wall: float | None) -> datetime | None:
    return None if wall is None else datetime.fromtimestamp(wall, UTC)
