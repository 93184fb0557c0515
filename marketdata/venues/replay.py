"""Recorded candles as the source of a feed: a replay reveals them one after the other, each along its path."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Final

import numpy as np

from marketdata.domain.candles import Candles, floor_to, interval_ms
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.path import seen_until
from marketdata.domain.pricing import decimal_of
from marketdata.domain.recording import Recording
from marketdata.market import FundingSettlement
from marketdata.venues.recorded import read_folder
from vibex.lib.clock import from_ms

WARM_UP_MS: Final = 60 * interval_ms("4h")
"""A replay begins after so much of the recording, where it is long enough: every indicator has a value then."""
HOUR_MS: Final = 3_600_000


class RecordedSource:
    """The candles of a recorded folder. Raises Rejected for a folder that cannot be read whole."""

    def __init__(self, venue: str, folder: Path, symbols: Sequence[str] | None = None) -> None:
        read = read_folder(folder, symbols, venue=venue)
        self.interval = read.interval
        self.quarantined = read.quarantined
        self.recordings: Mapping[str, Recording] = read.recordings
        self.specs: Mapping[str, InstrumentSpec] = {
            symbol: recording.spec for symbol, recording in read.recordings.items()
        }
        self._step = interval_ms(read.interval)
        self.begins_at = max(int(one.candles.open_time[0]) for one in self.recordings.values())
        self._end = min(int(one.candles.open_time[-1]) for one in self.recordings.values()) + self._step
        self.ends_at: int | None = self._end

    def earliest_start(self) -> int:
        """Return when a replay sensibly begins: after the warm-up, or in the middle of a short recording."""
        middle = self.begins_at + (self._end - self.begins_at) // 2
        return floor_to(min(self.begins_at + WARM_UP_MS, middle), self.interval)

    def history_from(self, symbol: str, now_ms: int) -> int:
        return int(self.recordings[symbol].candles.open_time[0])

    def whole(self, symbol: str, *, start_ms: int, stop_ms: int, previous_close: float | None) -> Candles:
        candles = self.recordings[symbol].candles
        first, last = np.searchsorted(candles.open_time, (start_ms, stop_ms - self._step + 1))
        return candles.slice(int(first), max(int(first), int(last)))

    def forming(self, symbol: str, *, now_ms: int, previous_close: float | None) -> Candles:
        return self._now(self.recordings[symbol].candles, symbol, now_ms)

    def mark(self, symbol: str, *, now_ms: int) -> float | None:
        recorded = self.recordings[symbol].mark
        if recorded is None:
            return None
        now = self._now(recorded, symbol, now_ms)
        price = float(now.close[-1]) if len(now) else self._last_mark(recorded, now_ms)
        return price if np.isfinite(price) else None

    def funding(self, symbol: str, *, since_ms: int, until_ms: int) -> list[FundingSettlement]:
        record = self.recordings[symbol].funding
        first, last = np.searchsorted(record.at, (since_ms, until_ms), side="right")
        return [
            FundingSettlement(
                from_ms(int(record.at[index])),
                decimal_of(record.rate[index]),
                decimal_of(record.mark[index]) if np.isfinite(record.mark[index]) else None,
            )
            for index in range(int(first), int(last))
        ]

    def next_funding(self, symbol: str, *, now_ms: int) -> tuple[Decimal, int] | None:
        """Return the last settled rate: what the next one will be is not known before it settles."""
        record = self.recordings[symbol].funding
        settled = bisect_right(record.at, now_ms)
        if not settled:
            return None
        period = self.specs[symbol].funding_interval_hours * HOUR_MS
        return decimal_of(record.rate[settled - 1]), record.due_after(settled, period)

    def _now(self, candles: Candles, symbol: str, now_ms: int) -> Candles:
        """Return the candle that holds the moment as far as it has happened, or none in a hole of the recording."""
        start = floor_to(now_ms, self.interval)
        first, last = np.searchsorted(candles.open_time, (start, start + 1))
        return seen_until(candles.slice(int(first), int(last)), now_ms, tick=float(self.specs[symbol].tick_size))

    def _last_mark(self, recorded: Candles, now_ms: int) -> float:
        closed = recorded.closed_before(now_ms)
        return float(closed.close[-1]) if len(closed) else float("nan")
