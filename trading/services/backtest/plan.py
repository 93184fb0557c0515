"""What a backtest is asked to do: one bot over a window of recorded candles, and how the venue treats it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, overload

from accounts.domain.limits import DEFAULTS, Limits
from marketdata.domain.intervals import interval_ms
from trading.domain.matching import EngineSettings
from trading.services.backtest.asks import Asks
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """What is tested: one bot over a window of recorded candles. The window is [start, end), UTC."""

    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    interval: str = "1h"
    timeframes: tuple[str, ...] = ("1h", "4h")
    model: str = "rules/trend"
    capital: Decimal = Decimal(10_000)
    limits: Limits = field(default=DEFAULTS)
    approval: bool = False
    """Whether the bot asks a person before it enters."""
    fee: Decimal | None = None
    """Share of the notional that every fill costs; None: as each contract says."""
    fills: EngineSettings = field(default_factory=EngineSettings)
    """How orders are filled: spread, slippage and what else the venue does."""
    latency: timedelta | None = None
    """How long an order is on its way. None: it meets the next open. Zero: the very prices that were decided on. More: the
    next open, worse by the share of the bar's range that this is of the bar's length."""
    volume_share: Decimal | None = None
    """Share of a bar's volume that an entry takes at most; the rest expires. None: as much as it wants."""
    asks: Asks = field(default_factory=Asks)
    """How a model is asked."""
    jump: bool = True
    """Whether steps are passed over at which nothing can happen. It changes how long a run takes, and nothing else."""

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Rejected(
                f"--from {self.start:%F %H:%M} is not before --to {self.end:%F %H:%M}: swap them or choose a later end"
            )

    @property
    def step(self) -> timedelta:
        """How long it is from one decision to the next."""
        return timedelta(milliseconds=interval_ms(self.interval))

    @property
    def first(self) -> datetime:
        """The first decision: the first close of a candle in the window."""
        length = interval_ms(self.interval)
        return from_ms(-(-to_ms(self.start) // length) * length)

    @property
    def steps(self) -> int:
        """How many decisions there are."""
        return max(0, -(-(self.end - self.first) // self.step))

    def edges(self) -> NDArray[np.int64]:
        """Return when each step begins and the last one ends, UTC ms: `steps` + 1 values."""
        import numpy as np

        first, length = to_ms(self.first), interval_ms(self.interval)
        return np.append(first + length * np.arange(self.steps, dtype=np.int64), to_ms(self.end))

    def moments(self) -> Moments:
        """Return the moments of decision: the closes of candles in [start, end)."""
        return Moments(self.first, self.step, self.steps)


class Moments(Sequence[datetime]):
    """Moments that lie equally far apart, worked out when one is asked for: a run looks at few of them."""

    def __init__(self, first: datetime, apart: timedelta, count: int) -> None:
        self._first, self._apart, self._count = first, apart, count
        self._newest: tuple[int | None, datetime] = None, first
        """The moment that was asked for last, by its number: a step is asked for several times."""

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> datetime: ...
    @overload
    def __getitem__(self, place: slice) -> list[datetime]: ...
    def __getitem__(self, place: int | slice) -> datetime | list[datetime]:
        if place == self._newest[0]:
            return self._newest[1]
        if isinstance(place, slice):
            first, apart = self._first, self._apart
            return [first + number * apart for number in range(*place.indices(self._count))]
        number = place + self._count if place < 0 else place
        if not 0 <= number < self._count:
            raise IndexError(f"there are {self._count} moments, and none with the number {place}")
        at = self._first + number * self._apart
        self._newest = number, at
        return at
