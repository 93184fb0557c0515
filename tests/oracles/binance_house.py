"""Binance through ccxt against the test exchange with Binance's face: real requests, a market that goes where it is told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from accounts.domain.credentials import ApiKeys
from tests.oracles.environments import environment
from tests.oracles.exchange_process import RemoteExchange, exchange_in
from trading.exchange_server.accounts import TestAccount, Truth
from trading.exchange_server.auth import new_key
from trading.exchange_server.binance import binance_in_thread
from trading.exchange_server.build import simulated_markets
from trading.exchange_server.orders import Call, Private
from trading.exchange_server.server import Logged, Served
from trading.tests.aster_server_kit import _without_spread
from trading.tests.matching_kit import SPECS, START
from vibex.lib.clock import SimulatedClock

USER = "0x" + "ba" * 20
SYMBOL = "BTCUSDT"


@dataclass
class House:
    """A running exchange with one account, and a client of it in another process."""

    served: Served
    exchange: RemoteExchange
    clock: SimulatedClock
    sent: list[tuple[str, dict[str, str]]]
    """Every signed request as it came: `POST order`, and its parameters without those of the signature."""

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

    @property
    def log(self) -> list[Logged]:
        return list(self.served.server.log)


@contextmanager
def binance(
    python: Path, *, prepared: bool = True, made: dict[str, Any] | None = None, **account: Any
) -> Iterator[House]:
    """Run an exchange with an account of 10,000 USDT. `prepared` brings it into the modes that Vibex trades in."""
    key, clock = new_key(), SimulatedClock(START)
    markets = simulated_markets([SYMBOL, "SOLUSDT"], start=START, history_days=1)
    markets.clock.stand()
    _without_spread(markets)
    opened = TestAccount(USER, keys=(key,), **account)
    with (
        binance_in_thread(markets, accounts=[opened], pulse=3600, weight_limit=10**9) as served,
        exchange_in(
            python, environment(DJANGO_SETTINGS_MODULE="vibex.settings.testing"), clock=clock,
            **{
                "venue": "binance_usdm", "network": "mainnet", "keys": ApiKeys(key.key, key.secret),
                "specs": SPECS, "address": served.http, **(made or {}),
            },
        ) as remote,
    ):  # fmt: skip
        house = House(served, remote, clock, _recorded(served))
        house.trade_at("100")
        house.trade_at("100")  # the minute before this one had begun at a price of its own
        if prepared:
            remote.prepare({SYMBOL: 1, "SOLUSDT": 1})
        yield house


def _recorded(served: Served) -> list[tuple[str, dict[str, str]]]:
    sent: list[tuple[str, dict[str, str]]] = []

    def recording(name: str, endpoint: Private) -> Private:
        def answer(call: Call) -> Any:
            given = {key: value for key, value in call.given.items() if key not in ("timestamp", "recvWindow")}
            sent.append((name, given))
            return endpoint(call)

        return answer

    endpoints = served.server.signed.endpoints
    for (method, name), endpoint in list(endpoints.items()):
        endpoints[method, name] = recording(f"{method} {name}", endpoint)
    return sent
