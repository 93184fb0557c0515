"""One request to one model at an OpenAI-compatible server, waited for until a hard deadline.

The package's own timeout counts per read, so a server that sends a byte a second beats it; the deadline here is around
the whole request. Nothing is retried by the package, and the body is handed on as bytes, before anybody parses it.

A request that is given up at its deadline goes on for a while: it is paid for all the same, and its reply says how much.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

from decisions.domain.envelope import MAX_BYTES
from decisions.llm import background
from decisions.llm.endpoints import Endpoint

if TYPE_CHECKING:
    from openai import AsyncOpenAI

log = logging.getLogger(__name__)

CONNECT_SECONDS: Final = 5.0
LATE_SECONDS: Final = 60.0
"""So long a request goes on after its deadline."""
NOT_SENT: Final = frozenset({"ConnectError", "ConnectTimeout", "UnsupportedProtocol", "PoolTimeout", "ProxyError"})
"""Faults of the transport before anything was sent."""

type Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Received:
    """What came of a request: a whole answer of HTTP, or why there is none."""

    raw: bytes = b""
    """The body as far as it came."""
    status: int | None = None
    """Of HTTP; None when not even a head came."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Names in small letters."""
    seconds: float = 0.0
    fault: str = ""
    """Why there is no whole answer: a code, then words without a secret. "" when there is one."""
    sent: bool = True
    """Can the server have got it, and take money for it?"""
    later: Later | None = None
    """Present while the answer may still come."""

    @property
    def retry_after(self) -> float | None:
        """Seconds that the server wants to be left alone; None when it does not say, or not in a way that is known."""
        return _seconds_of(self.headers)

    @property
    def should_retry(self) -> bool | None:
        return {"true": True, "false": False}.get(self.headers.get("x-should-retry", "").lower())


@dataclass(frozen=True, slots=True)
class Later:
    """A request that was given up and goes on."""

    _future: Future[Received]

    def then(self, told: Callable[[Received], None]) -> None:
        """Call `told` from a thread of its own with the whole answer, if one comes."""
        self._future.add_done_callback(lambda future: self._tell(future, told))

    def _tell(self, future: Future[Received], told: Callable[[Received], None]) -> None:
        try:
            received = future.result()
        except Exception:  # noqa: BLE001 - it was given up: how it failed matters to nobody
            return
        Thread(target=told, args=(received,), name="late-reply", daemon=True).start()


