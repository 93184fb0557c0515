"""The port to a venue's public data, and the ways in which a venue fails.

One class per venue answers it (`aster/public.py`, `venues/through_ccxt.py`); all pass `tests/test_venue_compliance.py`.
Calls block, are safe from several threads, and try again by themselves where that can help, within their deadline.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Protocol

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, Quote
from marketdata.domain.ticks import Tick
from marketdata.market import FundingSettlement
from vibex.lib.clock import Deadline
from vibex.lib.errors import Rejected, Retryable


class Purpose(Enum):
    """What a request is for: the share of the venue's weight a minute that may be used up by it and all above it.

    What is left is kept for what must not wait: the last 30 % are for closing positions.
    """

    BACKFILL = 0.5
    FEED = 0.7
    CLOSING = 1.0


class VenueDown(Retryable):
    """The venue does not answer, or not with an answer. Nothing is known of what it holds.

    `arrived` is False where the request certainly never left, None where nobody knows whether the venue got it.
    """

    def __init__(self, message: str, *, arrived: bool | None = None) -> None:
        super().__init__(message)
        self.arrived = arrived


class VenueBusy(Retryable):
    """The venue, or our own budget, allows no request before `until` (wall time).

    `arrived` is False where nothing was done: we did not ask, or the venue itself turned the request away. It is None
    where something in front of the venue did: what that had passed on before is not known.
    """

    def __init__(self, message: str, *, until: datetime, arrived: bool | None = False) -> None:
        super().__init__(message)
        self.until = until
        self.arrived = arrived


class VenueRefused(Rejected):
    """The venue answered that this request is wrong. `code` is its own number as text."""


@dataclass(frozen=True, slots=True)
class Interest:
    """Open contracts of a symbol in the base asset, and when the venue counted them."""

    symbol: str
    value: Decimal
    at: datetime


class PublicVenue(Protocol):
    """What everybody may ask a venue. Moments are the venue's own clock."""

    venue: str
    source: str
    """Address that it is asked at. Prices of two addresses never mix in one installation."""
    page: int
    """Most candles of one answer."""

    def server_time(self) -> datetime:
        """Return the venue's clock."""
        ...

    def instruments(self) -> list[InstrumentSpec]:
        """Return the rules of every perpetual contract, whatever its status and asset class, sorted by symbol."""
        ...

    def candles(self, symbol: str, interval: str, *, since_ms: int, until_ms: int) -> Candles:
        """Return candles that open in [since_ms, until_ms), oldest first, at most `page`: the earliest ones.

        The last may be forming; impossible ones are returned as they are. Raises VenueRefused for a symbol or an
        interval that the venue does not have.
        """
        ...

    def quotes(self, symbols: Sequence[str]) -> list[Quote]:
        """Return prices, mark and expected funding of those symbols that the venue has prices of.

        `at` is when the venue confirmed bid and ask, `changed_at` when it says that they last moved. Without interest.
        """
        ...

    def depth(self, symbol: str, *, deadline: Deadline) -> Depth:
        """Return the order book as it is said, best price first: at least as far as entries may slip, as a rule.

        A side without orders is empty. Raises VenueRefused for a symbol that the venue does not have.
        """
        ...

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        """Return the settlements in (since, until], oldest first, however many; times on the full second."""
        ...

    def open_interest(self, symbol: str) -> Interest | None:
        """Return the open interest, None where the venue does not tell it."""
        ...


class PriceStream(Protocol):
    """Prices as they happen, gathered by threads of its own between `start` and `stop`."""

    def start(self) -> None:
        """Begin to connect. Returns at once; a second call does nothing."""
        ...

    def stop(self) -> None:
        """Close the connections and wait for the threads, some seconds at most."""
        ...

    def follow(self, symbols: Iterable[str]) -> None:
        """Take in these symbols and no others from now on."""
        ...

    def drain(self) -> list[Tick]:
        """Return what has come since the last call, in the order of arrival, duplicates included."""
        ...

    def gaps(self) -> int:
        """Return how often something may have been missed: it grows with every connection made and every overflow."""
        ...

    def heard_at(self) -> datetime | None:
        """Return when (wall time) the last message came over any connection; None before the first."""
        ...
