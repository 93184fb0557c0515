"""What rules can say in advance: at which moments they could ask for anything at all.

Rules that read nothing but closed candles can be looked at over a whole series at once. Between the moments that they
name, a backtest need not ask them. A declaration may name too many moments, never too few.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    type Mask = NDArray[np.bool_]
    type Series = NDArray[np.float64]


class Whole(Protocol):
    """A market over all moments at which a bot decides, n of them, oldest first."""

    def values(self, symbol: str, interval: str, indicator: str, *, back: int = 1) -> Series:
        """Return for each moment the indicator at the newest closed candle, or at the one before it with `back` 2.

        An array of n; NaN where there is no such candle or value.
        """
        ...


@dataclass(frozen=True, slots=True)
class Acts:
    """At which of the moments rules could ask for something on a symbol, by what is open there: three masks of n."""

    flat: Mask
    long: Mask
    short: Mask
