"""Signed calls to Binance USD-M by name, made and sent by ccxt: addresses, weights, shares of the budget, the clock.

ccxt's raw calls are used, never its unified ones: those cut quantities to the step in silence, turn numbers into floats,
and put several requests behind one name.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from accounts.domain.credentials import ApiKeys
from marketdata.aster.answers import Answer, read
from marketdata.aster.http import Budget
from marketdata.aster.values import whole
from marketdata.venues.public import Purpose, VenueRefused
from trading.exchange.through_ccxt.binance.codes import RESTRICTED
from trading.exchange.through_ccxt.binance.payloads import VENUE, said_by_binance
from trading.exchange.through_ccxt.client import CcxtClient, made, shared_budget
from vibex.lib.clock import from_ms

MAINNET: Final = "https://fapi.binance.com"
TESTNET: Final = "https://demo-fapi.binance.com"
"""Binance's demo trading, which took the place of its futures testnet."""
SECTIONS: Final = {
    "fapiPublic": "/fapi/v1",
    "fapiPrivate": "/fapi/v1",
    "fapiPrivateV2": "/fapi/v2",
    "fapiPrivateV3": "/fapi/v3",
}
LIMIT: Final = 2_400
"""Weight a minute."""
RECV_WINDOW: Final = 5_000
"""What arrives later than this many milliseconds after it was signed is refused."""
SURE: Final = timedelta(seconds=3)
IN_V3: Final = frozenset({"balance", "positionRisk"})
WEIGHTS: Final = {
    "GET accountConfig": 5,
    "GET algoOrder": 1,
    "GET allAlgoOrders": 5,
    "GET allOrders": 5,
    "GET balance": 5,
    "GET commissionRate": 20,
    "GET income": 30,
    "GET leverageBracket": 1,
    "GET openAlgoOrders": 1,
    "GET openOrders": 1,
    "GET order": 1,
    "GET positionRisk": 5,
    "GET symbolConfig": 5,
    "GET time": 1,
    "GET userTrades": 5,
}
"""By Binance's documents; what is sent weighs 1 at most. ccxt has less for some."""
OPEN_ORDERS_OF_ALL: Final = 40
URGENT: Final = frozenset({"order", "algoOrder"})
"""What became of an order, and its end, may take the part of the budget that is kept for closing."""
LATE: Final = frozenset({"-1021", "-5028"})
"""The time in the request is not that of the venue: nothing was done."""


class BinanceCalls:
    """Calls for one account. Safe from several threads; raises VenueRefused, VenueDown, VenueBusy."""

    def __init__(self, client: CcxtClient, clock: _TheirClock) -> None:
        self._client, self._clock = client, clock

    def urgent(self) -> BinanceCalls:
        """Return the same calls for what must not wait."""
        return BinanceCalls(self._client.urgent(), self._clock)

    def ask(self, name: str, params: Mapping[str, Any] | None = None) -> Any:
        """Return what Binance answers to a question. Where our clock is at fault it is set, and asked once more."""
        purpose = Purpose.CLOSING if name in URGENT else None
        try:
            return self._asked(name, params or {}, purpose)
        except VenueRefused as refused:
            if refused.code not in LATE:
                raise
        self.sync()
        return self._asked(name, params or {}, purpose)

    def send(self, method: str, name: str, params: Mapping[str, Any], *, closing: bool = False) -> Any:
        """Send once and return the answer. Where our clock is at fault it is set for the next one."""
        call = _method(method, name)
        closing = closing or (method == "DELETE" and name in URGENT)
        try:
            return self._client.send(
                _what(method, name, params), lambda ccxt: getattr(ccxt, call)(dict(params)), closing=closing
            )
        except VenueRefused as refused:
            if refused.code in LATE:
                self.sync()
            raise

    def sync(self) -> tuple[timedelta, timedelta]:
        """Set our clock by Binance's. Return by how much theirs is ahead, and how long the question took."""
        before, started = datetime.now(UTC), time.perf_counter()
        told = self._client.ask("GET time", lambda ccxt: ccxt.fapiPublicGetTime())
        took = timedelta(seconds=time.perf_counter() - started)
        with said_by_binance():
            theirs = from_ms(whole(told, "serverTime", "time", least=1))
        ahead = theirs - (before + took / 2)
        if took < SURE:  # what took longer says too little of the moment at which it was told
            self._clock.ahead_ms = round(ahead / timedelta(milliseconds=1))
        return ahead, took

    def _asked(self, name: str, params: Mapping[str, Any], purpose: Purpose | None) -> Any:
        call = _method("GET", name)
        return self._client.ask(
            _what("GET", name, params), lambda ccxt: getattr(ccxt, call)(dict(params)), purpose=purpose
        )


def calls_of(keys: ApiKeys, *, testnet: bool, address: str | None, budget: Budget | None) -> BinanceCalls:
    """Return the calls of an account. Raises Rejected with the remedy where ccxt is not installed."""
    base = (address or (TESTNET if testnet else MAINNET)).rstrip("/")
    clock = _TheirClock()

    def make() -> Any:
        exchange = made(
            "binanceusdm",
            keys={"apiKey": keys.key, "secret": keys.secret},
            urls={section: base + path for section, path in SECTIONS.items()},
            options={"recvWindow": RECV_WINDOW, "defaultSubType": "linear"},
        )
        exchange.nonce = clock.milliseconds
        return exchange

    purse = budget or shared_budget(base, limit=LIMIT)
    client = CcxtClient(make, venue=VENUE, judge=judge, budget=purse, weigh=weigh)
    client.begin()
    return BinanceCalls(client, clock)


def judge(answer: Answer, what: str) -> object:
    """Read an answer as AsterDEX's are read, whose words are Binance's."""
    if answer.status == int(RESTRICTED):
        text = f"{what}: Binance does not serve the country that this address is in."
        raise VenueRefused(text, code=RESTRICTED)
    with said_by_binance():
        return read(answer, what)


def weigh(method: str, path: str, params: Mapping[str, Any], _theirs: float) -> float:
    """Return the weight of a request by Binance's documents."""
    if path in ("openOrders", "openAlgoOrders") and "symbol" not in params:
        return OPEN_ORDERS_OF_ALL
    return WEIGHTS.get(f"{method} {path}", 1)


class _TheirClock:
    """Milliseconds as Binance counts them."""

    def __init__(self) -> None:
        self.ahead_ms = 0

    def milliseconds(self) -> int:
        return time.time_ns() // 1_000_000 + self.ahead_ms


def _method(method: str, name: str) -> str:
    """Return what ccxt calls a request: `fapiPrivateGetPositionSideDual`."""
    words = "".join(part[0].upper() + part[1:] for part in name.split("/"))
    return f"fapiPrivate{'V3' if name in IN_V3 else ''}{method.title()}{words}"


def _what(method: str, name: str, params: Mapping[str, Any]) -> str:
    symbol = params.get("symbol")
    return f"{method} {name}" + (f" of {symbol}" if symbol else "")
