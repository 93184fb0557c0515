"""When a bot decides: pure arithmetic of slots, offsets and the schedule that is derived from an interval.

A *slot* is the close of a candle of the bot's interval, in market time. A bot decides at most once per slot.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from marketdata.domain.intervals import INTERVAL_MS, interval_ms

HEARTBEAT_ROW: Final = "system:heartbeat"
"""Name of the row whose task proves that beat sends and a worker runs."""
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
WIDEST_OFFSET: Final = timedelta(seconds=60)
ALWAYS_FRESH: Final = timedelta(minutes=5)
CONTEXT: Final = ("15m", "1h", "4h")
"""Timeframes that a bot sees above its own interval."""


@dataclass(frozen=True, slots=True)
class Crontab:
    """The crontab fields that vary with the interval; day, month and weekday are always `*`, the zone is UTC."""

    minute: str
    hour: str


CRONTABS: Final[dict[str, Crontab]] = {
    "3m": Crontab("*/3", "*"),
    "5m": Crontab("*/5", "*"),
    "15m": Crontab("*/15", "*"),
    "1h": Crontab("0", "*"),
    "4h": Crontab("0", "*/4"),
    "1d": Crontab("0", "0"),
}
"""The crontab that fires at every candle close of an interval a bot can have."""


def length_of(interval: str) -> timedelta:
    """Return the length of `interval`. Raises ValueError that lists the known ones."""
    return timedelta(milliseconds=interval_ms(interval))


def slot_at(now: datetime, interval: str) -> datetime:
    """Return the latest candle close that is not after `now` (aware)."""
    length = length_of(interval)
    return EPOCH + (now - EPOCH) // length * length


def offset_for(bot_key: str, interval: str) -> timedelta:
    """Return how long after the close the bot decides: stable per bot, below min(60 s, interval ÷ 3).

    A hash spreads the bots evenly, so that a thousand of them do not ask at the same moment.
    """
    width = min(WIDEST_OFFSET, length_of(interval) / 3)
    share = int.from_bytes(hashlib.sha256(bot_key.encode()).digest()[:4]) / 2**32
    return timedelta(milliseconds=int(width.total_seconds() * 1000 * share))


def due(slot: datetime, offset: timedelta) -> datetime:
    """Return the moment at which the bot decides on the candle that closed at `slot`."""
    return slot + offset


def is_fresh(slot: datetime, now: datetime, interval: str) -> bool:
    """Whether a bot that is started `now` should still decide on the candle that closed at `slot`."""
    return now - slot < max(ALWAYS_FRESH, length_of(interval) / 2)


def timeframes_for(interval: str) -> tuple[str, ...]:
    """Return the bot's own interval and the longer timeframes it sees beside it, shortest first."""
    return (interval, *(wider for wider in CONTEXT if INTERVAL_MS[wider] > INTERVAL_MS[interval]))


def at_least(interval: str, base: str) -> str:
    """Return `interval`, or `base` where candles of that length are the shortest there are."""
    return max(interval, base, key=interval_ms)


def tick_seconds(interval: str, speed: float) -> int:
    """Return how many wall seconds lie between two looks at the clock of a replay: half a candle, at least 1 s."""
    return max(1, int(length_of(interval).total_seconds() / speed / 2))


def expiry_seconds(period: float) -> int:
    """Return after how many seconds a tick that nobody took is worthless: before the next one is due."""
    return max(1, int(period * 0.9))


def interval_of_crontab(minute: str, hour: str) -> str | None:
    """Return the interval whose crontab has these fields, or None."""
    wanted = Crontab(minute, hour)
    return next((interval for interval, crontab in CRONTABS.items() if crontab == wanted), None)


def interval_of_seconds(seconds: float) -> str | None:
    """Return the bot interval that lasts exactly `seconds`, or None."""
    return next((interval for interval in CRONTABS if length_of(interval).total_seconds() == seconds), None)
