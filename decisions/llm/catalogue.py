"""Asking a provider for its list of models, and what is left on a key. Costs nothing, and never while a process starts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

from decisions.domain.catalogue import Catalogue, Listed, NoCatalogue, read_catalogue
from decisions.llm.endpoints import Endpoint
from vibex.lib.errors import Retryable

if TYPE_CHECKING:
    from httpx2 import Client, Response

SECONDS: Final = 10.0
"""For all pages of a list together."""
MOST_BYTES: Final = 16_000_000
MOST_PAGES: Final = 20
ANTHROPIC_VERSION: Final = "2023-06-01"
REFUSED: Final = (401, 403)


class Unread(Retryable):
    """A server gave no list. The message holds its host and a code, never what it wrote or the key."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, slots=True)
class KeyState:
    """What OpenRouter says of a key, in US dollars."""

    remaining: Decimal | None = None
    """None when the key has no limit of its own, or nothing is said."""


def catalogue_fetch(endpoint: Endpoint, *, seconds: float = SECONDS) -> Catalogue:
    """Return all models of a server, over all pages of its list. Raises Unread."""
    with _asking(endpoint, seconds) as ask:
        first = ask(_list_of(endpoint))
        if first.status == 404 and endpoint.dialect == "xai":
            first = ask("models")
        pages = [_read(endpoint, first)]
        while pages[-1].next and len(pages) < MOST_PAGES:
            pages.append(_read(endpoint, ask(_page(endpoint, pages[-1].next))))
    models: dict[str, Listed] = {model.slug: model for page in pages for model in page.models}
    whole = pages[0].whole if len(pages) == 1 else not pages[-1].next
    return Catalogue(tuple(models.values()), whole, sum(page.skipped for page in pages))


def key_fetch(endpoint: Endpoint, *, seconds: float = SECONDS) -> KeyState:
    """Return what OpenRouter says of the key. Raises Unread, with the status when the key is refused."""
    with _asking(endpoint, seconds) as ask:
        answer = ask("key")
    _refuse(endpoint, answer)
    try:
        data = json.loads(answer.body)["data"]
        left = Decimal(str(data["limit_remaining"]))
        return KeyState(left if left.is_finite() else None)
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation, RecursionError):
        return KeyState()


def status_fetch(endpoint: Endpoint, *, seconds: float = SECONDS) -> int:
    """Return the status with which a server answers for its list, whatever the list is like. Raises Unread for silence."""
    with _asking(endpoint, seconds) as ask:
        return ask("models").status


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes = field(repr=False)


class _Ask:
    """One conversation with a server inside one deadline."""

    def __init__(self, client: Client, endpoint: Endpoint, until: float) -> None:
        self._client, self._endpoint, self._until = client, endpoint, until

    def __call__(self, path: str) -> _Answer:
        address = urljoin(f"{self._endpoint.base_url.rstrip('/')}/", path)
        with self._client.stream("GET", address) as response:
            return _Answer(response.status_code, self._body(response))

    def _body(self, response: Response) -> bytes:
        """Return the body as long as it is neither too large nor too slow: the package counts its time per read."""
        body = bytearray()
        for part in response.iter_bytes():
            body += part
            if len(body) > MOST_BYTES:
                raise Unread(f"too_large: {self._endpoint.host} sent more than {MOST_BYTES:,} bytes")
            if time.monotonic() > self._until:
                raise Unread(f"timeout: {self._endpoint.host} was too slow")
        return bytes(body)


@contextmanager
def _asking(endpoint: Endpoint, seconds: float) -> Iterator[_Ask]:
    import httpx2

    try:
        # Redirects are not followed: the key goes to the server that it belongs to.
        with httpx2.Client(timeout=seconds, headers=_headers(endpoint), follow_redirects=False) as client:
            yield _Ask(client, endpoint, time.monotonic() + seconds)
    except httpx2.TimeoutException:
        raise Unread(f"timeout: {endpoint.host} did not answer within {seconds:g} s") from None
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeError) as fault:
        raise Unread(f"unreachable: {endpoint.host} does not answer ({type(fault).__name__})") from None


def _headers(endpoint: Endpoint) -> dict[str, str]:
    if not endpoint.key:
        return {}
    if endpoint.dialect == "anthropic":
        return {"x-api-key": endpoint.key, "anthropic-version": ANTHROPIC_VERSION}
    return {"Authorization": f"Bearer {endpoint.key}"}


def _list_of(endpoint: Endpoint) -> str:
    return {"anthropic": "models?limit=1000", "xai": "language-models"}.get(endpoint.dialect, "models")


def _page(endpoint: Endpoint, after: str) -> str:
    """Return the address of the next page. Raises Unread when it is on another server."""
    address = urljoin(f"{endpoint.base_url.rstrip('/')}/models", after)
    if urlsplit(address)[:2] != urlsplit(endpoint.base_url)[:2]:
        raise Unread(f"elsewhere: {endpoint.host} names another server for the rest of its list")
    return address


def _read(endpoint: Endpoint, answer: _Answer) -> Catalogue:
    _refuse(endpoint, answer)
    try:
        return read_catalogue(answer.body, endpoint.dialect)
    except NoCatalogue as fault:
        raise Unread(f"no_list: {endpoint.host}: {fault}", status=answer.status) from None


def _refuse(endpoint: Endpoint, answer: _Answer) -> None:
    if answer.status in REFUSED:
        raise Unread(f"key: {endpoint.host} refuses the key ({answer.status})", status=answer.status)
    if answer.status != 200:
        raise Unread(f"http.{answer.status}: {endpoint.host} answers {answer.status}", status=answer.status)
