"""Market time. In live and simulated markets it is the wall clock; in a replay it runs at its own pace.

Leases, deadlines of model calls and nonces never use this clock: they use wall or monotonic time.
"""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)


class Clock(Protocol):
    """Where market time comes from."""

    @property
    def speed(self) -> float:
        """Seconds of market time that pass in one second of wall time."""
        ...

    def now(self) -> datetime:
        """Return the present market time, aware, in UTC."""
        ...


@dataclass(frozen=True, slots=True)
class WallClock:
    """Market time is wall time."""

    speed: float = 1.0

    def now(self) -> datetime:
        return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """Market time that started at `market_anchor` when the wall clock showed `wall_anchor`."""

    wall_anchor: datetime
    market_anchor: datetime
    speed: float = 1.0

    def now(self) -> datetime:
        return self.market_anchor + (datetime.now(UTC) - self.wall_anchor) * self.speed


@dataclass(slots=True)
class SimulatedClock:
    """Market time that stands still until it is moved: the clock of a backtest."""

    at: datetime
    speed: float = 1.0

    def now(self) -> datetime:
        return self.at

    def move_to(self, at: datetime) -> None:
        """Advance to `at`. Raises ValueError when that would go backwards."""
        if at < self.at:
            raise ValueError(f"a clock cannot go back from {self.at:%F %T} to {at:%F %T}")
        self.at = at


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in monotonic time after which an answer is worthless."""

    seconds: float
    started: float = field(default_factory=time.monotonic)

    def left(self) -> float:
        """Return the seconds that remain, never below zero."""
        return max(0.0, self.started + self.seconds - time.monotonic())

    def passed(self) -> bool:
        return self.left() <= 0.0


def from_ms(ms: int) -> datetime:
    """Return the aware UTC time of `ms` milliseconds since the epoch."""
    return datetime.fromtimestamp(ms // 1000, UTC) + timedelta(milliseconds=ms % 1000)


def to_ms(at: datetime) -> int:
    """Return `at` as whole milliseconds since the epoch."""
    return round(at.timestamp() * 1000)
