"""One event loop in a thread of its own, so that plain code can wait for a network no longer than it wants to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

GRACE_SECONDS = 0.25
"""How much longer than its deadline a call may hold the caller when the loop itself is busy."""


@dataclass(frozen=True, slots=True)
class _Running:
    loop: asyncio.AbstractEventLoop
    thread: Thread
    pid: int


_lock = Lock()
_running: list[_Running] = []


def loop() -> asyncio.AbstractEventLoop:
    """Return the loop of this process, started on first use. A forked child gets its own: threads are not inherited."""
    with _lock:
        if not _running or _running[0].pid != os.getpid():
            _running[:] = [_started()]
        return _running[0].loop


def run[T](work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Return what the coroutine returns. Raises TimeoutError after so many seconds, whatever the other side sends."""
    future = asyncio.run_coroutine_threadsafe(_bounded(work, seconds), loop())
    try:
        return future.result(seconds + GRACE_SECONDS)
    except TimeoutError:
        future.cancel()
        raise


def stop() -> None:
    """End the loop and its thread; the next call starts a new one."""
    with _lock:
        for running in _running:
            running.loop.call_soon_threadsafe(running.loop.stop)
            running.thread.join()
            running.loop.close()
        _running.clear()


async def _bounded[T](work: Coroutine[Any, Any, T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await work


def _started() -> _Running:
    new = asyncio.new_event_loop()
    thread = Thread(target=new.run_forever, name="llm", daemon=True)
    thread.start()
    return _Running(new, thread, os.getpid())
