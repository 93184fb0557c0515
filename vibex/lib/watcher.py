"""One connection that is told of changes: what it wants, what waits for it, and when it is too slow.

Who tells never waits for who is told: a change goes into a queue that is bounded, and one task per connection sends what
waits there, joined into one frame. A connection whose queue is full is closed.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from vibex.lib.wire import Send, Wire


class Connection(Protocol):
    """Who is behind a watcher: what the hub asks of it. None of these waits for anything."""

    def recheck(self) -> None:
        """Read the rights of the person anew, then `release(pause=True)`: the hub has held the watcher."""
        ...

    def renew(self) -> None:
        """Tell the state anew: changes were lost."""
        ...

    def tick(self, now: float) -> None:
        """A second has passed. `now` is monotonic."""
        ...


WAITING: Final = 2_000
"""So many changes may wait for a client."""
WAITING_CHARACTERS: Final = 1_000_000
FRAME: Final = 64_000
"""Characters after which a frame is sent; what comes after goes into the next one."""
IN_THE_SOCKET: Final = 256_000
"""Bytes that the server may hold for a client that does not read; then its queue begins to fill."""
LOOK_AGAIN: Final = 0.05
"""Seconds until it is looked again whether such a client reads."""
TOO_SLOW: Final = 4008


@dataclass(frozen=True, slots=True)
class Change:
    """A change as it is sent: rendered once per process, whoever gets it."""

    sequence: int
    topic: str
    kind: str
    text: str
    """JSON."""
    bot: int | None = None
    symbol: str = ""


@dataclass(frozen=True, slots=True)
class Wants:
    """What of its topics a connection wants. None: everything."""

    kinds: frozenset[str]
    symbols: frozenset[str] | None = None
    bot: int | None = None

    def __contains__(self, change: Change) -> bool:
        return (
            change.kind in self.kinds
            and (self.symbols is None or not change.symbol or change.symbol in self.symbols)
            and (self.bot is None or change.bot == self.bot)
        )


NOTHING: Final = Wants(frozenset())


class Watcher:
    """What one connection is told."""

    def __init__(self, send: Send, person_id: int, connection: Connection) -> None:
        self.person_id, self.connection = person_id, connection
        self.topics: frozenset[str] = frozenset()
        self.wants = NOTHING
        self.after = 0
        """The sequence up to which it knows everything."""
        self.closed: int | None = None
        """The code it was closed with."""
        self._wire = Wire(send)
        self._queue: deque[Change | str] = deque()
        self._held: deque[Change] = deque()
        self._characters = 0
        self._holds = self._pauses = 0
        self._wake = asyncio.Event()

    def offer(self, change: Change) -> None:
        """Take a change in; it goes out as soon as nothing holds it back."""
        if self.closed is not None:
            return
        if self._holds:
            self._held.append(change)
            self._count(len(change.text))
        elif self._is_for(change):
            self._put(change)

    def catch_up(self, changes: Sequence[Change]) -> None:
        """Take in what it missed, before what is held back."""
        for change in changes:
            if self._is_for(change) and self.closed is None:
                self._put(change)

    def room_for(self, changes: Sequence[Change]) -> bool:
        """Tell whether so much may wait for it besides what waits already: else it would be closed, and come back for the same."""
        waiting = len(self._queue) + len(self._held) + len(changes)
        characters = self._characters + sum(len(change.text) for change in changes)
        return waiting < WAITING and characters < WAITING_CHARACTERS

    def say(self, text: str) -> None:
        """Send a message of its own, after what waits already."""
        if self.closed is None:
            self._put(text)

    def forget(self) -> None:
        """Drop everything that waits: it was made under rights that have changed."""
        self._queue.clear()
        self._held.clear()
        self._characters = 0

    def hold(self, *, pause: bool = False) -> None:
        """Keep changes back until `release`. With `pause` nothing at all leaves meanwhile, what waits already neither."""
        self._holds += 1
        self._pauses += pause

    def release(self, *, pause: bool = False) -> None:
        """Let go of what was held back: of it, and of what waits, only what the connection may have and wants by now."""
        self._holds -= 1
        self._pauses -= pause
        if self._holds:
            return
        held, self._held = self._held, deque()
        waiting = [each for each in self._queue if isinstance(each, str) or each.topic in self.topics]
        waiting += [each for each in held if self._is_for(each)]
        self._queue.clear()
        self._characters = 0
        for each in waiting:
            self._put(each)

    def close(self, code: int, last: str = "") -> None:
        """End the connection. What waits is dropped; `last` is still said."""
        if self.closed is None:
            self.closed = code
            self._queue.clear()
            self._held.clear()
            if last:
                self._queue.append(last)
            self._wake.set()

    async def write(self) -> None:
        """Send what waits, for as long as the connection is open."""
        while self.closed is None:
            await self._wake.wait()
            self._wake.clear()
            while self._queue and self._may_send():
                if self._wire.waiting > IN_THE_SOCKET:
                    await asyncio.sleep(LOOK_AGAIN)
                    continue
                await self._wire.text(self._frame())
        for text in self._queue:
            await self._wire.text(str(text))
        await self._wire.close(int(self.closed))

    def _may_send(self) -> bool:
        return self.closed is None and not self._pauses

    def _frame(self) -> str:
        """Take what comes next off the queue: a message, or all changes until the next one."""
        first = self._queue.popleft()
        if isinstance(first, str):
            self._characters -= len(first)
            return first
        texts, size = [first.text], len(first.text)
        while size < FRAME and self._queue:
            each = self._queue[0]
            if isinstance(each, str):
                break
            texts.append(each.text)
            size += len(each.text)
            self._queue.popleft()
        self._characters -= size
        return f'{{"type":"changes","changes":[{",".join(texts)}]}}'

    def _is_for(self, change: Change) -> bool:
        return change.sequence > self.after and change.topic in self.topics and change in self.wants

    def _put(self, item: Change | str) -> None:
        self._queue.append(item)
        self._count(len(item if isinstance(item, str) else item.text))
        self._wake.set()

    def _count(self, characters: int) -> None:
        self._characters += characters
        if len(self._queue) + len(self._held) > WAITING or self._characters > WAITING_CHARACTERS:
            self.close(TOO_SLOW)
