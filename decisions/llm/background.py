"""One event loop in a thread of its own, so that plain code can wait for a network no longer than it wants to."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine
from concurrent.futures import Future
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any

STOP_SECONDS = 2.0


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


def start[T](work: Coroutine[Any, Any, T], *, seconds: float) -> Future[T]:
    """Begin the coroutine and return its future; it is cancelled after so many seconds.

    Who waits for the future with a timeout waits by his own clock, however busy the loop may be.
    """
    return asyncio.run_coroutine_threadsafe(_bounded(work, seconds), loop())


def run[T](work: Coroutine[Any, Any, T], *, seconds: float) -> T:
    """Return what the coroutine returns. Raises TimeoutError after so many seconds, whatever the other side sends."""
    future = start(work, seconds=seconds)
    try:
        return future.result(seconds)
    except TimeoutError:
        future.cancel()
        raise


def stop() -> None:
    """End the loop and its thread, with all that is under way; the next call starts a new one."""
    with _lock:
        for running in _running:
            if running.pid == os.getpid():
                _end(running)
        _running.clear()


def _end(running: _Running) -> None:
    asyncio.run_coroutine_threadsafe(_cancel_all(), running.loop).result(STOP_SECONDS)
    running.loop.call_soon_threadsafe(running.loop.stop)
    running.thread.join()
    running.loop.close()


async def _cancel_all() -> None:
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def _bounded[T](work: Coroutine[Any, Any, T], seconds: float) -> T:
    async with asyncio.timeout(seconds):
        return await work


def _started() -> _Running:
    new = asyncio.new_event_loop()
    thread = Thread(target=new.run_forever, name="llm", daemon=True)
    thread.start()
    return _Running(new, thread, os.getpid())
