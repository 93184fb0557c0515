"""One event loop, in one thread, for all user streams of a process, and what they share on it.

It begins with the first stream and ends with the last. Nothing on it waits for the network or the database: what has to
goes aside, into a thread of its own, few at once.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.db import connections

if TYPE_CHECKING:
    from aiohttp import ClientSession

ASKED_AT_ONCE: Final = 6
"""How many streams ask for their listen keys at once."""
ASK_SECONDS: Final = 10.0
"""Who has not been answered for so long waits on, and holds nobody else up any more."""
LOOK_UP_SECONDS: Final = 5.0
"""A look-up of the venue's name is given up after that, and begun anew with the next attempt: all wait for the same one."""

log = logging.getLogger(__name__)

type Work = Callable[[Home], Coroutine[Any, Any, None]]


class UserLoop:
    """Runs what streams do. Used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._home: Home | None = None

    def begin(self, work: Work, *, name: str) -> Running:
        """Begin to do something on the loop, which begins with the first and ends with the last. Returns at once."""
        with self._lock:
            home = self._home = self._home or Home()
            home.guests += 1
            if home.guests == 1:
                threading.Thread(target=home.run, name="user-streams-loop", daemon=True).start()
        running = Running(home, self._leave)
        home.loop.call_soon_threadsafe(running.start, work, name)
        return running

    def _leave(self, home: Home) -> None:
        with self._lock:
            home.guests -= 1
            if not home.guests:
                self._home = None
                home.over.set()


class Running:
    """Something that runs on the loop."""

    def __init__(self, home: Home, leave: Callable[[Home], None]) -> None:
        self._home, self._leave = home, leave
        self._task: asyncio.Task[None] | None = None
        self._cancelled = False
        self._ended = threading.Event()

    def start(self, work: Work, name: str) -> None:
        """Begin. Called on the loop."""
        self._task = asyncio.create_task(work(self._home), name=name)
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Cancel it, from any thread. Returns at once; only the first call does anything."""
        if not self._cancelled:
            self._cancelled = True
            with suppress(RuntimeError):  # the loop has ended meanwhile
                self._home.loop.call_soon_threadsafe(lambda: self._task and self._task.cancel())

    def ended(self, seconds: float) -> bool:
        """Wait until it has ended. False when it was still under way after `seconds`."""
        return self._ended.wait(seconds)

    def _over(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()):
            log.error("%s ended by a fault of ours", task.get_name(), exc_info=fault)
        self._leave(self._home)
        self._ended.set()


class Home:
    """The loop while there is something to run, and what is shared on it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.over = asyncio.Event()
        self.guests = 0
        self._session: ClientSession | None = None
        self._asks = asyncio.Semaphore(ASKED_AT_ONCE)

    def run(self) -> None:
        """Run the loop until nobody needs it. Called in its thread."""
        # asyncio.run would wait for a look-up of a name that hangs; this loop is closed without it.
        try:
            self.loop.run_until_complete(self._stay())
        finally:
            self.loop.close()

    def session(self) -> ClientSession:
        """Return what connects, the same for all: accounts share names that were looked up, and nothing of their own."""
        if self._session is None:
            self._session = _session()
        return self._session

    async def aside[T](self, work: Callable[[], T]) -> T:
        """Do something that waits for the network or the database in a thread that nobody has to wait for at the end."""
        outcome: asyncio.Future[T] = self.loop.create_future()
        try:
            async with self._asks:
                ask = partial(self._ask, work, outcome)
                threading.Thread(target=ask, name="user-stream-ask", daemon=True).start()
                await asyncio.wait((outcome,), timeout=ASK_SECONDS)
            return await outcome
        finally:
            outcome.cancel()

    def _ask[T](self, work: Callable[[], T], outcome: asyncio.Future[T]) -> None:
        try:
            how = partial(outcome.set_result, work())
        except Exception as error:  # noqa: BLE001  it is raised again where it was asked for
            how = partial(outcome.set_exception, error)
        finally:
            connections.close_all()
        with suppress(RuntimeError):  # the loop has ended meanwhile
            self.loop.call_soon_threadsafe(lambda: outcome.done() or how())

    async def _stay(self) -> None:
        await self.over.wait()
        if self._session:
            await self._session.close()


def _session() -> ClientSession:
    import aiohttp

    class Resolver(aiohttp.ThreadedResolver):
        async def resolve(self, *where: Any, **more: Any) -> list[Any]:
            async with asyncio.timeout(LOOK_UP_SECONDS):
                return list(await super().resolve(*where, **more))

    # No cookies: what a venue tells one account is not told to it by another. As many connections as there are streams.
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, resolver=Resolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=True,
    )
