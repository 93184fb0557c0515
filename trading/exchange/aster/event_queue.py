"""Events between the thread that hears them and the one that applies them, put in the order in which they happened."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime

from trading.domain.venue_events import Gap, VenueEvent


class EventQueue:
    """Holds each event for a moment, so that one that happened before it and comes after it goes first.

    Sorted by the venue's time; what has the same time stays as it came. A `Gap` waits for nothing and goes last, since
    what it demands is done after all events that are there. Safe from several threads.
    """

    def __init__(self, *, hold: float, kept: int) -> None:
        """`hold` is in seconds; beyond `kept` events the oldest are lost."""
        self._hold, self._kept = hold, kept
        self._held: deque[tuple[float, VenueEvent]] = deque()
        self._gaps: list[Gap] = []
        self._news = threading.Condition()
        self._overflown = False
        self._tell: Callable[[float], object] = bool

    def when_news(self, call: Callable[[float], None]) -> None:
        """Have `call` called, in the thread that puts, with the seconds after which what was put can be drained."""
        self._tell = call

    def put(self, event: VenueEvent) -> bool:
        """Add an event. Returns False when the first of a row of older ones was lost for it."""
        with self._news:
            lost = len(self._held) >= self._kept
            if lost:
                self._held.popleft()
            self._held.append((time.monotonic(), event))
            first, self._overflown = lost and not self._overflown, self._overflown or lost
            self._news.notify_all()
        self._tell(self._hold)
        return not first

    def put_gap(self, at: datetime, reason: str) -> None:
        """Add a gap. One that still waits to be read makes another of the same reason needless."""
        with self._news:
            if all(gap.reason != reason for gap in self._gaps):
                self._gaps.append(Gap(at, reason))
            self._news.notify_all()
        self._tell(0.0)

    def drain(self) -> list[VenueEvent]:
        """Return what has been held long enough, and all that happened before it; then the gaps."""
        with self._news:
            ripe = [event.at for arrived, event in self._held if self._ripens(arrived) <= 0]
            until = max(ripe, default=None)
            ready = [event for _, event in self._held if until is not None and event.at <= until]
            self._held = deque(one for one in self._held if until is None or one[1].at > until)
            gaps, self._gaps = list[VenueEvent](self._gaps), []
            self._overflown = False
        return sorted(ready, key=lambda event: event.at) + gaps

    def due(self) -> float | None:
        """Return the seconds until something can be drained, None while nothing is there."""
        with self._news:
            return self._due()

    def wait(self, seconds: float) -> bool:
        """Return True as soon as something can be drained, False when nothing could for so long."""
        ends = time.monotonic() + seconds
        with self._news:
            while (due := self._due()) != 0.0:
                left = ends - time.monotonic()
                if left <= 0:
                    return False
                self._news.wait(left if due is None else min(left, due))
            return True

    def _due(self) -> float | None:
        if self._gaps:
            return 0.0
        return max(0.0, self._ripens(self._held[0][0])) if self._held else None

    def _ripens(self, arrived: float) -> float:
        return arrived + self._hold - time.monotonic()
