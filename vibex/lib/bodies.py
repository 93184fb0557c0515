"""Bodies that are too large are refused at the door, before they are read into memory or onto the disk."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from vibex.lib.requests import API

type Scope = dict[str, Any]
type Receive = Callable[[], Awaitable[Mapping[str, Any]]]
type Send = Callable[[Mapping[str, Any]], Awaitable[None]]
type Application = Callable[[Scope, Receive, Send], Awaitable[None]]

TEXT: Final = "The body is larger than is taken here."


class TooLargeError(Exception):
    """More was sent than is taken."""


def bodies_limited(application: Application, *, most: int) -> Application:
    """Return the application behind a door that takes bodies of at most so many bytes, told beforehand or not."""

    async def limited(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _told(scope) > most:
            await _refuse(scope, send)
            return
        taken, begun = 0, False

        async def counted() -> Mapping[str, Any]:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > most:
                raise TooLargeError
            return message

        async def sent(message: Mapping[str, Any]) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await application(scope, counted, sent)
        except TooLargeError:
            if begun:
                raise
            await _refuse(scope, send)

    return limited


def _told(scope: Scope) -> int:
    """Return the length that the client has told; 0 where it is none."""
    told = next((value for name, value in scope["headers"] if name.lower() == b"content-length"), b"")
    return int(told) if told.isdigit() and len(told) < 20 else 0


async def _refuse(scope: Scope, send: Send) -> None:
    api = str(scope.get("path", "")).startswith(API)
    problem = {"type": "about:blank#too-large", "title": "Content Too Large", "status": 413, "detail": TEXT}
    where = {"code": "too-large", "instance": scope.get("path", ""), "request_id": ""}
    body = json.dumps(problem | where).encode() if api else TEXT.encode()
    kind = b"application/problem+json" if api else b"text/plain; charset=utf-8"
    headers = [
        (b"content-type", kind),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": body})
