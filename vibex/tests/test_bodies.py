"""A body that is too large is refused before it is read, whether its length was told or not."""

import asyncio
import json

import pytest

from vibex.lib.bodies import bodies_limited

MOST = 100


def asked(*parts: bytes, told: int | None = None, path: str = "/api/v1/things/") -> tuple[int, bytes, int]:
    """Return status and body of the answer, and how many parts of the body were read."""
    read, sent = [], []
    waiting = list(parts)

    async def application(scope, receive, send):
        while True:
            message = await receive()
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"read"})

    async def receive():
        read.append(part := waiting.pop(0))
        return {"type": "http.request", "body": part, "more_body": bool(waiting)}

    async def send(message):
        sent.append(message)

    headers = [] if told is None else [(b"content-length", str(told).encode())]
    scope = {"type": "http", "path": path, "headers": headers}
    asyncio.run(bodies_limited(application, most=MOST)(scope, receive, send))
    start, body = sent
    return start["status"], body["body"], len(read)


def test_what_fits_goes_through():
    assert asked(b"x" * 60, b"x" * 40, told=100) == (200, b"read", 2)


def test_a_length_that_is_told_is_refused_without_reading():
    status, body, read = asked(b"x" * 101, told=101)
    assert (status, read) == (413, 0)
    assert json.loads(body)["code"] == "too-large"


@pytest.mark.parametrize("told", [None, 10])
def test_a_length_that_is_not_told_or_a_lie_is_refused_where_it_is_passed(told):
    status, _, read = asked(b"x" * 60, b"x" * 60, b"x" * 60, told=told)
    assert (status, read) == (413, 2)


def test_a_page_is_told_so_as_text():
    assert not asked(told=101, path="/diary/")[1].startswith(b"{")
