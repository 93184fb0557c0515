"""What the market looked like at one moment. The only view of the market that a decider gets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from vibex.lib.records import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@record()
class Quote:
    """Prices of one symbol at `at`, in quote units. `bid` < `ask`; `mark` is what triggers stops."""

    symbol: str
    at: datetime
    last: Decimal
    bid: Decimal
    ask: Decimal
    mark: Decimal
    funding_rate: Decimal | None = None
    """Rate of the next settlement as a fraction: 0.0001 is one basis point."""
    next_funding_at: datetime | None = None
    open_interest: Decimal | None = None
    mark_at: datetime | None = None
    """When the venue last said what the mark is; None where it is as old as the other prices. So for the next two."""
    funding_at: datetime | None = None
    open_interest_at: datetime | None = None
    changed_at: datetime | None = None
    """When bid or ask last moved; None where nobody watches that. `at` is when the venue last confirmed them."""


@dataclass(frozen=True, slots=True)
class Depth:
    """The order book of one symbol at `at`, best price first: (price, quantity) in quote units and base asset."""

    symbol: str
    at: datetime
    bids: tuple[tuple[Decimal, Decimal], ...]
    asks: tuple[tuple[Decimal, Decimal], ...]


@record()
class Timeframe:
    """Closed candles of one interval, oldest first, and the indicators over them.

    Every array of `indicators` has the length of `candles`; a value that cannot be known yet is NaN.
    `age` runs from the close of the last candle to the moment of the snapshot.
    """

    interval: str
    candles: Candles
    indicators: Mapping[str, NDArray[np.float64]]
    age: timedelta


@record()
class SymbolView:
    """One symbol of a snapshot. With a `problem` nothing may be opened on it, and the text says why."""

    symbol: str
    instrument: InstrumentSpec
    quote: Quote
    timeframes: Mapping[str, Timeframe]
    ages: Mapping[str, timedelta] = field(default_factory=dict)
    """Age of every input by name: "quote", "1h", "4h", "funding", …"""
    problem: str | None = None
    digest: str = ""
    """Hash of what is known of the symbol, whenever it is looked at: its stored `Snapshot` is found by it."""
    reason: Mapping[str, Any] = field(default_factory=dict)
    """Of the problem: its "code" and the numbers behind it."""
    depth: Depth | None = None
    """The book at the moment an entry is ruled; None where the market has none, or nobody looked."""


@record()
class MarketSnapshot:
    """All symbols of a bot at the moment `at` (market time)."""

    venue: str
    at: datetime
    symbols: Mapping[str, SymbolView]
    digest: str = ""
    """Hash of everything in it, so that two cycles can be shown to have seen the same market."""
