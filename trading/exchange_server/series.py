"""The candles of one symbol: whole in memory, shown as far as they have happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from marketdata.domain.candles import Candles
from marketdata.domain.path import Forming, reveal
from trading.exchange_server.bars import (
    DAY_MS,
    LENGTHS,
    Bars,
    Values,
    bars_of,
    grouped,
    joined,
    makes,
    no_bars,
    opens_at,
)

PRICES: Final = ("open", "high", "low", "close")

type Load = Callable[[int, int, float | None], Candles]
"""Whole candles that open in [start, stop) after the close before `start` (None at the very beginning)."""


@dataclass(frozen=True, slots=True)
class Grid:
    """What prices and volumes are rounded to, as floats and as decimals."""

    tick: float
    decimals: int
    volume_decimals: int

    def on_tick(self, prices: Values) -> Values:
        """Round to the tick, one tick at least. Rounding keeps high above open and close, and low below."""
        return np.round(np.maximum(np.round(prices / self.tick), 1.0) * self.tick, self.decimals)


@dataclass(slots=True)
class Moved:
    """A candle in which somebody set the price: how it would have been, and the prices set in it."""

    whole: Forming
    jumps: list[tuple[int, float]] = field(default_factory=list)


class Series:
    """Candles of the base interval, made a day at a time, and the longer ones out of them.

    `verbatim` holds intervals that were recorded by themselves; their candles come out as they are, whatever the base
    candles say. `factor` multiplies what `load` returns.
    """

    def __init__(
        self,
        interval: str,
        grid: Grid,
        load: Load,
        *,
        begins_at: int,
        ends_at: int | None = None,
        factor: float = 1.0,
        verbatim: Mapping[str, Bars] | None = None,
    ) -> None:
        self.interval, self.grid, self.begins_at = interval, grid, begins_at
        self._length = LENGTHS[interval]
        self._load, self._factor, self._end = load, factor, ends_at
        self._until = begins_at
        self._close: float | None = None
        self._bars = no_bars()
        self._verbatim = dict(verbatim or {})
        self._grouped: dict[str, Bars] = {}
        self._moved: dict[int, Moved] = {}

    def offers(self, interval: str) -> bool:
        return interval in self._verbatim or makes(self.interval, interval)

    def closed(self, interval: str, now_ms: int) -> Bars:
        """Return the candles of `interval` that have ended at `now_ms`."""
        self._reach(now_ms)
        if interval not in self._verbatim:
            return self._ended(self._longer(interval), interval, now_ms)
        recorded = self._ended(self._verbatim[interval], interval, now_ms)
        if not self._moved or not makes(self.interval, interval):
            return recorded
        turn = opens_at(min(self._moved), interval)
        made = self._ended(self._longer(interval), interval, now_ms)
        return joined(recorded.cut(0, recorded.place(turn)), made.cut(made.place(turn), None))

    def running(self, interval: str, now_ms: int) -> Bars:
        """Return the candle of `interval` that holds the moment, as far as it has happened: one or none."""
        self._reach(now_ms)
        if not makes(self.interval, interval):
            return no_bars()
        start = opens_at(now_ms, interval)
        before = self._ended(self._bars, self.interval, now_ms)
        whole = before.cut(before.place(start), None)
        return grouped(joined(whole, self._now(now_ms)), interval)

    def price(self, at_ms: int) -> float | None:
        """Return the last price at a moment, None before the first."""
        self._reach(at_ms)
        place = self._bars.place(at_ms + 1) - 1
        if place < 0:
            return None
        if int(self._bars.open_time[place]) + self._length <= at_ms:
            return float(self._bars.close[place])
        return self._seen(place, at_ms).close

    def move(self, at_ms: int, price: float) -> None:
        """Set the last price at a moment; all that comes later is carried along by the same share."""
        before = self.price(at_ms)
        if not before:
            return
        place = self._bars.place(at_ms + 1) - 1
        start = int(self._bars.open_time[place])
        if start + self._length > at_ms:
            self._moved.setdefault(start, Moved(self._whole(place))).jumps.append((at_ms, price))
            self._rewrite(place)
        else:
            self._moved.setdefault(start + self._length, Moved(self._whole(place)))
        self._carry(place + 1, price / before)

    def _carry(self, place: int, share: float) -> None:
        """Multiply every price from `place` on. Done again and again it rounds again and again, which harms nobody."""
        self._factor *= share
        for name in PRICES:
            column = getattr(self._bars, name)
            column[place:] = self.grid.on_tick(column[place:] * share)
        self._grouped.clear()

    def _rewrite(self, place: int) -> None:
        """Put what the moved candle will have been at its end into the arrays."""
        end = int(self._bars.open_time[place]) + self._length
        seen = self._seen(place, end)
        for name in PRICES:
            getattr(self._bars, name)[place] = getattr(seen, name)

    def _reach(self, at_ms: int) -> None:
        """Make candles up to the end of the day after `at_ms`."""
        if self._until > at_ms + self._length:
            return
        stop = self._end if self._end is not None else (at_ms // DAY_MS + 2) * DAY_MS
        if stop <= self._until:
            return
        raw = self._load(self._until, stop, self._close)
        if len(raw):
            self._bars = joined(self._bars, self._fitted(raw))
            self._close = float(raw.close[-1])
        self._until = stop
        self._grouped.clear()

    def _fitted(self, raw: Candles) -> Bars:
        """Return what was loaded, on the ticks of the contract and at its height."""
        columns = [np.array(getattr(raw, name)) for name in PRICES]
        if self._end is None or self._factor != 1.0:
            columns = [self.grid.on_tick(column * self._factor) for column in columns]
        volume = np.round(raw.volume / self._factor, self.grid.volume_decimals) if self._end is None else raw.volume
        return bars_of(raw.open_time, (columns[0], columns[1], columns[2], columns[3]), volume)

    def _longer(self, interval: str) -> Bars:
        """Return all that is in memory, the future included, as candles of `interval`."""
        if interval == self.interval:
            return self._bars
        if interval not in self._grouped:
            self._grouped[interval] = grouped(self._bars, interval)
        return self._grouped[interval]

    def _ended(self, bars: Bars, interval: str, now_ms: int) -> Bars:
        return bars.cut(0, bars.place(opens_at(now_ms, interval)))

    def _now(self, now_ms: int) -> Bars:
        start = opens_at(now_ms, self.interval)
        place = self._bars.place(start)
        if place >= len(self._bars) or int(self._bars.open_time[place]) != start:
            return no_bars()
        seen = self._seen(place, now_ms)
        prices = tuple(np.array([getattr(seen, name)]) for name in PRICES)
        volume = np.array([round(seen.volume, self.grid.volume_decimals)])
        return bars_of(np.array([start], np.int64), (prices[0], prices[1], prices[2], prices[3]), volume)

    def _seen(self, place: int, at_ms: int) -> Forming:
        """Return what of a candle has happened at a moment within it."""
        start = int(self._bars.open_time[place])
        elapsed = (at_ms - start) / self._length
        moved = self._moved.get(start)
        if moved is None or not moved.jumps or at_ms < moved.jumps[0][0]:
            return reveal(moved.whole if moved else self._whole(place), elapsed=elapsed, tick=self.grid.tick)
        first = (moved.jumps[0][0] - start) / self._length
        seen = reveal(moved.whole, elapsed=first, tick=self.grid.tick)
        prices = [price for at, price in moved.jumps if at <= at_ms]
        high, low = max(seen.high, *prices), min(seen.low, *prices)
        return Forming(seen.open, high, low, prices[-1], moved.whole.volume * min(elapsed, 1.0))

    def _whole(self, place: int) -> Forming:
        bars = self._bars
        columns = (bars.open, bars.high, bars.low, bars.close, bars.volume)
        return Forming(*(float(column[place]) for column in columns))
