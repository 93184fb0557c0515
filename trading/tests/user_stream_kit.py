"""A user stream against the test exchange: real listen keys, real signatures, a market that goes where the test wants."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2

from marketdata.aster.http import AsterHttp
from marketdata.aster.signing import HmacSigner, LocalNonces, Signer, V3Signer, microseconds
from marketdata.venues.public import Purpose
from trading.domain.venue_events import AccountChanged, Gap, OrderChanged, VenueEvent
from trading.exchange.aster.listen_key import ListenKeys
from trading.exchange.aster.user_connection import UserPace
from trading.exchange.aster.user_stream import AsterUserStream
from trading.exchange.user_stream import UserStream
from trading.tests.aster_kit import Purse
from trading.tests.signed_kit import Trader, exchange_with, newcomer

QUICK = UserPace(first_pause=0.01, longest_pause=0.1, overlap=0.05, hold=0.05)
SECONDS = 20.0


def signer_of(trader: Trader) -> Signer:
    """Return a signer of ours for a trader of the tests."""
    if trader.version == 3:
        return V3Signer(
            user=trader.user,
            signer=trader.agent.address,
            private_key=trader.agent.private_key,
            chain_id=trader.chain_id,
            nonces=LocalNonces(),
        )
    return HmacSigner(key=trader.key.key, secret=trader.key.secret, clock=lambda: microseconds() // 1_000)


def keys_of(trader: Trader, purse: Purse | None = None) -> ListenKeys:
    """Return a desk of listen keys for a trader. It keeps no connection, so that nobody has to close it."""
    http = AsterHttp(
        trader.exchange.http,
        purse or Purse(),
        Purpose.FEED,
        attempts=1,
        timeout=5.0,
        transport=httpx2.HTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0)),
    )
    return ListenKeys(http, signer_of(trader), generation="v3" if trader.version == 3 else "v1")


@dataclass
class Ear:
    """A stream and all that it has said."""

    stream: UserStream
    heard: list[VenueEvent] = field(default_factory=list)

    def until(self, done: Callable[[Ear], Any], seconds: float = SECONDS) -> Any:
        """Listen until `done` says something true, and return that."""
        ends = time.monotonic() + seconds
        while not (found := done(self)):
            assert time.monotonic() < ends, f"it was not told: {self.heard}"
            self.stream.wait(0.05)
            self.heard += self.stream.drain()
        return found

    def gaps(self) -> list[str]:
        return [event.reason for event in self.heard if isinstance(event, Gap)]

    def orders(self) -> list[tuple[str, str, str]]:
        return [
            (event.report.client_order_id, event.execution.value, event.report.status.value)
            for event in self.heard
            if isinstance(event, OrderChanged)
        ]

    def accounts(self) -> list[AccountChanged]:
        return [event for event in self.heard if isinstance(event, AccountChanged)]


@contextmanager
def listening(
    trader: Trader, *, pace: UserPace = QUICK, purse: Purse | None = None, kept: int = 10_000
) -> Iterator[Ear]:
    """Run a stream of a trader's account, connected."""
    stream = AsterUserStream(trader.exchange.ws, keys_of(trader, purse), pace=pace, kept=kept)
    ear = Ear(stream)
    stream.start()
    try:
        ear.until(lambda one: "connected" in one.gaps())
        yield ear
    finally:
        stream.stop()


@contextmanager
def stage(version: int = 3, **options: Any) -> Iterator[Trader]:
    """Run an exchange with an account, BTCUSDT at 50,000."""
    with exchange_with(**options) as exchange:
        yield newcomer(exchange, version)
