"""A long series as few points that look the same: MinMaxLTTB (Van Der Donckt and others, 2023). Pure.

Its lowest and its highest point are kept besides: a drawdown may not vanish because a curve is drawn small.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

FEWEST: Final = 4
"""First, last, lowest and highest."""

type Series = Sequence[tuple[int, float]]
"""Times as whole numbers in ascending order, each once, with their values."""


def thinned(series: Series, *, points: int) -> Series:
    """Return at most `points` of the series, in the order of time: among them first, last, lowest and highest.

    Raises ValueError for fewer points than that.
    """
    if points < FEWEST:
        raise ValueError(f"{points} points are too few: first, last, lowest and highest are kept")
    if len(series) <= points:
        return series
    import numpy as np
    from tsdownsample import MinMaxLTTBDownsampler

    times = np.fromiter((at for at, _ in series), np.int64, len(series))
    values = np.fromiter((value for _, value in series), np.float64, len(series))
    kept = {0, len(series) - 1, int(values.argmin()), int(values.argmax())}
    if points > FEWEST + 2:
        # Two fewer than asked: lowest and highest may be chosen already, or come besides.
        chosen = MinMaxLTTBDownsampler().downsample(times, values, n_out=points - 2)  # type: ignore[no-untyped-call]
        kept.update(map(int, chosen))
    return [series[place] for place in sorted(kept)]
