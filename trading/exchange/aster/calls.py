"""Signed calls to AsterDEX by name: path, weight and share of the budget for both generations of its API.

The two speak alike. They differ in how a request is signed, and in the paths that stand here (research: aster.md 1.1).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal

from django.db import DatabaseError, InterfaceError

from marketdata.aster.http import AsterHttp, Params
from marketdata.aster.signing import Signed, Signer
from marketdata.venues.public import Purpose, VenueDown
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


def path_of(name: str, generation: Generation) -> str:
    """Return the path of a call."""
    return ELSEWHERE[generation].get(name, BASE[generation] + name)


def weight_of(call: str, params: Params) -> int:
    """Return the weight of a call (`GET order`) as the documents have it."""
    return OPEN_ORDERS_OF_ALL if call == "GET openOrders" and "symbol" not in params else WEIGHTS[call]


class Calls:
    """Calls for one account. Safe from several threads; the errors are those of AsterHttp."""

    def __init__(self, http: AsterHttp, signer: Signer, generation: Generation = "v3") -> None:
        self._http = http
        self._signer = signer
        self._generation: Generation = generation
        self.user = signer.user

    def ask(self, name: str, params: Params | None = None) -> Any:
        """Return what the venue answers to a question. Asked again after a passing fault."""
        call, given = f"GET {name}", params or {}
        path, weight, purpose = path_of(name, self._generation), weight_of(call, given), _share(call, closing=False)
        with _signed_by(self._signer) as signer:
            return self._http.ask(path, given, signer=signer, weight=weight, purpose=purpose)

    def send(self, method: str, name: str, params: Params, *, closing: bool = False) -> Any:
        """Send once and return the answer. `closing` may use the part of the budget that is kept for it."""
        call = f"{method} {name}"
        path, weight, purpose = path_of(name, self._generation), weight_of(call, params), _share(call, closing=closing)
        with _signed_by(self._signer) as signer:
            return self._http.send(method, path, params, signer=signer, weight=weight, purpose=purpose)


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
