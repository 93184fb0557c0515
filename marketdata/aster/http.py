"""One HTTP client for AsterDEX: every request is paid for, every answer is judged, only reading is tried again.

What is sent signed goes out once: an answer that did not come says nothing about what the exchange did, and only who
sent it can find out. Signed texts and the keys behind them never stand in a message or in a log.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self
from urllib.parse import urlsplit

from marketdata.aster.answers import Answer, BadGateway, Throttled, read
from marketdata.aster.signing import Params, Signer
from marketdata.venues.public import Purpose, VenueBusy, VenueDown
from vibex.lib.clock import Deadline

if TYPE_CHECKING:
    import httpx2

TIMEOUT: Final = 10.0
CONNECT_SECONDS: Final = 5.0
MAX_BODY: Final = 10_000_000
"""Bytes. The largest answer, exchangeInfo, has 0.8 MB."""
ATTEMPTS: Final = 4
"""Of one reading, the first included."""
PATIENCE: Final = 20.0
"""Seconds after which a reading without a deadline is not tried again."""
FIRST_PAUSE: Final = 0.3
LONGEST_PAUSE: Final = 4.0
FIRST_BLOCK: Final = 2.0
LONGEST_BLOCK: Final = 60.0
"""Seconds without any request after the first refusal for its rate, twice as long after each that follows."""
JITTER: Final = 0.5
"""Every pause is longer by a random share up to this one, so that processes do not come back together."""
MINUTE: Final = 60
SIGNED_CONNECT_SECONDS: Final = 3.0
SIGNED_POOL_SECONDS: Final = 1.0
"""What is signed leaves soon or not at all: its nonce is taken just before, and may be 5 s old when it leaves."""

__all__ = ["AsterHttp", "Budget", "Params"]


class Budget(Protocol):
    """What this address may still ask of a host, for all processes together."""

    def take(self, weight: int, purpose: Purpose) -> None:
        """Spend the weight. Raises VenueBusy with `until` when the purpose's share of the minute is used up."""
        ...

    def report(self, used: int) -> None:
        """Take over what the venue says was used in this minute, where it is more than our own count."""
        ...

    def block(self, until: datetime, reason: str) -> None:
        """Let nobody ask before `until` (wall time); a longer block stays."""
        ...

    def limit_set(self, limit: int) -> None:
        """Remember the weight a minute that the venue allows."""
        ...


