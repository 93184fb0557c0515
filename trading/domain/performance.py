"""Figures about a series of equity. Formulas with their source; conventions beside the figure."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal


def max_drawdown(equity: Sequence[Decimal]) -> Decimal:
    """Return the deepest fall from an earlier peak as a share of that peak: 0 for a series that never falls."""
    peak, deepest = None, Decimal(0)
    for value in equity:
        peak = value if peak is None else max(peak, value)
        if peak > 0:
            deepest = max(deepest, (peak - value) / peak)
    return deepest
