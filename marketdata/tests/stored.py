"""A market in the tables, written for tests."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from marketdata.database_market import DatabaseMarket
from marketdata.domain.candles import Candles
from marketdata.domain.snapshot import Quote, SymbolView
from marketdata.models import Feed
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from marketdata.tests.build import START, recording, walk
from vibex.lib.clock import SimulatedClock

VENUE = "recorded"
COUNT = 100
HOUR = timedelta(hours=1)
NOW = START + COUNT * HOUR
"""When the last of COUNT hourly candles has just closed."""


def prices(at: datetime = NOW, symbol: str = "BTCUSDT", **changes: object) -> Quote:
    """Return a sound quote around the last close."""
    last = Decimal(str(walk(COUNT).close[-1]))
    values = {"last": last, "bid": last - 5, "ask": last + 5, "mark": last, "next_funding_at": NOW + 4 * HOUR}
    return Quote(symbol=symbol, at=at, **{**values, **changes})  # type: ignore[arg-type]


def venue_of(candles: Candles | None = None, quote: Quote | None = None, **feed: object) -> Feed:
    """Store a running recorded market of hourly candles."""
    candles = walk(COUNT) if candles is None else candles
    row = Feed.objects.create(
        venue=VENUE, market_at=NOW, wall_at=NOW, **{"kind": "recorded", "running": True, "interval": "1h", **feed}
    )
    instruments_upsert(specs=[recording(candles).spec])
    candles_upsert(venue=VENUE, candles=candles, closed=True)
    ticker_put(venue=VENUE, quotes=[quote or prices()])
    return row


def look(at: datetime = NOW, *, timeframes: tuple[str, ...] = ("1h", "4h"), speed: float = 1.0) -> SymbolView:
    """Return what a bot sees of BTCUSDT."""
    snapshot = DatabaseMarket(VENUE, SimulatedClock(at, speed)).snapshot(
        symbols=["BTCUSDT"], timeframes=timeframes, at=at
    )
    return snapshot.symbols["BTCUSDT"]