class AsterHttp:
    """Requests to one address for one purpose. Safe from several threads; connections are kept open.

    `jitter` is the largest random share that a pause grows by; 0 turns it off.
    """

    def __init__(
        self,
        base_url: str,
        budget: Budget,
        purpose: Purpose,
        *,
        timeout: float = TIMEOUT,
        attempts: int = ATTEMPTS,
        patience: float = PATIENCE,
        jitter: float = JITTER,
        transport: httpx2.BaseTransport | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self._purpose = purpose
        self._timeout = timeout
        self._attempts = attempts
        self._patience = patience
        self._jitter = jitter
        self._transport = transport
        self._lock = threading.Lock()
        self._client: httpx2.Client | None = None
        self._strikes = 0
        self._blocked_until = datetime.min.replace(tzinfo=UTC)

    def get(self, path: str, params: Params | None = None, *, weight: int, deadline: Deadline | None = None) -> Any:
        """Return the JSON that the venue answers. Tried again after a passing fault, within `deadline`.

        Raises VenueDown without a usable answer, VenueBusy when nothing may be asked in time, VenueRefused when the
        venue says that the question is wrong.
        """
        limit = deadline or Deadline(self._patience)
        for attempt in _retried(self._attempts, lambda failed, error: self._pause(failed, error, limit)):
            with attempt:
                return self._send("GET", path, params or {}, weight, limit)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def ask(
        self,
        path: str,
        params: Params | None = None,
        *,
        signer: Signer,
        weight: int,
        deadline: Deadline | None = None,
        purpose: Purpose | None = None,
    ) -> Any:
        """Return the JSON that the venue answers to a signed question. Tried again as `get` is, each time signed anew.

        Raises what `get` raises, and what the signer raises.
        """
        limit = deadline or Deadline(self._patience)
        for attempt in _retried(self._attempts, lambda failed, error: self._pause(failed, error, limit)):
            with attempt:
                return self._send("GET", path, params or {}, weight, limit, signer, purpose)
        raise AssertionError("the last attempt returns or raises")  # pragma: no cover

    def send(
        self,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        signer: Signer,
        weight: int,
        deadline: Deadline | None = None,
        purpose: Purpose | None = None,
    ) -> Any:
        """Sign and send ONCE, and return the JSON of the answer. Never tried again, whatever comes back.

        Raises VenueRefused (the venue says no), VenueBusy or VenueDown, whose `arrived` tells whether the venue may
        have done it, and what the signer raises (not sent).
        """
        return self._send(method, path, params or {}, weight, deadline or Deadline(self._timeout), signer, purpose)

    def close(self) -> None:
        """Close the connections. The next request opens new ones."""
        with self._lock:
            client, self._client = self._client, None
        if client:
            client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        params: Params,
        weight: int,
        limit: Deadline,
        signer: Signer | None = None,
        purpose: Purpose | None = None,
    ) -> Any:
        """Pay, sign, ask once, judge the answer. Nothing that follows from it is decided here."""
        what = _what(method, path, params)
        _in_time(limit, what)
        self.budget.take(weight, purpose or self._purpose)
        minute = int(time.time()) // MINUTE
        answer = self._exchange(method, path, params, limit, what, signer)
        # A count that arrives in the next minute belongs to the one before: it would use up a share for nothing.
        if answer.used is not None and minute == int(time.time()) // MINUTE:
            self.budget.report(answer.used)
        try:
            content = read(answer, what)
        except Throttled as error:
            raise self._block(error) from None
        self._strikes = 0
        return content

    def _exchange(
        self, method: str, path: str, params: Params, limit: Deadline, what: str, signer: Signer | None
    ) -> Answer:
        import httpx2

        request = self._request(method, path, params, signer)
        _in_time(limit, what)
        seconds = max(0.05, min(self._timeout, limit.left()))
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
            text = f"{what}: {urlsplit(self.base_url).hostname} cannot be reached ({reason[:120]})."
            raise VenueDown(text, arrived=_arrived(error)) from None

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
                    base_url=self.base_url,
                    headers={"User-Agent": "vibex", "Accept": "application/json"},
                    transport=self._transport,
                )
            return self._client

    def _block(self, error: Throttled) -> VenueBusy:
        """Stop all requests of this installation to the host, and return what the caller is told."""
        now = datetime.now(UTC)
        with self._lock:
            # Several threads that are refused together are one refusal.
            if now >= self._blocked_until or error.seconds is not None:
                self._strikes += 1
                grown = min(FIRST_BLOCK * 2 ** (self._strikes - 1), LONGEST_BLOCK)
                seconds = error.seconds if error.seconds is not None else self._spread(grown)
                self._blocked_until = max(self._blocked_until, now + timedelta(seconds=seconds))
            until = self._blocked_until
        self.budget.block(until, str(error))
        text = f"{error} Nothing is asked before {until:%F %T} UTC."
        return VenueBusy(text, until=until, arrived=False if error.told else None)

    def _pause(self, failed: int, error: Exception, limit: Deadline) -> float | None:
        """Return the seconds to wait before the next attempt, None where another one makes no sense."""
        if isinstance(error, VenueBusy):
            silence = max(0.0, (error.until - datetime.now(UTC)).total_seconds())
            pause = silence + random.uniform(0, self._jitter)  # noqa: S311 - so that not all come back in one instant
        elif isinstance(error, VenueDown) and not isinstance(error, BadGateway):
            pause = self._spread(min(FIRST_PAUSE * 2 ** (failed - 1), LONGEST_PAUSE))
        else:
            return None
        return pause if pause < limit.left() else None

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + random.uniform(0, self._jitter))  # noqa: S311 - spreads requests, guards nothing


def _retried(
    attempts: int, pause: Callable[[int, Exception], float | None]
) -> Iterator[contextlib.AbstractContextManager[None]]:
    """Yield attempts until one succeeds; `pause` says how long to wait after which failure, or None to give up."""
    failed = 0

    def hook(error: Exception) -> bool | float:
        nonlocal failed
        failed += 1
        seconds = pause(failed, error)
        return False if seconds is None else seconds

    yield from _stamina().retry_context(on=hook, attempts=attempts, timeout=None)


@cache
def _stamina() -> Any:
    """Return the library, told to log as everything else does: left alone it would print to standard output."""
    import stamina
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    set_on_retry_hooks([LoggingOnRetryHook])
    return stamina


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


def _what(method: str, path: str, params: Params) -> str:
    """Name a request for a person: never its query, which may hold a signature."""
    symbol = params.get("symbol")
    return f"{method} {path}" + (f" of {symbol}" if symbol else "")


def _in_time(limit: Deadline, what: str) -> None:
    if limit.passed():
        raise VenueDown(f"{what}: no time is left to ask AsterDEX.", arrived=False)


def _timeout(seconds: float, *, signed: bool) -> httpx2.Timeout:
    import httpx2

    connect, pool = (SIGNED_CONNECT_SECONDS, SIGNED_POOL_SECONDS) if signed else (CONNECT_SECONDS, seconds)
    return httpx2.Timeout(seconds, connect=min(seconds, connect), pool=min(seconds, pool))


def _arrived(error: Exception) -> bool | None:
    """Return False where not one byte of the request left, None where nobody knows."""
    import httpx2

    never_left = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
    return False if isinstance(error, never_left) else None


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
