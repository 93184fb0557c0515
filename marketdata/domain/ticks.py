"""What a venue's stream says, in the words of Vibex: plain values, whatever the wire looked like."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class CandleTick:
    """A candle as far as the venue has seen it at `event_ms`. A closed one is final. Times are UTC milliseconds."""

    symbol: str
    interval: str
    open_time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    closed: bool
    event_ms: int
    last: Decimal
    """The close exactly as the venue wrote it."""


@dataclass(frozen=True, slots=True)
class BookTick:
    """The best bid and ask."""

    symbol: str
    bid: Decimal
    ask: Decimal
    event_ms: int


@dataclass(frozen=True, slots=True)
class MarkTick:
    """Mark price with the rate that the next settlement is expected to have."""

    symbol: str
    mark: Decimal
    funding_rate: Decimal | None
    next_funding_at: datetime | None
    event_ms: int


type Tick = CandleTick | BookTick | MarkTick
