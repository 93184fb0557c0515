"""The arithmetic of candle intervals. Kept apart from the candles: who only needs a length need not load NumPy."""

from __future__ import annotations

from typing import Final

INTERVAL_MS: Final[dict[str, int]] = {
    "1m": 60_000,
    "3m": 180_000,
    "5m": 300_000,
    "15m": 900_000,
    "1h": 3_600_000,
    "4h": 14_400_000,
    "1d": 86_400_000,
}
"""Length of each interval in milliseconds, shortest first."""


def interval_ms(interval: str) -> int:
    """Return the length of `interval`. Raises ValueError that lists the known ones."""
    try:
        return INTERVAL_MS[interval]
    except KeyError:
        raise ValueError(f"unknown interval {interval!r}: use one of {', '.join(INTERVAL_MS)}") from None


def floor_to(ms: int, interval: str) -> int:
    """Return the open time of the candle of `interval` that holds the moment `ms`."""
    length = interval_ms(interval)
    return ms - ms % length
