"""Time that runs faster than the wall clock, and alike in several processes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

import time_machine

from vibex.lib.clock import from_ms

STEP_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Timelapse:
    """The time was `market_ms` when the monotonic clock, which all processes share, showed `monotonic`."""

    market_ms: int
    monotonic: float
    speed: float

    def now(self) -> datetime:
        return from_ms(self.market_ms + int((time.monotonic() - self.monotonic) * 1000 * self.speed))

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let the wall clock of this process show this time; waiting and monotonic time stay as they are."""
        ended = threading.Event()

        def slide() -> None:
            while not ended.wait(STEP_SECONDS):
                traveller.move_to(self.now())

        with time_machine.travel(self.now(), tick=True) as traveller:
            thread = threading.Thread(target=slide, name="timelapse", daemon=True)
            thread.start()
            try:
                yield
            finally:
                ended.set()
                thread.join()
