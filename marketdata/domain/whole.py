"""Indicators at every moment of a series of decisions: what rules look at that say in advance when they could act."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.frames import Frame

PRICES = ("open", "high", "low", "close", "volume")


class WholeMarket:
    """Frames seen from n moments, UTC ms, oldest first. Nothing that closes after a moment is in its value."""

    def __init__(self, frame: Callable[[str, str], Frame], moments: NDArray[np.int64]) -> None:
        self._frame, self._moments = frame, moments
        self._closed: dict[tuple[str, str], NDArray[np.int64]] = {}

    def values(self, symbol: str, interval: str, indicator: str, *, back: int = 1) -> NDArray[np.float64]:
        """Return for each moment the indicator, or price, of the newest closed candle, or of one `back` − 1 before it.

        An array of n; NaN where there is no such candle or value. Raises KeyError for a name that is no indicator.
        """
        frame = self._frame(symbol, interval)
        series = getattr(frame.candles, indicator) if indicator in PRICES else frame.indicators[indicator]
        places = self._newest(symbol, interval, frame) - (back - 1)
        known = np.full(len(places), np.nan)
        there = places >= 0
        known[there] = series[places[there]]
        return known

    def _newest(self, symbol: str, interval: str, frame: Frame) -> NDArray[np.int64]:
        """Return the place of the newest candle that has closed at each moment, below zero where none has."""
        key = symbol, interval
        if key not in self._closed:
            self._closed[key] = frame.candles.open_time.searchsorted(self._moments - frame.length, "right") - 1
        return self._closed[key]
