"""The adapter against the test exchange: real requests, real signatures, a market that goes where the test wants it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from importlib import import_module
from pathlib import Path
from typing import Any

from marketdata.aster.clock import VenueClock
from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner, LocalNonces, Signer, V3Signer, microseconds
from marketdata.venues.public import Purpose
from trading.exchange.aster.adapter import AsterExchange
from trading.exchange.aster.connector import Transport, wire_for
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import MAINNET, Agent, ApiKey, new_agent, new_key
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.markets import Markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.tests.aster_kit import Purse, specs
from trading.tests.matching_kit import START
from vibex.lib.clock import SimulatedClock

STAND_IN = Path(__file__).parent / "connector_stand_in"
USER = "0x" + "cd" * 20
SYMBOL = "BTCUSDT"


@dataclass
class House:
    """A running exchange with one account, and a client of it."""

    served: Served
    exchange: AsterExchange
    clock: SimulatedClock
    purse: Purse
    generation: str
    agent: Agent
    key: ApiKey

    def another(self, http: AsterHttp, venue_clock: VenueClock | None = None) -> AsterExchange:
        """Return another client of the account."""
        return _exchange(http, self.generation, self.agent, self.key, self.clock, venue_clock)

    def drive(self, price: str, at: datetime) -> None:
        """Let the market's clock be `at`, and the price `price`."""
        self.served.control.clock(at=at.isoformat())
        self.served.control.set_price(SYMBOL, last=float(price), mark=float(price))

    def trade_at(self, price: str) -> None:
        self.clock.move_to(self.clock.at + timedelta(minutes=1))
        self.drive(price, self.clock.at)

    def fault(self, kind: str, **more: Any) -> None:
        """Let the next request fail in this way."""
        self.served.control.fault(kind, **{"count": 1, **more})

    @property
    def truth(self) -> Truth:
        return self.served.control.account(USER)


@contextmanager
def the_connector() -> Iterator[Any]:
    """Have something installed that does what aster-connector-python does, and yield its module."""
    sys.path.insert(0, str(STAND_IN))
    try:
        yield import_module("aster.rest_api")
    finally:
        sys.path.remove(str(STAND_IN))
        for name in ("aster.rest_api", "aster"):
            sys.modules.pop(name, None)


@contextmanager
def aster(
    generation: str = "v3", *, prepared: bool = True, timeout: float = 5.0, transport: Transport = "own", **account: Any
) -> Iterator[House]:
    """Run an exchange with an account of 10,000 USDT. `prepared` brings it into the modes that Vibex trades in."""
    agent, key, clock = new_agent(), new_key(), SimulatedClock(START)
    markets = simulated_markets([SYMBOL, "SOLUSDT"], start=START, history_days=1)
    markets.clock.stand()
    _without_spread(markets)
    opened = TestAccount(USER, agents=(agent.address,), keys=(key,), **account)
    with serve_in_thread(markets, accounts=[opened], pulse=3600, weight_limit=10**9) as served:
        purse = Purse()
        wire = wire_for(transport, served.http, key=key.key, secret=key.secret)
        with AsterHttp(served.http, purse, Purpose.FEED, attempts=1, timeout=timeout, wire=wire) as http:
            made = _exchange(http, generation, agent, key, clock)
            house = House(served, made, clock, purse, generation, agent, key)
            house.trade_at("100")
            house.trade_at("100")  # the minute before this one had begun at a price of its own
            if prepared:
                made.prepare({SYMBOL: 1, "SOLUSDT": 1})
            yield house


def _exchange(
    http: AsterHttp, generation: str, agent: Agent, key: ApiKey, clock: SimulatedClock, theirs: VenueClock | None = None
) -> AsterExchange:
    return AsterExchange(
        http,
        _signer(generation, agent, key, theirs),
        generation=generation,  # type: ignore[arg-type]
        specs=specs,
        clock=clock,
        venue_clock=theirs,
    )


def _signer(generation: str, agent: Agent, key: ApiKey, theirs: VenueClock | None) -> Signer:
    """Return what signs by the venue's clock where it is measured, else by ours."""
    if generation == "v1":
        stamp = theirs.milliseconds if theirs else lambda: microseconds() // 1_000
        return HmacSigner(key=key.key, secret=key.secret, clock=stamp)
    nonces = LocalNonces((lambda: theirs.milliseconds() * 1_000) if theirs else None)
    return V3Signer(user=USER, signer=agent.address, private_key=agent.private_key, chain_id=MAINNET, nonces=nonces)


def _without_spread(markets: Markets) -> None:
    """Let bid and ask be the last price, so that the prices of a test are those that it is filled at."""
    told = markets.prices

    def prices(symbol: str, at_ms: int) -> Any:
        found = told(symbol, at_ms)
        last = None if found is None else Decimal(str(found.last))
        return found and replace(found, bid=last, ask=last)

    markets.prices = prices  # type: ignore[method-assign]
