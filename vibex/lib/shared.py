"""A reading that several wait for is made once: whoever asked before it began gets what it found."""

from __future__ import annotations

import asyncio
import time
import weakref
from collections.abc import Callable, Hashable
from typing import Any

from vibex.lib.hub import in_thread


class Shared[T]:
    """What reads one thing. When a thousand come back at once, those who want the same wait for the same reading."""

    def __init__(self, read: Callable[[], T]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._began = -1.0
        self._found: T

    async def since(self, moment: float) -> T:
        """Return what is read at a monotonic moment or later."""
        async with self._lock:
            if self._began < moment:
                self._began, self._found = await in_thread(self._now)
            return self._found

    def _now(self) -> tuple[float, T]:
        return time.monotonic(), self._read()


_shared: weakref.WeakValueDictionary[Hashable, Shared[Any]] = weakref.WeakValueDictionary()


def shared[T](key: Hashable, read: Callable[[], T]) -> Shared[T]:
    """Return what reads a thing, by its name; it is there for as long as somebody holds it."""
    key = (id(asyncio.get_running_loop()), key)
    found = _shared.get(key)
    if found is None:
        found = _shared[key] = Shared(read)
    return found
