"""Which points of an equity curve can go without a figure that is made of it becoming another one. Pure.

What is kept makes every hour and every day of any time zone exactly as all points would: zones are whole quarters of an
hour apart, so of each quarter the first, last, lowest and highest point stay, and both sides of each transfer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import groupby, pairwise
from typing import Final, NamedTuple

QUARTER: Final = timedelta(minutes=15)


class Point(NamedTuple):
    """Key, market time, equity, and net transfers so far."""

    key: int
    at: datetime
    equity: Decimal
    transfers: Decimal


def quarter_of(at: datetime) -> datetime:
    """Return when the quarter of an hour began that a moment lies in."""
    return at - timedelta(minutes=at.minute % 15, seconds=at.second, microseconds=at.microsecond)


def superfluous(points: Iterable[Point]) -> list[int]:
    """Return the keys of the points that can go. `points` are whole quarters, in the order of time."""
    keys: list[int] = []
    for _, some in groupby(points, key=lambda point: quarter_of(point.at)):
        quarter = list(some)
        # As floats, as hours are made; of two that are equal the earlier one, which `min` and `max` give.
        lowest = min(quarter, key=lambda point: float(point.equity))
        highest = max(quarter, key=lambda point: float(point.equity))
        kept = {quarter[0].key, quarter[-1].key, lowest.key, highest.key}
        for before, after in pairwise(quarter):
            if before.transfers != after.transfers:
                kept |= {before.key, after.key}
        keys += [point.key for point in quarter if point.key not in kept]
    return keys
