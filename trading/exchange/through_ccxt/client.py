"""Requests of one account through ccxt: who makes its objects, who pays, who judges the answers. Only here is it imported.

ccxt builds and signs a request and sends it. What an answer means is decided here before ccxt sees it, every request
is paid for out of the budget that all processes share, and nothing is ever sent twice.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from math import ceil
from typing import Any, Final
from urllib.parse import urlsplit

from marketdata.aster.answers import Answer, BadGateway, Throttled
from marketdata.aster.http import Budget
from marketdata.venues.public import Purpose, VenueBusy, VenueDown
from trading.exchange.through_ccxt.failures import without_answer
from vibex.lib.errors import Rejected

TIMEOUT_MS: Final = 10_000
URGENT_TIMEOUT_MS: Final = 4_000
"""Of one request, in milliseconds; the shorter one for what must not wait."""
ATTEMPTS: Final = 3
PATIENCE: Final = 20.0
URGENT_PATIENCE: Final = 8.0
"""A question that the venue does not answer is asked so often, within so many seconds."""
FIRST_BLOCK: Final = 2.0
LONGEST_BLOCK: Final = 60.0
"""Seconds without any request after a refusal for its rate that names none, twice as long after each that follows."""
LONGEST_GUESS: Final = 10.0
"""Seconds that even closing waits after a refusal by the exchange itself that does not say for how long it holds."""

type Judge = Callable[[Answer, str], object]
"""Reads an answer before ccxt does. Raises VenueRefused, VenueDown or Throttled for one that is not good."""
type Weigh = Callable[[str, str, Mapping[str, Any], float], float]
"""Returns the weight of a request by method, path, parameters and what ccxt takes for it."""


def made(
    kind: str, *, keys: Mapping[str, Any], urls: Mapping[str, str], options: Mapping[str, Any] | None = None
) -> Any:
    """Return an object of ccxt's class `kind` that signs with `keys` at `urls` (by ccxt's sections) and does no more.

    No builder's fee, no broker's id, no referral, no test orders, no repetition, no redirection, nothing in a log.
    Raises Rejected with the remedy where ccxt is not installed.
    """
    exchange = getattr(_ccxt(), kind)(
        {
            **keys,
            "timeout": TIMEOUT_MS,
            "enableRateLimit": True,  # the throttle is where a request is paid for
            "requests_trust_env": True,  # proxies of the machine count, as for every other client here
            "verbose": False,
            "options": {
                "defaultType": "swap",
                "builderFee": False,
                "maxRetriesOnFailure": 0,
                "warnOnFetchOpenOrdersWithoutSymbol": False,
                **(options or {}),
            },
        }
    )
    exchange.options |= {"broker": {}, "ref": None, "refSet": True, "approvedBuilderFee": True, "builderFee": False}
    exchange.urls["api"] = dict(urls)  # what is not named here cannot be asked, and no test account asks the real one
    exchange.has["fetchCurrencies"] = False
    exchange.session.max_redirects = 0  # a redirected request is a request that is sent twice
    # ccxt writes keys and signed bodies at the level of debugging.
    exchange.logger = _Quiet(exchange.logger.name)
    return exchange


def shared_budget(address: str, *, limit: int) -> Budget:
    """Return what all processes together may ask of the host of `address`: `limit` of weight a minute."""
    from marketdata.services.budget import DatabaseBudget

    return DatabaseBudget(urlsplit(address).netloc.rpartition("@")[2], limit=limit)


@dataclass(slots=True)
class Seat:
    """One of ccxt's objects, and what the call that has it now has done with it."""

    exchange: Any
    what: str = ""
    purpose: Purpose = Purpose.FEED
    left: bool = False
    """Whether a request may be on its way."""


