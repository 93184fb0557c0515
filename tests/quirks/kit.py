"""Recorded files as the code meets them, and a market made of them in the tables."""

from __future__ import annotations

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from marketdata.database_market import DatabaseMarket
from marketdata.domain.builtin import recorded_spec
from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.pricing import decimal_of, touch
from marketdata.domain.snapshot import Quote, SymbolView
from marketdata.models import Feed
from marketdata.services import candles_upsert, instruments_upsert, ticker_put
from marketdata.tests.build import COLUMNS, recorded_candles
from vibex.lib.clock import SimulatedClock, from_ms, to_ms

VENUE = "recorded"
ASTER = "candles/aster_2025"
BINANCE = "candles/binance_um_2025_1h"


def utc(text: str) -> datetime:
    """Return a moment that is written as 2025-10-10 21:00."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def opens(candles: Candles) -> list[str]:
    """Return the open times as text."""
    return [f"{from_ms(int(ms)):%F %H:%M}" for ms in candles.open_time]


def series(folder: Path, name: str) -> Candles:
    """Return the candles of a file like BTCUSDT-1h."""
    return recorded_candles(folder / f"{name}.csv.gz")


def payload(file: Path) -> Any:
    """Return a recorded answer of a venue."""
    if file.suffix == ".gz":
        return json.loads(gzip.decompress(file.read_bytes()))
    return json.loads(file.read_text())


def live(shared_data: Path, name: str) -> Any:
    """Return an answer that was recorded at AsterDEX itself."""
    return payload(shared_data / f"exchange/aster/live/{name}.json")


def klines(candles: Candles) -> list[list[object]]:
    """Return candles as the rows of twelve that AsterDEX answers: prices as text."""
    columns = (candles.open_time.tolist(), *(getattr(candles, name).tolist() for name in COLUMNS))
    return [[at, *map(str, values), at + 1, "0", 0, "0", "0", "0"] for at, *values in zip(*columns, strict=True)]


def picked(candles: Candles, keep: np.ndarray) -> Candles:
    """Return the candles where `keep` is true."""
    columns = [getattr(candles, name)[keep] for name in ("open_time", *COLUMNS)]
    return Candles(candles.symbol, candles.interval, *columns)


def spec_of(candles: Candles) -> InstrumentSpec:
    prices = np.concatenate((candles.open, candles.high, candles.low, candles.close))
    return recorded_spec(VENUE, candles.symbol, prices)


def quote_at(candles: Candles, at: datetime, **changes: Any) -> Quote:
    """Return prices around the last close at that moment."""
    spec, closed = spec_of(candles), candles.closed_before(to_ms(at))
    last = decimal_of(closed.close[-1])
    bid, ask = touch(spec, last)
    return Quote(candles.symbol, at, **{"last": last, "bid": bid, "ask": ask, "mark": last, **changes})


def store(candles: Candles, at: datetime, **changes: Any) -> None:
    """Store what had closed at that moment, with prices around the last close, as a feed does."""
    defaults = {"kind": "recorded", "interval": candles.interval, "market_at": at, "wall_at": at}
    Feed.objects.update_or_create(venue=VENUE, defaults=defaults)
    instruments_upsert(specs=[spec_of(candles)])
    candles_upsert(venue=VENUE, candles=candles.closed_before(to_ms(at)), closed=True)
    ticker_put(venue=VENUE, quotes=[quote_at(candles, at, **changes)])


def look(symbol: str, at: datetime, *timeframes: str) -> SymbolView:
    """Return what a bot is shown of a symbol out of the tables."""
    market = DatabaseMarket(VENUE, SimulatedClock(at))
    return market.snapshot(symbols=[symbol], timeframes=timeframes, at=at).symbols[symbol]
