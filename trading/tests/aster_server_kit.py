"""The adapter against the test exchange: real requests, real signatures, a market that goes where the test wants it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner, LocalNonces, Signer, V3Signer, microseconds
from marketdata.venues.public import Purpose
from trading.exchange.aster.adapter import AsterExchange
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import MAINNET, Agent, ApiKey, new_agent, new_key
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.markets import Markets
from trading.exchange_server.server import Served, serve_in_thread
from trading.tests.aster_kit import Purse, specs
from trading.tests.matching_kit import START
from vibex.lib.clock import SimulatedClock

USER = "0x" + "cd" * 20
SYMBOL = "BTCUSDT"


@dataclass
class House:
    """A running exchange with one account, and a client of it."""

    served: Served
    exchange: AsterExchange
    clock: SimulatedClock
    purse: Purse

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
def aster(generation: str = "v3", *, prepared: bool = True, timeout: float = 5.0, **account: Any) -> Iterator[House]:
    """Run an exchange with an account of 10,000 USDT. `prepared` brings it into the modes that Vibex trades in."""
    agent, key, clock = new_agent(), new_key(), SimulatedClock(START)
    markets = simulated_markets([SYMBOL, "SOLUSDT"], start=START, history_days=1)
    markets.clock.stand()
    _without_spread(markets)
    opened = TestAccount(USER, agents=(agent.address,), keys=(key,), **account)
    with serve_in_thread(markets, accounts=[opened], pulse=3600, weight_limit=10**9) as served:
        purse = Purse()
        with AsterHttp(served.http, purse, Purpose.FEED, attempts=1, timeout=timeout) as http:
            made = AsterExchange(
                http,
                _signer(generation, agent, key),
                generation=generation,  # type: ignore[arg-type]
                specs=specs,
                clock=clock,
            )
            house = House(served, made, clock, purse)
            house.trade_at("100")
            house.trade_at("100")  # the minute before this one had begun at a price of its own
            if prepared:
                made.prepare({SYMBOL: 1, "SOLUSDT": 1})
            yield house


def _signer(generation: str, agent: Agent, key: ApiKey) -> Signer:
    if generation == "v3":
        return V3Signer(
            user=USER, signer=agent.address, private_key=agent.private_key, chain_id=MAINNET, nonces=LocalNonces()
        )
    return HmacSigner(key=key.key, secret=key.secret, clock=lambda: microseconds() // 1_000)


def _without_spread(markets: Markets) -> None:
    """Let bid and ask be the last price, so that the prices of a test are those that it is filled at."""
    told = markets.prices

    def prices(symbol: str, at_ms: int) -> Any:
        found = told(symbol, at_ms)
        last = None if found is None else Decimal(str(found.last))
        return found and replace(found, bid=last, ask=last)

    markets.prices = prices  # type: ignore[method-assign]
