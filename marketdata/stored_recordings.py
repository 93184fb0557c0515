"""Stored candles as recordings: what a backtest is run over where there is no folder of files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from marketdata.domain.candles import Candles
from marketdata.domain.frames import LOOKBACK
from marketdata.domain.intervals import interval_ms
from marketdata.domain.recording import FundingRecord, Recording
from marketdata.models import Candle, FundingRate
from marketdata.selectors import feed_of, instrument_specs
from marketdata.stored import ROW, candles_of
from vibex.lib.clock import to_ms
from vibex.lib.errors import Rejected

MOST_CANDLES: Final = 2_000_000
"""Base candles of one reading: some hundred megabytes."""


def stored_recordings(
    venue: str, symbols: Sequence[str], *, start: datetime, end: datetime, timeframes: Sequence[str]
) -> list[Recording]:
    """Return what is stored of `symbols` for a test over [start, end), with the candles before it that indicators need.

    Raises Rejected for a market or symbol that there is not, one without candles of that time, and for too much at once.
    """
    base, specs = feed_of(venue).interval, instrument_specs(venue)
    if unknown := [symbol for symbol in symbols if symbol not in specs]:
        there = ", ".join(sorted(specs)) or "none"
        raise Rejected(f"{', '.join(unknown)}: not known at {venue}. There is {there}.", code="symbol")
    first = start - LOOKBACK * timedelta(milliseconds=max(map(interval_ms, (base, *timeframes))))
    if len(symbols) * ((end - first) // timedelta(milliseconds=interval_ms(base))) > MOST_CANDLES:
        text = f"That is more than {MOST_CANDLES:,} candles of {base}: choose a shorter time or fewer symbols."
        raise Rejected(text, code="too-much")
    return [
        Recording(specs[name], _candles(venue, name, base, first, end), funding=_funding(venue, name, first, end))
        for name in symbols
    ]


def _candles(venue: str, symbol: str, base: str, first: datetime, end: datetime) -> Candles:
    rows = Candle.objects.filter(
        venue=venue, symbol=symbol, interval=base, open_time__gte=first, open_time__lt=end, closed=True
    )
    found = candles_of(symbol, base, rows.order_by("open_time").values_list(*ROW))
    if not len(found):
        raise Rejected(f"No candle of {symbol} is stored for that time: `manage.py backfill` fetches them.", code="gap")
    return found


def _funding(venue: str, symbol: str, first: datetime, end: datetime) -> FundingRecord:
    rows = FundingRate.objects.filter(venue=venue, symbol=symbol, at__gte=first, at__lt=end, settled=True)
    table = list(rows.order_by("at").values_list("at", "rate", "mark"))
    return FundingRecord(
        np.array([to_ms(at) // 1000 * 1000 for at, _, _ in table], dtype=np.int64),
        np.array([float(rate) for _, rate, _ in table], dtype=np.float64),
        np.array([np.nan if mark is None else float(mark) for _, _, mark in table], dtype=np.float64),
    )
