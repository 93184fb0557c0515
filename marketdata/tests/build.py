"""Candles made for tests."""

from __future__ import annotations

import gzip
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np

from marketdata.domain.builtin import recorded_spec
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.recording import FundingRecord, Recording
from marketdata.venues.csvfiles import read_table
from vibex.lib.clock import to_ms

START = datetime(2025, 3, 3, tzinfo=UTC)
"""A Monday at midnight: the first candle of every interval begins there."""
COLUMNS = ("open", "high", "low", "close", "volume")


def walk(
    count: int, interval: str = "1h", *, symbol: str = "BTCUSDT", start: datetime = START, seed: int = 7
) -> Candles:
    """Return possible candles of a random walk with one decimal. A longer walk begins as a shorter one."""
    draws = np.random.default_rng(seed).standard_normal((count, 4)).T
    close = np.round(50_000 * np.exp(np.cumsum(0.004 * draws[0])), 1)
    opened = np.concatenate(([50_000.0], close[:-1])) if count else close
    reach = np.abs(60 * draws[1:3])
    return Candles(
        symbol,
        interval,
        to_ms(start) + interval_ms(interval) * np.arange(count, dtype=np.int64),
        opened,
        np.round(np.maximum(opened, close) + reach[0], 1),
        np.round(np.minimum(opened, close) - reach[1], 1),
        close,
        np.round(np.abs(300 * draws[3]), 3),
    )


def recording(candles: Candles, *, mark: Candles | None = None, funding: FundingRecord | None = None) -> Recording:
    """Return a recording whose tick is 0.1."""
    spec = recorded_spec("recorded", candles.symbol, np.array([50_000.1]))
    assert spec.tick_size == Decimal("0.1")
    return Recording(spec, candles, mark, funding or FundingRecord())


def recorded_candles(file: Path) -> Candles:
    """Return the candles of a shared file."""
    table = read_table(file, ("ts_ms", *COLUMNS)).T.copy()
    symbol, _, interval = file.name.removesuffix(".csv.gz").rpartition("-")
    return Candles(symbol, interval, table[0].astype(np.int64), *table[1:])


def write_csv(file: Path, rows: Iterable[str], header: str = "ts_ms,open,high,low,close,volume") -> Path:
    """Write a gzipped file of recorded rows."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(gzip.compress("\n".join([header, *rows, ""]).encode()))
    return file


def rows_of(candles: Candles) -> list[str]:
    """Return the candles as lines of a recorded file."""
    columns = (candles.open_time.tolist(), *(getattr(candles, name).tolist() for name in COLUMNS))
    return [",".join(map(str, row)) for row in zip(*columns, strict=True)]


def same(left: Candles, right: Candles) -> bool:
    """Tell whether two series are equal to the last bit."""
    names = ("open_time", *COLUMNS)
    return left.interval == right.interval and all(
        np.array_equal(getattr(left, name), getattr(right, name)) for name in names
    )


__all__ = ["COLUMNS", "START", "recorded_candles", "recording", "rows_of", "same", "walk", "write_csv"]
