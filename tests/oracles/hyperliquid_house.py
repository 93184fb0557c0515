"""Hyperliquid through ccxt against the loopback one: real requests and signatures, a market that goes where it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from accounts.domain.credentials import WalletKeys
from marketdata.domain.instruments import InstrumentSpec
from tests.oracles.environments import environment
from tests.oracles.exchange_process import RemoteExchange, exchange_in
from tests.oracles.hyperliquid_accounts import Account, Opened, Row
from tests.oracles.hyperliquid_exchange import HyperliquidExchange, hyperliquid_exchange_in_thread
from tests.oracles.hyperliquid_signatures import MAINNET, Wallet, new_wallet
from trading.tests.matching_kit import BTC, SOL, START
from vibex.lib.clock import SimulatedClock

SYMBOL = "BTCUSDC"
QUOTE, OTHER_QUOTE = "USDC", "USDT"
SPECS: dict[str, InstrumentSpec] = {
    spec.symbol.replace(OTHER_QUOTE, QUOTE): replace(
        spec, symbol=spec.symbol.replace(OTHER_QUOTE, QUOTE), venue="hyperliquid", quote=QUOTE, margin_asset=QUOTE,
        tick_size=Decimal("0.01"), min_notional=Decimal(10),
    )
    for spec in (BTC, SOL)
}  # fmt: skip
FEES = (BTC.maker_fee, BTC.taker_fee)


@dataclass
class House:
    """A running exchange with one account, and a client of it in another process."""

    venue: HyperliquidExchange
    exchange: RemoteExchange
    clock: SimulatedClock
    wallet: Wallet
    agent: Wallet

    def drive(self, price: str, at: datetime) -> None:
        """Let the market's clock be `at`, and the price `price`."""
        self.venue.drive("BTC", price, at)

    def trade_at(self, price: str) -> None:
        self.clock.move_to(self.clock.at + timedelta(minutes=1))
        self.drive(price, self.clock.at)

    @property
    def truth(self) -> Account:
        return self.venue.account(self.wallet.address)

    def sent(self, kind: str = "order") -> list[Row]:
        """Return the actions of a kind that the venue has taken."""
        return [action for action in self.venue.actions if action["type"] == kind]


@contextmanager
def hyperliquid(
    python: Path, *, prepared: bool = True, source: str = MAINNET, made: dict[str, Any] | None = None, **account: Any
) -> Iterator[House]:
    """Run an exchange with an account of 10,000 USDC, for which an API wallet signs."""
    wallet, agent, clock = new_wallet(), new_wallet(), SimulatedClock(START)
    opened = Opened(wallet.address, **{"agents": (agent.address,), "fees": FEES, **account})
    with (
        hyperliquid_exchange_in_thread(opened, at=START, source=source) as venue,
        exchange_in(
            python, environment(DJANGO_SETTINGS_MODULE="vibex.settings.testing"), clock=clock,
            **{
                "venue": "hyperliquid", "network": "mainnet", "keys": WalletKeys(wallet.address, agent.private_key),
                "specs": SPECS, "address": venue.address, **(made or {}),
            },
        ) as remote,
    ):  # fmt: skip
        house = House(venue, remote, clock, wallet, agent)
        house.trade_at("100")
        if prepared:
            remote.prepare({SYMBOL: 1, "SOLUSDC": 1})
        yield house


class Quoted:
    """The same exchange with its contracts under other names: BTCUSDC is traded as BTCUSDT.

    The suite of all exchanges speaks of BTCUSDT; this one has its contracts in USDC. Nothing else is touched.
    """

    def __init__(self, exchange: RemoteExchange) -> None:
        self._exchange = exchange

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._exchange, name)
        return self._renamed(value) if callable(value) else value

    def _renamed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def renamed(*args: Any, **named: Any) -> Any:
            there = [_with_quote(value, OTHER_QUOTE, QUOTE) for value in args]
            named = {name: _with_quote(value, OTHER_QUOTE, QUOTE) for name, value in named.items()}
            return _with_quote(call(*there, **named), QUOTE, OTHER_QUOTE)

        return renamed


def _with_quote(value: Any, one: str, other: str) -> Any:
    """Return plain data with the quote asset of every symbol in it changed."""
    if isinstance(value, str):
        return f"{value.removesuffix(one)}{other}" if value.endswith(one) else value
    if isinstance(value, list | tuple):
        return type(value)(_with_quote(part, one, other) for part in value)
    if hasattr(value, "__dataclass_fields__"):
        return replace(
            value, **{part.name: _with_quote(getattr(value, part.name), one, other) for part in fields(value)}
        )
    return value
