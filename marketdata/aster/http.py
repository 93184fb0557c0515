"""One HTTP client for AsterDEX: every request is paid for, every answer is judged, only reading is tried again.

What is sent signed goes out once: an answer that did not come says nothing about what the exchange did, and only who
sent it can find out. Signed texts and the keys behind them never stand in a message or in a log.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from marketdata.aster.answers import BadGateway, Throttled, read
from marketdata.aster.signing import Params, Signer
from marketdata.aster.wire import HttpWire, Wire, in_time
from marketdata.venues.public import Purpose, VenueBusy, VenueDown
from vibex.lib.clock import Deadline

if TYPE_CHECKING:
    import httpx2

TIMEOUT: Final = 10.0
URGENT_TIMEOUT: Final = 4.0
URGENT_PATIENCE: Final = 8.0
"""Seconds of one attempt, and of all, for what must not wait: within ten a position is protected or closed."""
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
LONGEST_GUESS: Final = 10.0
"""Seconds that even closing waits after a refusal by the exchange itself that does not say for how long it holds."""
MINUTE: Final = 60

__all__ = ["AsterHttp", "Budget", "Params"]


class Budget(Protocol):
    """What this address may still ask of a host, for all processes together."""

    def take(self, weight: int, purpose: Purpose) -> None:
        """Spend the weight. Raises VenueBusy with `until` when the purpose's share of the minute is used up.

        Closing is only counted: nothing but what the venue itself told (`block`) makes it wait.
        """
        ...

    def report(self, used: int) -> None:
        """Take over what the venue says was used in this minute, where it is more than our own count."""
        ...

    def block(self, until: datetime, reason: str, *, told: bool = False) -> None:
        """Let nobody ask before `until` (wall time); a longer block stays.

        Closing passes, except where the exchange itself has `told` us to be silent: asking then makes a ban longer.
        """
        ...

    def limit_set(self, limit: int) -> None:
        """Remember the weight a minute that the venue allows."""
        ...


class AsterHttp:
    """Requests to one address for one purpose. Safe from several threads; connections are kept open.

    `jitter` is the largest random share that a pause grows by; 0 turns it off. `wire` carries the requests; our own
    unless another is given.
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
        wire: Wire | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.budget = budget
        self._purpose = purpose
        self._timeout = timeout
        self._attempts = attempts
        self._patience = patience
        self._jitter = jitter
        self._wire = wire or HttpWire(self.base_url, transport)
        self._lock = threading.Lock()
        self._urgent: AsterHttp | None = None
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
                return self._send("GET", path, params or {}, weight, limit, None, self._purpose)
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
                return self._send("GET", path, params or {}, weight, limit, signer, purpose or self._purpose)
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
        limit = deadline or Deadline(self._timeout)
        return self._send(method, path, params or {}, weight, limit, signer, purpose or self._purpose)

    def urgent(self) -> AsterHttp:
        """Return a client for closing, and for what has to be read to prove it: always the same one.

        It has connections of its own, so that it waits for no other request, and little patience. `close` closes both.
        """
        if self._purpose is Purpose.CLOSING:
            return self
        with self._lock:
            if self._urgent is None:
                self._urgent = AsterHttp(
                    self.base_url,
                    self.budget,
                    Purpose.CLOSING,
                    timeout=min(self._timeout, URGENT_TIMEOUT),
                    attempts=self._attempts,
                    patience=min(self._patience, URGENT_PATIENCE),
                    jitter=self._jitter,
                    wire=self._wire.another(),
                )
            return self._urgent

    def close(self) -> None:
        """Close the connections, for all who share the wire. The next request opens new ones."""
        self._wire.close()
        with self._lock:
            urgent = self._urgent
        if urgent:
            urgent.close()

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
        signer: Signer | None,
        purpose: Purpose,
    ) -> Any:
        """Pay, sign, ask once, judge the answer. Nothing that follows from it is decided here."""
        what = _what(method, path, params)
        in_time(limit, what)
        self.budget.take(weight, purpose)
        minute = int(time.time()) // MINUTE
        answer = self._wire.carry(method, path, params, signer=signer, timeout=self._timeout, limit=limit, what=what)
        # A count that arrives in the next minute belongs to the one before: it would use up a share for nothing.
        if answer.used is not None and minute == int(time.time()) // MINUTE:
            self.budget.report(answer.used)
        try:
            content = read(answer, what)
        except Throttled as error:
            raise self._block(error, purpose) from None
        self._strikes = 0
        return content

    def _block(self, error: Throttled, purpose: Purpose) -> VenueBusy:
        """Stop the requests of this installation to the host, and return what the caller is told."""
        now = datetime.now(UTC)
        with self._lock:
            # Several threads that are refused together are one refusal.
            another = now >= self._blocked_until or error.seconds is not None
            self._strikes += another
            grown = min(FIRST_BLOCK * 2 ** (self._strikes - 1), LONGEST_BLOCK)
            if another:
                seconds = error.seconds if error.seconds is not None else self._spread(grown)
                self._blocked_until = max(self._blocked_until, now + timedelta(seconds=seconds))
            until = self._blocked_until
        silent = error.seconds if error.seconds is not None else min(grown, LONGEST_GUESS)
        closing = now + timedelta(seconds=silent) if error.told else now
        self.budget.block(until, str(error))
        if error.told:
            self.budget.block(closing, str(error), told=True)
        mine = closing if purpose is Purpose.CLOSING else until
        text = f"{error} Nothing {'' if error.told else 'but a close '}is asked before {mine:%F %T} UTC."
        return VenueBusy(text, until=mine, arrived=False if error.signed else None)

    def _pause(self, failed: int, error: Exception, limit: Deadline) -> float | None:
        """Return the seconds to wait before the next attempt, None where another one makes no sense."""
        pause = self._spread(min(FIRST_PAUSE * 2 ** (failed - 1), LONGEST_PAUSE))
        if isinstance(error, VenueBusy):
            silence = max(0.0, (error.until - datetime.now(UTC)).total_seconds())
            # So that not all come back in one instant, and a close that no silence holds back is not sent in a burst.
            pause = max(pause, silence + random.uniform(0, self._jitter))  # noqa: S311 - guards nothing
        elif not isinstance(error, VenueDown) or isinstance(error, BadGateway):
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


def _what(method: str, path: str, params: Params) -> str:
    """Name a request for a person: never its query, which may hold a signature."""
    symbol = params.get("symbol")
    return f"{method} {path}" + (f" of {symbol}" if symbol else "")
