"""Our indicators against the bare TA-Lib calls that make the same values."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import talib

from benchmarks.report import Table, against
from benchmarks.timing import in_turns
from marketdata.domain.candles import Candles
from marketdata.domain.indicators import compute

LIMIT = 1.2
LENGTHS = {200: 400, 1_000: 200, 10_000: 40, 105_120: 5}
"""Candles, and how often a round repeats the call."""
ROUNDS = 31
HOUR_MS = 3_600_000


def measure() -> list[Table]:
    rows = tuple(_row(length, repeat) for length, repeat in LENGTHS.items())
    note = (
        f"The same fifteen outputs per call, the two sides in turns, processor time, median of {ROUNDS} rounds. "
        "Ours also looks whether an RSI of 0 means a fall or no movement."
    )
    return [Table("Indicators against bare TA-Lib", ("candles", "bare", "ours", "ratio", f"≤ {LIMIT}"), rows, (note,))]


def _row(length: int, repeat: int) -> tuple[str, ...]:
    candles = walk(length)
    calls: dict[str, Callable[[], Any]] = {"bare": partial(bare, candles), "ours": partial(compute, candles)}
    found = in_turns(calls, rounds=ROUNDS, repeat=repeat)
    ratio = found["ours"] / found["bare"]
    return (
        f"{length:,}",
        f"{found['bare'] * 1e6:,.0f} µs",
        f"{found['ours'] * 1e6:,.0f} µs",
        f"{ratio:.2f}",
        against(ratio, LIMIT),
    )


def walk(length: int, seed: int = 7) -> Candles:
    """Return `length` hourly candles of a random walk that could be a market's."""
    random = np.random.default_rng(seed)
    close = 50_000 * np.exp(np.cumsum(random.normal(0, 0.004, length)))
    opened = np.concatenate(([close[0]], close[:-1]))
    wick = 1 + np.abs(random.normal(0, 0.002, (2, length)))
    return Candles(
        "BTCUSDT",
        "1h",
        np.arange(length, dtype=np.int64) * HOUR_MS,
        opened,
        np.maximum(opened, close) * wick[0],
        np.minimum(opened, close) / wick[1],
        close,
        random.lognormal(6, 1, length),
    )


def bare(candles: Candles) -> list[Any]:
    """Return what TA-Lib makes of the candles, call by call."""
    high, low, close, volume = candles.high, candles.low, candles.close, candles.volume
    average = talib.SMA(volume, 20)
    return [
        talib.EMA(close, 20),
        talib.EMA(close, 50),
        *talib.MACD(close, 12, 26, 9),
        talib.RSI(close, 7),
        talib.RSI(close, 14),
        talib.ATR(high, low, close, 3),
        talib.ATR(high, low, close, 14),
        *talib.BBANDS(close, 20, 2.0, 2.0),
        talib.ADX(high, low, close, 14),
        average,
        talib.DIV(volume, average),
    ]
