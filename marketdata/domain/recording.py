"""What was recorded of one symbol: its candles, its mark price, its funding, and what could not be true."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from marketdata.domain.candles import Candles
from marketdata.domain.instruments import InstrumentSpec


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A recorded candle that is never used: where it stands, its values and what is wrong with it."""

    symbol: str
    interval: str
    open_time: int
    values: dict[str, float | None]
    reason: str
    """Names the file and the line."""


@dataclass(frozen=True, slots=True)
class FundingRecord:
    """Settled rates, oldest first: time (UTC ms, on the second), rate (fraction), mark price (NaN where unknown)."""

    at: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    rate: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    mark: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))

    def due_after(self, settled: int, period_ms: int) -> int:
        """Return when (UTC ms) the next settlement is expected after the first `settled` (at least one) of them.

        As far off as the last two lie apart: venues change their interval. `period_ms` where there is only one.
        """
        last = int(self.at[settled - 1])
        return last + (last - int(self.at[settled - 2]) if settled > 1 else period_ms)


@dataclass(frozen=True, slots=True)
class Recording:
    """One symbol. `mark` has the open times of `candles`, NaN where no mark was recorded; its volume means nothing."""

    spec: InstrumentSpec
    candles: Candles
    mark: Candles | None = None
    funding: FundingRecord = field(default_factory=FundingRecord)
    quarantined: tuple[Quarantined, ...] = ()

    @property
    def symbol(self) -> str:
        return self.candles.symbol
