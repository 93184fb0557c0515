"""Signed calls to AsterDEX by name: path, weight and share of the budget for both generations of its API.

The two speak alike. They differ in how a request is signed, and in the paths that stand here (research: aster.md 1.1).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

from django.db import DatabaseError, InterfaceError

from marketdata.aster.answers import BadGateway, Unreadable
from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp, Params
from marketdata.aster.signing import Signed, Signer
from marketdata.venues.public import Purpose, VenueDown, VenueRefused
from vibex.lib.errors import VibexError

log = logging.getLogger(__name__)

type Generation = Literal["v3", "v1"]

BASE: Final[Mapping[Generation, str]] = {"v3": "/fapi/v3/", "v1": "/fapi/v1/"}
ELSEWHERE: Final[Mapping[Generation, Mapping[str, str]]] = {
    "v3": {"account": "/fapi/v3/accountWithJoinMargin"},
    "v1": {"account": "/fapi/v4/account", "balance": "/fapi/v2/balance", "positionRisk": "/fapi/v2/positionRisk"},
}
"""What does not stand at its own name under the base."""
WEIGHTS: Final[Mapping[str, int]] = {
    "GET account": 5,
    "GET allOrders": 5,
    "GET balance": 5,
    "GET commissionRate": 20,
    "GET income": 30,
    "GET leverageBracket": 1,
    "GET leverageBrackets": 1,
    "GET multiAssetsMargin": 30,
    "GET openOrders": 1,
    "GET order": 1,
    "GET positionRisk": 5,
    "GET positionSide/dual": 30,
    "GET userTrades": 5,
    "POST leverage": 1,
    "POST listenKey": 1,
    "POST marginType": 1,
    "POST multiAssetsMargin": 1,
    "POST order": 1,
    "POST positionSide/dual": 1,
    "PUT listenKey": 1,
    "DELETE listenKey": 1,
    "DELETE order": 1,
}
OPEN_ORDERS_OF_ALL: Final = 40
"""openOrders without a symbol."""
URGENT: Final = frozenset({"GET order", "DELETE order"})
"""What became of an order, and its end, may take the part of the budget that is kept for closing: 1 each."""

OUT_OF_TIME: Final = frozenset({"-1021", "-4225"})
"""The venue says of a timestamp or nonce that it is not of now. The request was not looked at."""
NO_SUCH_PATH: Final = frozenset({"-1020", "-4084", "-5000"})
"""Not supported, not yet there, and what Binance's own code says of a path that is none."""


def path_of(name: str, generation: Generation) -> str:
    """Return the path of a call."""
    return ELSEWHERE[generation].get(name, BASE[generation] + name)


def weight_of(call: str, params: Params) -> int:
    """Return the weight of a call (`GET order`) as the documents have it."""
    return OPEN_ORDERS_OF_ALL if call == "GET openOrders" and "symbol" not in params else WEIGHTS[call]


class Calls:
    """Calls for one account. Safe from several threads; the errors are those of AsterHttp.

    `clock` is told when the venue finds a timestamp or nonce out of time.
    """

    def __init__(
        self, http: AsterHttp, signer: Signer, generation: Generation = "v3", *, clock: VenueClock | None = None
    ) -> None:
        self._http = http
        self._signer = signer
        self._generation: Generation = generation
        self._clock = clock
        self._answered: dict[tuple[str, ...], str] = {}
        self.user = signer.user

    def urgent(self) -> Calls:
        """Return the same calls as closing, over connections of their own."""
        return Calls(self._http.urgent(), self._signer, self._generation, clock=self._clock)

    def ask(self, name: str, params: Params | None = None) -> Any:
        """Return what the venue answers to a question. Asked again after a passing fault, and once out of time."""
        for last in (False, True):
            try:
                return self._ask(name, params or {})
            except VenueRefused as refused:
                if not self._out_of_time(refused) or last:
                    raise
        raise AssertionError("the second returns or raises")  # pragma: no cover

    def ask_either(self, names: tuple[str, ...], params: Params) -> Any:
        """Ask by the first of the names that the venue knows, and remember it."""
        known = self._answered.get(names, names[0])
        missing: list[VenueDown | VenueRefused] = []
        for name in (known, *(one for one in names if one != known)):
            try:
                found = self.ask(name, params)
            except VenueRefused as refused:
                if refused.code not in NO_SUCH_PATH:
                    raise
                missing.append(refused)
            except (BadGateway, Unreadable) as fault:
                missing.append(fault)
            else:
                self._answered[names] = name
                return found
        raise missing[0]

    def send(self, method: str, name: str, params: Params, *, closing: bool = False) -> Any:
        """Send once and return the answer. `closing` may use the part of the budget that is kept for it."""
        call = f"{method} {name}"
        path, weight, purpose = path_of(name, self._generation), weight_of(call, params), _share(call, closing=closing)
        try:
            with _signed_by(self._signer) as signer:
                return self._http.send(method, path, params, signer=signer, weight=weight, purpose=purpose)
        except VenueRefused as refused:
            self._out_of_time(refused)
            raise

    def _ask(self, name: str, given: Params) -> Any:
        call = f"GET {name}"
        path, weight, purpose = path_of(name, self._generation), weight_of(call, given), _share(call, closing=False)
        with _signed_by(self._signer) as signer:
            return self._http.ask(path, given, signer=signer, weight=weight, purpose=purpose)

    def _out_of_time(self, refused: VenueRefused) -> bool:
        """Return whether a no is about the time of a request; then the clocks are compared before the next."""
        found = refused.code in OUT_OF_TIME
        if found and self._clock is not None:
            self._clock.doubt()
        return found


def _share(call: str, *, closing: bool) -> Purpose | None:
    """Return the share of the budget, None for that of the client."""
    return Purpose.CLOSING if closing or call in URGENT else None


class _Watched:
    """A signer that remembers whether it was needed: before that, nothing can have left."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer
        self.user = signer.user
        self.used = False

    def sign(self, method: str, params: Params) -> Signed:
        signed = self._signer.sign(method, params)
        self.used = True
        return signed


@contextmanager
def _signed_by(signer: Signer) -> Iterator[_Watched]:
    """Tell of a database that is gone as of a venue that cannot be asked: it keeps the budget and the nonces.

    A fault of our own stays what it is where nothing had left yet.
    """
    watched = _Watched(signer)
    try:
        yield watched
    except VibexError:
        raise
    except (DatabaseError, InterfaceError) as fault:
        text = f"AsterDEX was not asked to the end, because the database failed ({type(fault).__name__})."
        raise VenueDown(text, arrived=None if watched.used else False) from fault
    except Exception as fault:
        if not watched.used:
            raise
        raise broke_off(fault) from fault


def broke_off(fault: Exception) -> VenueDown:
    """Return what a fault of our own means after something has left: nobody knows what became of it."""
    log.error("Asking AsterDEX broke off inside of Vibex.", exc_info=fault)
    return VenueDown(f"Vibex itself failed while it asked AsterDEX ({type(fault).__name__}).")
