"""AsterDEX's prices as they happen: candles, best bid and ask, mark price of the followed symbols.

One thread runs an event loop; as many connections as the venue's limit asks for are kept up in it. What comes is
kept until somebody drains it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from marketdata.aster.connection import MOST_STREAMS, Complaints, Connection, ConnectionLost, Pace, connect
from marketdata.aster.payloads import ticks_of
from marketdata.domain.ticks import Tick

if TYPE_CHECKING:
    from aiohttp import ClientSession

KEPT: Final = 100_000
"""Ticks that wait to be drained; beyond that the oldest go."""
STOP_SECONDS: Final = 3.0
END_SECONDS: Final = 2.0
STREAMS_PER_SYMBOL: Final = 3
SYMBOLS_PER_LINE: Final = MOST_STREAMS // STREAMS_PER_SYMBOL
DOUBLINGS: Final = 10
MOMENT: Final = 0.001
"""Seconds by which a wait is longer, so that it ends after what it waits for."""

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Tally:
    """What has happened since the stream was made."""

    connections: int = 0
    """Connections that came up, renewals included."""
    renewals: int = 0
    losses: int = 0
    """Connections that ended or fell silent."""
    failures: int = 0
    """Attempts to connect that failed."""
    overflows: int = 0
    gaps: int = 0
    ticks: int = 0


class AsterStream:
    """A PriceStream over AsterDEX's WebSocket. `url` is the address of the venue's stream, without a path."""

    def __init__(self, url: str, *, interval: str = "1m", pace: Pace | None = None, kept: int = KEPT) -> None:
        self.tally = Tally()
        self.pace = pace or Pace()
        self.complaints = Complaints(self.pace.complaint)
        self._url = url.rstrip("/").removesuffix("/ws") + "/ws"
        self._interval = interval
        self._wanted: frozenset[str] = frozenset()
        self._refused: frozenset[str] = frozenset()
        self._heard: float | None = None
        self._kept = kept
        self._ticks: deque[Tick] = deque(maxlen=kept)
        self._overflown = False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self._poke: Callable[[], object] = bool
        self._lines: list[_Line] = []
        self._ending: set[asyncio.Task[None]] = set()

    # Called from any thread

    def start(self) -> None:
        """Begin to connect. Returns at once; a second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run, name="aster-stream", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Close the connections and wait for the thread, three seconds at most."""
        self._stopping.set()
        self._poke()
        thread, self._thread = self._thread, None
        if thread:
            thread.join(STOP_SECONDS)

    def follow(self, symbols: Iterable[str]) -> None:
        """Take in these symbols and no others from now on."""
        self._wanted = frozenset(symbols)
        self._poke()

    def drain(self) -> list[Tick]:
        """Return what has come since the last call, in the order of arrival, duplicates included."""
        with self._lock:
            ticks, self._ticks = self._ticks, deque(maxlen=self._kept)
            self._overflown = False
        return list(ticks)

    def gaps(self) -> int:
        """Return how often something may have been missed: subscriptions that began anew, and overflows.

        A renewal that overlapped with the connection before is no gap.
        """
        return self.tally.gaps

    def heard_at(self) -> datetime | None:
        """Return when (wall time) the last price came over any connection; None before the first."""
        return None if self._heard is None else datetime.fromtimestamp(self._heard, UTC)

    def refused(self) -> list[str]:
        """Return the streams that the venue did not want to send, sorted."""
        return sorted(self._refused)

    # Called in the thread of the stream

    def streams_of(self, symbol: str) -> tuple[str, ...]:
        """Return the names of the streams of a symbol."""
        name = symbol.lower()
        return f"{name}@kline_{self._interval}", f"{name}@bookTicker", f"{name}@markPrice@1s"

    async def connect(self, session: ClientSession) -> Connection:
        """Return a new connection that is subscribed to nothing. Raises ConnectionLost."""
        return await connect(session, self._url, hear=self._hear, complain=self.complaints, pace=self.pace)

    def missed(self) -> None:
        """Count a moment from which on, looking back, something may be missing."""
        self.tally.gaps += 1

    def ending(self, task: asyncio.Task[None]) -> None:
        """Keep hold of the task of a line until it has closed its connection."""
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    def refuse(self, streams: frozenset[str]) -> None:
        """Log, once each, that the venue refuses streams."""
        if new := sorted(streams - self._refused):
            self._refused |= streams
            log.warning("the stream of AsterDEX: the venue refuses %d subscriptions: %s", len(new), ", ".join(new[:5]))

    def _run(self) -> None:
        while not self._stopping.is_set():
            # asyncio.run would wait for a look-up of a name that hangs; this loop is closed without it.
            loop = asyncio.new_event_loop()
            try:
                loop.run_until_complete(self._main())
            except Exception:
                log.exception("the stream of AsterDEX broke by a fault of ours and is begun anew")
                self._stopping.wait(self.pace.longest_pause)
            finally:
                self._poke = bool
                loop.close()

    async def _main(self) -> None:
        import aiohttp

        changed = asyncio.Event()
        loop = asyncio.get_running_loop()

        def poke() -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile, and so has what was to be told
                loop.call_soon_threadsafe(changed.set)

        self._poke = poke
        self._lines, self._ending = [], set()
        async with aiohttp.ClientSession(trust_env=True) as session:
            try:
                while not self._stopping.is_set():
                    changed.clear()
                    self._place(session)
                    await changed.wait()
            finally:
                await self._end_lines()

    def _place(self, session: ClientSession) -> None:
        """Give each wanted symbol a line; the ones that have one stay on it."""
        lines = self._lines
        shares = placed([line.symbols for line in lines], self._wanted)
        lines += [_Line(self, session) for _ in shares[len(lines) :]]
        for line, share in zip(lines, shares, strict=True):
            line.carry(share)
        self._lines = [line for line in lines if line.symbols]

    async def _end_lines(self) -> None:
        for line in self._lines:
            line.end()
        if self._ending:
            await asyncio.wait(self._ending, timeout=END_SECONDS)

    def _hear(self, message: Any) -> bool:
        ticks = ticks_of(message)
        if not ticks:
            return False
        self._heard = time.time()
        self._keep([tick for tick in ticks if tick.symbol in self._wanted])
        return True

    def _keep(self, ticks: Sequence[Tick]) -> None:
        with self._lock:
            over = len(self._ticks) + len(ticks) > self._kept
            self._ticks.extend(ticks)
            first, self._overflown = over and not self._overflown, self._overflown or over
        self.tally.ticks += len(ticks)
        if first:
            self.tally.overflows += 1
            self.missed()
            self.complaints("overflow", f"more than {self._kept} ticks waited to be read; the oldest are lost")


class _Line:
    """A place for one connection: the symbols that share it, and its replacement whenever it needs one."""

    def __init__(self, stream: AsterStream, session: ClientSession) -> None:
        self.symbols: frozenset[str] = frozenset()
        self._stream, self._session, self._pace = stream, session, stream.pace
        self._poke = asyncio.Event()
        self._failures = 0
        self._current: Connection | None = None
        self._task: asyncio.Task[None] | None = None

    def carry(self, symbols: frozenset[str]) -> None:
        """Carry these symbols from now on; without any, end."""
        if symbols == self.symbols:
            return
        self.symbols = symbols
        self._poke.set()
        if not symbols:
            self.end()
        elif self._task is None:
            self._task = asyncio.create_task(self._run())

    def end(self) -> None:
        """End, without waiting for it."""
        if self._task:
            self._task.cancel()
            self._stream.ending(self._task)

    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._replace()
                except Exception:  # symbols must not be left without a line
                    log.exception("the stream of AsterDEX: a connection broke by a fault of ours")
                    self._failures += 1
                    await asyncio.sleep(self._pause())
        finally:
            if self._current:
                await self._current.close()

    async def _replace(self) -> None:
        """Put a new connection in the place of the present one and tend it until it needs a successor."""
        try:
            fresh = await self._subscribed()
        except ConnectionLost as fault:
            await self._bide(fault)
            return
        await self._succeed(fresh)
        began = time.monotonic()
        await self._tend(fresh, self._pace.life)
        await self._rest(fresh, time.monotonic() - began)

    async def _subscribed(self) -> Connection:
        """Return a new connection that is subscribed to everything of this line. Raises ConnectionLost."""
        fresh = await self._stream.connect(self._session)
        try:
            await self._follow(fresh)
        except BaseException:
            await fresh.close()
            raise
        return fresh

    async def _follow(self, connection: Connection) -> bool:
        names = (name for symbol in self.symbols for name in self._stream.streams_of(symbol))
        new = await connection.follow(names)
        self._stream.refuse(connection.refused)
        return new

    async def _bide(self, fault: ConnectionLost) -> None:
        """Wait before the next attempt to connect; a connection that is still there goes on meanwhile."""
        self._stream.tally.failures += 1
        self._stream.complaints("connect", str(fault))
        self._failures += 1
        until = time.monotonic() + max(self._pause(), fault.seconds)
        if self._current:
            await self._tend(self._current, until - time.monotonic())
        await asyncio.sleep(until - time.monotonic())

    async def _succeed(self, fresh: Connection) -> None:
        """Let a new connection take over. Nothing was missed when the one before spoke until then."""
        old, self._current = self._current, fresh
        self._stream.tally.connections += 1
        fresh.when_ended(self._poke.set)
        try:
            if old and old.is_well() and fresh.streams <= old.streams:
                self._stream.tally.renewals += 1
                await asyncio.sleep(self._pace.overlap)  # what is on its way over the old one still arrives
            else:
                self._stream.missed()
        finally:
            if old:
                await old.close()

    async def _tend(self, connection: Connection, seconds: float) -> None:
        """Keep a connection subscribed to what is wanted, until it is not well or the time is over."""
        until = time.monotonic() + seconds
        while connection.is_well() and time.monotonic() < until:
            if connection.refused:
                until = min(until, time.monotonic() + self._pace.again)
            with suppress(TimeoutError):
                async with asyncio.timeout(min(until - time.monotonic(), connection.patience()) + MOMENT):
                    await self._poke.wait()
            self._poke.clear()
            if connection.is_well():
                await self._adjust(connection)
        if not connection.is_well():
            connection.broken = connection.why_ended()

    async def _adjust(self, connection: Connection) -> None:
        with suppress(ConnectionLost):  # it is not well then, and whoever tends it sees that
            if await self._follow(connection):
                self._stream.missed()

    async def _rest(self, connection: Connection, lived: float) -> None:
        """Wait before a lost connection is replaced, the longer the more often it happened; a renewal need not wait."""
        if connection.is_well():
            self._failures = 0
            return
        self._stream.tally.losses += 1
        self._stream.complaints("lost", f"a connection was lost after {lived:.0f} s: {connection.why_ended()}")
        self._failures = 1 if lived >= self._pace.healthy else self._failures + 1
        await asyncio.sleep(self._pause())

    def _pause(self) -> float:
        """Return the seconds to wait after so many failures in a row: twice as long each time, with jitter."""
        whole = self._pace.first_pause * 2.0 ** min(self._failures - 1, DOUBLINGS)
        return min(whole, self._pace.longest_pause) * random.uniform(0.5, 1.0)  # noqa: S311  spreads, hides nothing


def placed(
    shares: Sequence[frozenset[str]], wanted: frozenset[str], room: int = SYMBOLS_PER_LINE
) -> list[frozenset[str]]:
    """Return which symbols each line carries: what it carried and is still wanted, then new ones while it has room.

    The result begins with the lines that there are (empty ones may end) and may have more of them.
    """
    kept = [share & wanted for share in shares]
    new = deque(sorted(wanted.difference(*kept)))
    full = [share | {new.popleft() for _ in range(min(room - len(share), len(new)))} for share in kept]
    while new:
        full.append(frozenset(new.popleft() for _ in range(min(room, len(new)))))
    return full