class CcxtClient:
    """Calls for one account, safe from several threads: each call has one of ccxt's objects to itself.

    `make` returns another object of ccxt (see `made`), `judge` reads every answer before ccxt does. Raises VenueRefused
    (the venue says no), VenueBusy or VenueDown, whose `arrived` is False where the venue certainly got nothing.
    """

    def __init__(
        self,
        make: Callable[[], Any],
        *,
        venue: str,
        judge: Judge,
        budget: Budget,
        weigh: Weigh | None = None,
        purpose: Purpose = Purpose.FEED,
        attempts: int = ATTEMPTS,
    ) -> None:
        self.venue = venue
        self.attempts = attempts
        self.timeout_ms = TIMEOUT_MS
        self._make, self._judge, self._budget, self._weigh = make, judge, budget, weigh
        self._purpose = purpose
        self._free: list[Seat] = []
        self._lock = threading.Lock()
        self._strikes = 0
        self._urgent: CcxtClient | None = None

    def begin(self) -> None:
        """Make the first of ccxt's objects now. Raises Rejected with the remedy where ccxt is not installed."""
        self._free.append(self._seated())

    def urgent(self) -> CcxtClient:
        """Return a client for closing, and for what proves it: always the same one, with connections of its own.

        It waits for no share of the budget, and has little patience.
        """
        if self._purpose is Purpose.CLOSING:
            return self
        with self._lock:
            if self._urgent is None:
                self._urgent = CcxtClient(
                    self._make, venue=self.venue, judge=self._judge, budget=self._budget, weigh=self._weigh,
                    purpose=Purpose.CLOSING, attempts=self.attempts,
                )  # fmt: skip
                self._urgent.timeout_ms = self.timeout_ms
            return self._urgent

    def ask[T](self, what: str, call: Callable[[Any], T], *, purpose: Purpose | None = None) -> T:
        """Return what a question gives; asked again after a passing fault. `what` names it for a person."""
        share = purpose or self._purpose
        patience = URGENT_PATIENCE if share is Purpose.CLOSING else PATIENCE
        for attempt in _stamina().retry_context(
            on=_passing, attempts=self.attempts, timeout=patience, wait_initial=0.3
        ):
            with attempt, self._seat(what, share) as seat:
                return call(seat.exchange)
        raise AssertionError("stamina raises the last error by itself")  # pragma: no cover

    def send[T](self, what: str, call: Callable[[Any], T], *, closing: bool = False) -> T:
        """Send a change ONCE and return what comes of it. `closing` may use the part of the budget kept for it."""
        with self._seat(what, Purpose.CLOSING if closing else self._purpose) as seat:
            return call(seat.exchange)

    @contextmanager
    def _seat(self, what: str, purpose: Purpose) -> Iterator[Seat]:
        with self._lock:
            seat = self._free.pop() if self._free else None
        seat = seat or self._seated()
        seat.what, seat.purpose, seat.left = what, purpose, False
        seat.exchange.timeout = min(self.timeout_ms, URGENT_TIMEOUT_MS if purpose is Purpose.CLOSING else TIMEOUT_MS)
        try:
            yield seat
        except Exception as fault:
            raised = without_answer(fault, self.venue, what, left=seat.left)
            if raised is fault:
                raise
            # ccxt's texts hold signed addresses: they are not kept behind the error either.
            raise raised from None
        finally:
            with self._lock:
                self._free.append(seat)

    def _seated(self) -> Seat:
        exchange = self._make()
        seat = Seat(exchange)
        weighed, fetch = exchange.calculate_rate_limiter_cost, exchange.fetch

        def cost(api: Any, method: str, path: str, params: Mapping[str, Any], config: Mapping[str, Any]) -> float:
            theirs = float(weighed(api, method, path, params, config))
            return self._weigh(method, path, params, theirs) if self._weigh else theirs

        def pay(weight: float | None = None) -> None:
            self._budget.take(ceil(weight or 1), seat.purpose)

        def leave(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> Any:
            seat.left = True
            answer = fetch(url, method, headers, body)
            if not isinstance(answer, dict | list):  # judged already; ccxt gives text back where it finds no JSON
                raise VenueDown(f"{seat.what}: {self.venue} answered with something that is no JSON.")
            return answer

        def judged(code: int, *told: Any) -> str:
            """ccxt's hook for every answer: reason, address, method, headers and body follow the code."""
            headers, body = told[3], told[4]
            lower = {name.lower(): value for name, value in headers.items()}
            self._judged(Answer(code, lower, body.encode()), seat)
            return str(body).strip()

        exchange.calculate_rate_limiter_cost, exchange.throttle = cost, pay
        exchange.fetch, exchange.on_rest_response = leave, judged
        return seat

    def _judged(self, answer: Answer, seat: Seat) -> None:
        if answer.used is not None:
            self._budget.report(answer.used)
        try:
            self._judge(answer, seat.what)
        except Throttled as error:
            raise self._block(error, seat.purpose) from None
        self._strikes = 0

    def _block(self, error: Throttled, purpose: Purpose) -> VenueBusy:
        """Stop the requests of this installation to the host, and return what the caller is told."""
        now = datetime.now(UTC)
        with self._lock:
            self._strikes += 1
            grown = min(FIRST_BLOCK * 2 ** min(self._strikes - 1, 10), LONGEST_BLOCK)
        until = now + timedelta(seconds=grown if error.seconds is None else error.seconds)
        closing = now + timedelta(seconds=min(grown, LONGEST_GUESS) if error.seconds is None else error.seconds)
        self._budget.block(until, str(error))
        if error.told:
            self._budget.block(closing, str(error), told=True)
        mine = until if purpose is not Purpose.CLOSING else closing if error.told else now
        text = f"{error} Nothing {'' if error.told else 'but a close '}is asked before {mine:%F %T} UTC."
        return VenueBusy(text, until=mine, arrived=False if error.signed else None)


class _Quiet(logging.Logger):
    """A logger that keeps everything below a warning to itself, whatever its level is set to."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name is the library's
        return level >= logging.WARNING and super().isEnabledFor(level)


def _passing(error: Exception) -> bool:
    return isinstance(error, VenueDown) and not isinstance(error, BadGateway)


@cache
def _stamina() -> Any:
    """Return the library, told to log as everything else does: left alone it would print to standard output."""
    import stamina
    from stamina.instrumentation import LoggingOnRetryHook, set_on_retry_hooks

    set_on_retry_hooks([LoggingOnRetryHook])
    return stamina


def _ccxt() -> Any:
    try:
        import ccxt
    except ModuleNotFoundError as error:
        if error.name != "ccxt":
            raise
        raise Rejected(
            "Accounts at Binance and Hyperliquid trade through ccxt, which is not installed. Run: uv sync --extra ccxt",
            code="extra",
        ) from None
    return ccxt
