"""The log of one process: a ring in memory. Its sequences begin with the wall time, so that they grow over restarts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Sequence

from vibex.lib.events.event import KEPT, Batch, Event, Hint


class Ring:
    """Events of this process. Any thread puts, any event loop listens and is woken at once."""

    def __init__(self, size: int = KEPT) -> None:
        self._events: deque[Event] = deque(maxlen=size)
        self._last = time.time_ns() // 1000
        self._lock = threading.Lock()
        self._listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()

    def put(self, hints: Sequence[Hint]) -> None:
        with self._lock:
            for hint in hints:
                self._last += 1
                self._events.append(Event.from_text(self._last, hint.text()))
            listeners = list(self._listeners)
        for loop, woken in listeners:
            try:
                loop.call_soon_threadsafe(woken.set)
            except RuntimeError:  # its loop was closed without a word
                self._listeners.discard((loop, woken))

    async def newest(self) -> int:
        return self._last

    async def recent(self, count: int) -> Sequence[Event]:
        with self._lock:
            return list(self._events)[-count:]

    async def listen(self, after: int) -> AsyncIterator[Batch]:
        woken = asyncio.Event()
        listener = (asyncio.get_running_loop(), woken)
        with self._lock:
            self._listeners.add(listener)
        try:
            while True:
                if batch := self._since(after):
                    yield batch
                    after = batch.events[-1].sequence
                else:
                    await woken.wait()
                    woken.clear()
        finally:
            self._listeners.discard(listener)

    def _since(self, after: int) -> Batch | None:
        with self._lock:
            found: list[Event] = []
            for event in reversed(self._events):
                if event.sequence <= after:
                    break
                found.append(event)
            whole = len(self._events) < (self._events.maxlen or 0) or len(found) < len(self._events)
        return Batch(found[::-1], gap=not whole) if found else None
