"""The time of the test exchange: it follows the wall clock at a speed, can stand still and be moved forward."""

from __future__ import annotations

import time
from collections.abc import Callable

from vibex.lib.clock import from_ms
from vibex.lib.errors import Rejected


class VirtualClock:
    """Market time in UTC milliseconds. It never goes back, and never beyond `ends_at`. `wall` counts real seconds."""

    def __init__(
        self,
        start_ms: int,
        *,
        speed: float = 1.0,
        ends_at: int | None = None,
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self._check(speed)
        self.ends_at, self._seconds = ends_at, wall
        self._market, self._wall = start_ms, wall()
        self._speed, self._stands = speed, False

    @property
    def speed(self) -> float:
        """Return the market seconds that pass in one wall second: zero while the clock stands."""
        return 0.0 if self._stands else self._speed

    def now_ms(self) -> int:
        passed = (self._seconds() - self._wall) * 1000 * self.speed
        now = self._market + int(passed)
        return now if self.ends_at is None else min(now, self.ends_at)

    def stand(self) -> None:
        """Stop the time where it is."""
        self._anchor(self.now_ms())
        self._stands = True

    def go(self, speed: float | None = None) -> None:
        """Let the time run on, at `speed` from now on if one is given. Raises Rejected for one that is not above zero."""
        self._check(self._speed if speed is None else speed)
        self._anchor(self.now_ms())
        self._speed, self._stands = self._speed if speed is None else speed, False

    def step(self, ms: int) -> None:
        """Move the time forward by `ms` milliseconds."""
        self.set(self.now_ms() + ms)

    def set(self, at_ms: int) -> None:
        """Move the time forward to `at_ms`. Raises Rejected when that lies in the past: closed candles stay closed."""
        now = self.now_ms()
        if at_ms < now:
            raise Rejected(
                f"The clock cannot go back from {from_ms(now):%F %T} to {from_ms(at_ms):%F %T}.", code="clock"
            )
        self._anchor(at_ms)

    def _anchor(self, at_ms: int) -> None:
        self._market, self._wall = at_ms, self._seconds()

    @staticmethod
    def _check(speed: float) -> None:
        if not 0 < speed <= 100_000:
            raise Rejected(f"A speed of {speed:g} is not above 0 and at most 100000.", code="clock")
