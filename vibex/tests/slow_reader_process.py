"""A real daphne over a plain hub, without a database: everybody who connects watches one topic. Prints its port."""

from __future__ import annotations

import asyncio
import json
import os
import socket

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "vibex.settings.testing")

import django

django.setup()

from daphne.server import Server  # noqa: E402

from vibex.lib.watcher import Change, Wants, Watcher  # noqa: E402
from vibex.serve import leave_streams_time  # noqa: E402

watchers: set[Watcher] = set()


class Quiet:
    def recheck(self) -> None: ...

    def renew(self) -> None: ...

    def tick(self, now: float) -> None: ...


async def application(scope, receive, send):
    await receive()
    await send({"type": "websocket.accept"})
    watcher = Watcher(send, 1, Quiet())
    watcher.topics, watcher.wants = frozenset({"t"}), Wants(frozenset({"k"}))
    watchers.add(watcher)
    writing = asyncio.create_task(watcher.write())
    try:
        while (message := await receive())["type"] == "websocket.receive":
            if message.get("text") == "go":
                asyncio.get_running_loop().create_task(flood())
    except asyncio.CancelledError:
        await send({"type": "websocket.close", "code": 4012})
        raise
    finally:
        watchers.discard(watcher)
        writing.cancel()


async def flood() -> None:
    """Forty megabytes, four at most in any socket."""
    for number in range(1, 4001):
        change = Change(number, "t", "k", json.dumps({"sequence": number, "x": "x" * 10_000}))
        for watcher in list(watchers):
            watcher.offer(change)
        await asyncio.sleep(0.001)


if __name__ == "__main__":
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    print(port, flush=True)  # noqa: T201
    server = Server(application, endpoints=[f"tcp:port={port}:interface=127.0.0.1"])
    leave_streams_time(server)
    server.run()
