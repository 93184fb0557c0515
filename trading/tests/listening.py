"""A listener of a stream for tests: through the real application, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import yaml
from channels.testing import WebsocketCommunicator
from django.conf import settings
from django.test import Client
from jsonschema import Draft202012Validator

from accounts.services.sign_ins import sign_in_begin
from vibex.asgi import application
from vibex.lib.env import ROOT
from vibex.lib.events import Hint, log_of_process

SOON = 5.0
A_WHILE = 0.15


def in_one_transaction(monkeypatch: Any) -> None:
    """Let streams read in the test's own transaction: between two requests a connection with one open would be closed."""
    monkeypatch.setattr("channels.db.close_old_connections", lambda: None)
    monkeypatch.setattr("vibex.lib.hub.OWN_THREADS", False)


def cookie_of(user: Any) -> str:
    """Return the cookie of a browser in which a person is signed in."""
    client = Client()
    client.force_login(user)
    key = str(client.session.session_key)
    sign_in_begin(user=user, kind="session", address=None, agent="test", session_key=key)
    return f"{settings.SESSION_COOKIE_NAME}={key}"


def tell(topic: str, kind: str, **data: Any) -> None:
    """Put an event into the log, as a service does after its commit."""
    log_of_process().put([Hint((topic,), kind, data)])


@functools.cache
def schema_of(name: str) -> Draft202012Validator:
    document = yaml.safe_load((ROOT / "docs" / "asyncapi.yaml").read_text())
    return Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": document["components"]})


def as_documented(path: str, told: dict[str, Any]) -> None:
    """Whatever is sent is as docs/asyncapi.yaml says."""
    names = {"changes": "Changes", "resumed": "Resumed", "unsubscribed": "Unsubscribed", "error": "Error"}
    names |= {"ping": "PingOut", "pong": "PongOut"}
    snapshots = {"trading-events": "TradingSnapshot", "positions": "PositionsSnapshot", "market-data": "MarketSnapshot"}
    schema_of(names.get(told["type"]) or snapshots.get(path.split("/")[2], "BotSnapshot")).validate(told)


class Listener:
    """One connection."""

    def __init__(self, path: str, cookie: str = "", origin: str = "http://localhost", **headers: str) -> None:
        given = {"host": "localhost", "origin": origin, "cookie": cookie, **headers}
        pairs = [(name.encode(), value.encode()) for name, value in given.items() if value]
        path, _, query = path.partition("?")
        self.path = path
        self._it = WebsocketCommunicator(application, f"{path}?{query}" if query else path, headers=pairs)
        self.waiting: list[dict[str, Any]] = []

    async def open(self) -> bool:
        accepted, _ = await self._it.connect(timeout=SOON)
        return bool(accepted)

    async def say(self, message: Any) -> None:
        await self._it.send_to(text_data=message if isinstance(message, str) else json.dumps(message))

    async def hear(self) -> dict[str, Any]:
        """Return the next message; each change by itself."""
        while not self.waiting:
            said = await self._it.receive_output(timeout=SOON)
            if said["type"] == "websocket.close":
                code = said.get("code")
                assert type(code) is int  # daphne refuses whatever only looks like one, and all below 3000 but 1000
                assert code == 1000 or 3000 <= code < 5000
                return {"type": "closed", "code": code}
            told = json.loads(said["text"])
            as_documented(self.path, told)
            self.waiting += told["changes"] if told["type"] == "changes" else [told]
        return self.waiting.pop(0)

    async def until(self, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        while not wanted(said := await self.hear()):
            pass
        return said

    async def subscribe(self, **wanted: Any) -> dict[str, Any]:
        await self.say({"type": "subscribe", **wanted})
        return await self.hear()

    async def quiet(self, seconds: float = A_WHILE) -> bool:
        return not self.waiting and bool(await self._it.receive_nothing(timeout=seconds))

    async def leave(self) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            await self._it.disconnect(timeout=SOON)


@contextlib.asynccontextmanager
async def listening(path: str, cookie: str, **subscribe: Any) -> AsyncIterator[Listener]:
    """Open a stream; with `subscribe` the answer is left in `first`."""
    listener = Listener(path, cookie)
    assert await listener.open()
    try:
        yield listener
    finally:
        await listener.leave()
