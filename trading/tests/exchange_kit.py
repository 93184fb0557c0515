"""What tests of the test exchange share: asking it over HTTP, and listening to it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import aiohttp
import httpx2

from trading.exchange_server.server import Served

START = datetime(2025, 10, 10, 12, 0, 30, tzinfo=UTC)
"""In the middle of a minute."""
START_MS = int(START.timestamp() * 1000)
SECONDS = 10


@dataclass
class Answer:
    status: int
    body: Any
    headers: httpx2.Headers


def ask(exchange: Served, path: str, **params: Any) -> Answer:
    """GET a path under /fapi/v3/ (or any, when it begins with a slash); the body as JSON where it is JSON."""
    where = path if path.startswith("/") else f"/fapi/v3/{path}"
    response = httpx2.get(exchange.http + where, params=params, timeout=SECONDS)
    is_json = response.headers.get("content-type", "").startswith("application/json")
    return Answer(response.status_code, response.json() if is_json else response.text, response.headers)


def told(exchange: Served, path: str, **params: Any) -> Any:
    """GET a path that must be answered with 200 and return the body."""
    answer = ask(exchange, path, **params)
    assert answer.status == 200, answer
    return answer.body


def shape(value: Any) -> Any:
    """Return the types of a payload: keys and kinds of values, the first row of a list for all of them."""
    if isinstance(value, dict):
        return {name: shape(one) for name, one in value.items()}
    if isinstance(value, list):
        return (
            [shape(value[0])] if value and isinstance(value[0], dict | list) else [type(one).__name__ for one in value]
        )
    return type(value).__name__


@asynccontextmanager
async def listening(exchange: Served, path: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(exchange.ws + path) as socket:
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse) -> Any:
    """Return the next message as JSON, or None when the connection ended."""
    message = await socket.receive(timeout=SECONDS)
    return json.loads(message.data) if message.type is aiohttp.WSMsgType.TEXT else None


async def heard_all(socket: aiohttp.ClientWebSocketResponse) -> list[Any]:
    """Return all messages that were sent before now: everything up to the answer to a question of our own."""
    await socket.send_json({"method": "LIST_SUBSCRIPTIONS", "id": "mark"})
    found = []
    while (message := await heard(socket)) is not None and message != {} and message.get("id") != "mark":
        found.append(message)
    return found


def run(scenario: Any) -> Any:
    return asyncio.run(scenario)
