"""A share with the interval that its count allows. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

Z: Final = 1.959963984540054
"""Of a normal distribution, for 95 %."""


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many. `low` and `high` are the Wilson interval at 95 % (Wilson 1927), as fractions.

    It takes the cases as independent of each other. Decisions a few minutes apart are not: the true interval is wider.
    """

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        """The fraction, None where there is no case."""
        return self.part / self.whole if self.whole else None

    @property
    def low(self) -> float:
        return self._bound(-1)

    @property
    def high(self) -> float:
        return self._bound(1)

    def _bound(self, sign: int) -> float:
        if not self.whole:
            return 0.0 if sign < 0 else 1.0
        n, p, square = self.whole, self.part / self.whole, Z * Z
        middle = p + square / (2 * n)
        half = Z * sqrt(p * (1 - p) / n + square / (4 * n * n))
        return min(1.0, max(0.0, (middle + sign * half) / (1 + square / n)))
