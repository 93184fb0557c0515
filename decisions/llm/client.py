"""One question to one model at an OpenAI-compatible server, inside one hard deadline.

The package's own timeout counts per read, so a server that sends a byte a second beats it; the deadline here is around
the whole call. Nothing is retried by the package, and the body is handed on as bytes, before anybody parses it.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from decisions.domain.envelope import error_code
from decisions.domain.strict_json import Unreadable
from decisions.domain.strict_json import loads as strict_loads
from decisions.llm import background
from decisions.llm.endpoints import Endpoint
from vibex.lib.errors import Retryable

if TYPE_CHECKING:
    from openai import AsyncOpenAI

CONNECT_SECONDS: Final = 5.0
MAX_TOKENS: Final = 4_000
"""Of reasoning and answer together. Always sent: without it a provider's default may cut or cost too much."""
REASONING: Final = {"effort": "low"}
"""Always sent: the provider's default may be on, and slower than the deadline."""
FORMAT_REFUSED: Final = frozenset({400, 404})
"""Answers of a server that does not take the response format, among other reasons."""

type Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked. `schema` is the JSON schema of the reply."""

    model: str
    system: str
    user: str
    schema: Body


@dataclass(frozen=True, slots=True)
class Received:
    """The raw body of an HTTP 200, and the seconds it took."""

    raw: bytes
    seconds: float


class NoReply(Retryable):
    """The server gave no usable HTTP answer. The message begins with a code and never holds a key or foreign text."""

    def __init__(self, message: str, *, raw: bytes = b"", status: int = 0) -> None:
        super().__init__(message)
        self.raw = raw
        self.status = status


def ask(endpoint: Endpoint, call: Call, *, seconds: float) -> Received:
    """Return the reply to a call within `seconds`. Raises NoReply for everything but an HTTP 200.

    The reply's format is asked for as a strict schema first; where a server refuses that, by the prompt alone, and this
    is remembered for the model as long as the process lives.
    """
    began = time.monotonic()
    if (endpoint.base_url, call.model) not in _without_format:
        try:
            return _send(endpoint, call, with_format=True, began=began, seconds=seconds)
        except NoReply as refusal:
            if refusal.status not in FORMAT_REFUSED:
                raise
    received = _send(endpoint, call, with_format=False, began=began, seconds=seconds)
    _without_format.add((endpoint.base_url, call.model))
    return received


_without_format: set[tuple[str, str]] = set()


def _send(endpoint: Endpoint, call: Call, *, with_format: bool, began: float, seconds: float) -> Received:
    from openai import APIConnectionError, APIStatusError

    left = began + seconds - time.monotonic()
    if left <= 0:
        raise NoReply(f"timeout: {endpoint.host} did not answer within {seconds:.1f} s")
    try:
        raw = background.run(
            _request(_client(endpoint), body_of(endpoint, call, with_format=with_format)), seconds=left
        )
    except APIStatusError as fault:
        raise _status(endpoint, fault.status_code, fault.response.content) from None
    except (TimeoutError, APIConnectionError) as fault:
        raise _silence(endpoint, fault, seconds) from None
    except Exception as fault:  # noqa: BLE001
        # Whatever else goes wrong between here and there must hold the bot, not end it; its text may hold a key.
        raise NoReply(f"client.{type(fault).__name__}: the call to {endpoint.host} failed") from None
    return Received(raw, time.monotonic() - began)


def body_of(endpoint: Endpoint, call: Call, *, with_format: bool) -> Body:
    """Return the parameters of the request."""
    body: Body = {
        "model": call.model,
        "messages": [{"role": "system", "content": call.system}, {"role": "user", "content": call.user}],
        "max_tokens": MAX_TOKENS,
    }
    if with_format:
        schema = {"name": "decisions", "strict": True, "schema": call.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if endpoint.is_openrouter:
        body["extra_body"] = _for_openrouter(with_format=with_format)
    return body


def _for_openrouter(*, with_format: bool) -> Body:
    """Return what only OpenRouter knows: nothing may drop a part of the prompt, mend the reply or ignore the schema."""
    extra: Body = {"reasoning": REASONING, "plugins": [{"id": "context-compression", "enabled": False}]}
    return extra | {"provider": {"require_parameters": True}} if with_format else extra


async def _request(client: AsyncOpenAI, body: Body) -> bytes:
    response = await client.chat.completions.with_raw_response.create(**body)
    return response.content


def _client(endpoint: Endpoint) -> AsyncOpenAI:
    """Return the client of an endpoint on this process's loop: connections and TLS contexts are worth keeping."""
    from openai import AsyncOpenAI, Timeout

    key = (endpoint, id(background.loop()))
    if key not in _clients:
        _clients[key] = AsyncOpenAI(
            base_url=endpoint.base_url,
            api_key=endpoint.key or "none",
            max_retries=0,
            timeout=Timeout(600.0, connect=CONNECT_SECONDS),
            default_headers={"X-OpenRouter-Title": "Vibex"} if endpoint.is_openrouter else None,
        )
    return _clients[key]


_clients: dict[tuple[Endpoint, int], AsyncOpenAI] = {}


def close() -> None:
    """Close all connections and end the loop: for a clean end of the process, and for tests."""
    for client in _clients.values():
        background.run(client.close(), seconds=CONNECT_SECONDS)
    _clients.clear()
    _without_format.clear()
    background.stop()


def _status(endpoint: Endpoint, status: int, raw: bytes) -> NoReply:
    return NoReply(f"http.{status}: {endpoint.host} answered {status} {_stated(raw)}".strip(), raw=raw, status=status)


def _stated(raw: bytes) -> str:
    try:
        body = strict_loads(raw.decode("utf-8", "replace"))
    except Unreadable:
        return ""
    return error_code(body["error"]) if isinstance(body, dict) and body.get("error") else ""


def _silence(endpoint: Endpoint, fault: Exception, seconds: float) -> NoReply:
    from openai import APITimeoutError

    if isinstance(fault, TimeoutError | APITimeoutError):
        return NoReply(f"timeout: {endpoint.host} did not answer within {seconds:.1f} s")
    return NoReply(f"unreachable: no connection to {endpoint.host}, or it was lost; check the address and the network")
