"""How one request to AsterDEX goes out and its answer comes back: once, within its time, byte for byte as it was signed.

What is asked, paid and made of the answer stands in `http.py`. Signed texts and the keys behind them never stand in a
message or in a log.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from marketdata.aster.answers import Answer
from marketdata.aster.signing import Params, Signer
from marketdata.venues.public import VenueDown
from vibex.lib.clock import Deadline

if TYPE_CHECKING:
    import ssl

    import httpx2

CONNECT_SECONDS: Final = 5.0
KEPT: Final = 20
"""Connections that stay open while nobody uses them."""
MAX_BODY: Final = 10_000_000
"""Bytes. The largest answer, exchangeInfo, has 0.8 MB."""
SIGNED_CONNECT_SECONDS: Final = 3.0
"""What is signed leaves soon or not at all: its nonce is taken just before, and may be 5 s old when it leaves."""


class Wire(Protocol):
    """Carries requests to one address. Safe from several threads."""

    def carry(
        self,
        method: str,
        path: str,
        params: Params,
        *,
        signer: Signer | None,
        timeout: float,
        limit: Deadline,
        what: str,
    ) -> Answer:
        """Sign, send ONCE and return the answer, within `timeout` seconds and before `limit`; `what` is for messages.

        Raises VenueDown, whose `arrived` is False where not one byte left, and what the signer raises.
        """
        ...

    def another(self) -> Wire:
        """Return a wire to the same address with connections of its own, for what must not wait."""
        ...

    def close(self) -> None:
        """Close the connections. The next request opens new ones."""
        ...


class HttpWire:
    """Our own: httpx2, with connections that are kept open. All who ask the same address may share one.

    It opens as many connections as threads ask at once, so that nobody waits for one that somebody else holds, and keeps
    KEPT of them. It keeps no cookies: what a venue tells one account is not told to it by another.
    """

    def __init__(self, base_url: str, transport: httpx2.BaseTransport | None = None) -> None:
        self._base_url = base_url
        self._transport = transport
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._another: HttpWire | None = None

    def carry(
        self,
        method: str,
        path: str,
        params: Params,
        *,
        signer: Signer | None,
        timeout: float,
        limit: Deadline,
        what: str,
    ) -> Answer:
        """Send what the signer wrote, as it wrote it."""
        import httpx2

        request = self._request(method, path, params, signer)
        in_time(limit, what)
        seconds = max(0.05, min(timeout, limit.left()))
        request.extensions["timeout"] = _timeout(seconds, signed=signer is not None).as_dict()
        ends = time.monotonic() + seconds
        try:
            response = self._opened().send(request, stream=True)
            with contextlib.closing(response):
                body = _body(response.iter_bytes(), ends, what)
                return Answer(
                    response.status_code, {name.lower(): value for name, value in response.headers.items()}, body
                )
        except httpx2.TimeoutException as error:
            text = f"{what}: AsterDEX did not answer within {seconds:.1f} s."
            raise VenueDown(text, arrived=_arrived(error)) from None
        except httpx2.HTTPError as error:
            reason = str(error) or type(error).__name__
            text = f"{what}: {urlsplit(self._base_url).hostname} cannot be reached ({reason[:120]})."
            raise VenueDown(text, arrived=_arrived(error)) from None

    def another(self) -> HttpWire:
        """Return a wire with connections of its own: always the same one, so that those who share this share that."""
        with self._lock:
            if self._another is None:
                self._another = HttpWire(self._base_url, self._transport)
            return self._another

    def close(self) -> None:
        """Close the connections."""
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()

    def _request(self, method: str, path: str, params: Params, signer: Signer | None) -> httpx2.Request:
        """Return the request. What is signed goes out as it was signed, byte for byte."""
        client = self._opened()
        if signer is None:
            return client.build_request(method, path, params=dict(params))
        signed = signer.sign(method, params)
        target = f"{path}?{signed.query}" if signed.query else path
        return client.build_request(method, target, content=signed.body.encode() or None, headers=dict(signed.headers))

    def _opened(self) -> httpx2.Client:
        import httpx2

        with self._lock:
            if self._client is None:
                _keep_queries_out_of_the_log()
                self._client = httpx2.Client(
                    base_url=self._base_url,
                    headers={"User-Agent": "vibex", "Accept": "application/json"},
                    transport=self._transport,
                    verify=_trusted(),
                    limits=httpx2.Limits(max_connections=None, max_keepalive_connections=KEPT),
                    cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
                )
            return self._client


def in_time(limit: Deadline, what: str) -> None:
    """Raises VenueDown when there is no time left to ask."""
    if limit.passed():
        raise VenueDown(f"{what}: no time is left to ask AsterDEX.", arrived=False)


def _body(chunks: Iterator[bytes], ends: float, what: str) -> bytes:
    """Gather a body. A server that sends a byte now and then does not hold us longer than one that sends none."""
    gathered = bytearray()
    for chunk in chunks:
        gathered += chunk
        if len(gathered) > MAX_BODY:
            raise VenueDown(f"{what}: AsterDEX sent more than {MAX_BODY // 1_000_000} MB.")
        if time.monotonic() > ends:
            raise VenueDown(f"{what}: AsterDEX did not finish its answer in time.")
    return bytes(gathered)


def _timeout(seconds: float, *, signed: bool) -> httpx2.Timeout:
    import httpx2

    connect = SIGNED_CONNECT_SECONDS if signed else CONNECT_SECONDS
    return httpx2.Timeout(seconds, connect=min(seconds, connect))


def _arrived(error: Exception) -> bool | None:
    """Return False where not one byte of the request left, None where nobody knows."""
    import httpx2

    never_left = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
    return False if isinstance(error, never_left) else None


@cache
def _trusted() -> ssl.SSLContext:
    """Return the authorities that are trusted. Read once: it takes longer than a request, and each account has a client."""
    import httpx2

    return httpx2.create_ssl_context()


@cache
def _keep_queries_out_of_the_log() -> None:
    """Let the library log what it asks without the query, whatever level it is set to: a query may be signed."""
    logging.getLogger("httpx2").addFilter(_without_query)


def _without_query(record: logging.LogRecord) -> bool:
    import httpx2

    if isinstance(record.args, tuple):
        record.args = tuple(
            part.copy_with(query=None) if isinstance(part, httpx2.URL) else part for part in record.args
        )
    return True