@dataclass(slots=True)
class _Wire:
    """What has come so far: read by the one who waits when he gives up."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    began: float = field(default_factory=time.monotonic)

    def received(self, **more: Any) -> Received:
        return Received(b"".join(self.chunks), self.status, self.headers, time.monotonic() - self.began, **more)


def send(endpoint: Endpoint, body: Body, *, seconds: float) -> Received:
    """Return what came of a request within `seconds`. Never raises."""
    wire = _Wire()
    if seconds <= 0:
        return wire.received(fault=_timeout(endpoint, seconds), sent=False)
    future: Future[Received] | None = None
    try:
        future = background.start(_request(endpoint, body, wire), seconds=seconds + LATE_SECONDS)
        return future.result(max(0.0, wire.began + seconds - time.monotonic()))
    except TimeoutError:
        if future is not None and future.done() and not future.cancelled() and future.exception() is None:
            return future.result()  # it was whole in time, and this thread was woken too late: no late one will come
        return wire.received(fault=_timeout(endpoint, seconds), later=Later(future) if future else None)
    except Exception as fault:  # noqa: BLE001
        # Whatever goes wrong between here and there must hold the bot, not end it; its text may hold a key.
        return wire.received(**_fault(endpoint, fault, seconds))


def prepare(endpoint: Endpoint) -> None:
    """Begin what takes long the first time: the import of the package and the making of a client. Returns at once.

    Both are done in the loop's thread, before anybody waits for an answer. Whatever goes wrong shows when something is sent.
    """
    try:
        if (endpoint, id(background.loop())) not in _clients:
            background.start(_prepared(endpoint), seconds=LATE_SECONDS)
    except RuntimeError as fault:  # no more threads: `send` says so, and nobody is kept from closing
        log.warning("the client of %s could not be got ready: %s", endpoint.host, type(fault).__name__)


async def _prepared(endpoint: Endpoint) -> None:
    _ = _client(endpoint, asyncio.get_running_loop()).chat.completions.with_streaming_response


async def _request(endpoint: Endpoint, body: Body, wire: _Wire) -> Received:
    """Make the request. The client is made here, not by who waits: its first import may take longer than he may wait."""
    from openai import APIStatusError

    client = _client(endpoint, asyncio.get_running_loop())
    completions = client.chat.completions.with_streaming_response
    try:
        # All of the body as it is: what the package is given by name it copies and looks through part by part.
        async with completions.create(model=body["model"], messages=[], extra_body=body) as response:
            wire.status, wire.headers = response.status_code, _lower(response.headers)
            async for chunk in response.iter_bytes():
                wire.chunks.append(chunk)
                wire.size += len(chunk)
                if wire.size > MAX_BYTES:  # no reply is as long: the gate says so
                    break
    except APIStatusError as refusal:
        wire.status, wire.headers = refusal.status_code, _lower(refusal.response.headers)
        wire.chunks = [refusal.response.content]
    return wire.received()


def _client(endpoint: Endpoint, loop: asyncio.AbstractEventLoop) -> AsyncOpenAI:
    """Return the client of an endpoint on this process's loop: connections and TLS contexts are worth keeping."""
    from openai import AsyncOpenAI, DefaultAsyncHttpx2Client, Timeout

    key = (endpoint, id(loop))
    with _lock:
        if key not in _clients:
            _clients[key] = AsyncOpenAI(
                base_url=endpoint.base_url,
                api_key=endpoint.key or "none",
                max_retries=0,
                timeout=Timeout(600.0, connect=CONNECT_SECONDS),
                # What is asked goes to the server that the operator named, and nowhere else.
                http_client=DefaultAsyncHttpx2Client(follow_redirects=False),
                default_headers={"X-OpenRouter-Title": "Vibex"} if endpoint.is_openrouter else None,
            )
        return _clients[key]


_lock = Lock()
_clients: dict[tuple[Endpoint, int], AsyncOpenAI] = {}


def close() -> None:
    """Close all connections and end the loop: for a clean end of the process, and for tests."""
    for (_, loop), client in list(_clients.items()):
        if loop == id(background.loop()):
            background.run(client.close(), seconds=CONNECT_SECONDS)
    _clients.clear()
    background.stop()


def _fault(endpoint: Endpoint, fault: Exception, seconds: float) -> dict[str, Any]:
    from openai import APIConnectionError, APITimeoutError

    sent = type(fault.__cause__).__name__ not in NOT_SENT
    if isinstance(fault, APITimeoutError) and sent:
        return {"fault": _timeout(endpoint, seconds)}
    if isinstance(fault, APIConnectionError) or type(fault).__name__ in TRANSPORT:
        text = f"unreachable: no connection to {endpoint.host}, or it was lost; check the address and the network"
        return {"fault": text, "sent": sent}
    return {"fault": f"client.{type(fault).__name__}: the call to {endpoint.host} failed", "sent": sent}


TRANSPORT: Final = frozenset({"RemoteProtocolError", "ReadError", "ReadTimeout", "WriteError", "LocalProtocolError"})
"""Faults of the transport while a body is read, which the package lets through as they are."""


def _timeout(endpoint: Endpoint, seconds: float) -> str:
    return f"timeout: {endpoint.host} did not answer within {max(seconds, 0.0):.1f} s"


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _seconds_of(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) / unit
        except (KeyError, ValueError):
            continue
        return seconds if 0 <= seconds < 86_400 else None
    try:
        at = parsedate_to_datetime(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
