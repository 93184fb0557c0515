"""By how much AsterDEX's clock is ahead of ours, for nonces and timestamps: the venue refuses what is 10 s away.

Between two measurements the venue's time goes on by a clock that nobody sets. So a wall clock that jumps changes nothing
about what is signed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from marketdata.aster.http import AsterHttp
from marketdata.aster.payloads import server_time_of
from vibex.lib.clock import Deadline
from vibex.lib.errors import VibexError

PATH: Final = "/fapi/v3/time"
"""Answers without a key, whatever generation an account signs in."""
FRESH: Final = 300.0
"""Seconds after which the clocks are compared again, while the last measurement is used on."""
LOST: Final = 1_800.0
"""Seconds after which a measurement says nothing any more about whether something may be opened."""
PATIENCE: Final = 2.0
"""Seconds that a signature waits for a measurement that it needs."""
AGAIN: Final = 10.0
"""Seconds after a measurement in vain before anything waits for another one."""
TRIES: Final = 2
"""Questions of one measurement; that with the shorter trip counts, as the first may have had to connect."""
JUMP: Final = 0.5
"""Seconds by which the wall clock may move against the one that nobody sets before both are doubted."""
ALARM: Final = 2.0
PROBLEM: Final = 8.0
ADVICE: Final = "set it right, for example by timedatectl set-ntp true"

log = logging.getLogger(__name__)


def running() -> float:
    """Return seconds of a clock that nobody sets and that, where the system has one, goes on in sleep."""
    boot = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic() if boot is None else time.clock_gettime(boot)


@dataclass(frozen=True, slots=True)
class Measured:
    """Three clocks at one moment, the middle of a question: the venue's, our wall clock, and the one that nobody sets."""

    theirs: float
    wall: float
    ran: float
    trip: float
    """Seconds between question and answer; half of it is how wrong `theirs` can be."""


class VenueClock:
    """Measures the venue's clock, at most every five minutes and when it is in doubt. Safe from several threads.

    One for all accounts at an address will do. A measurement takes the part of the budget that is kept for closing.
    """

    def __init__(
        self, http: AsterHttp, *, wall: Callable[[], float] = time.time, ran: Callable[[], float] = running
    ) -> None:
        self._http = http.urgent()
        self._wall = wall
        self._ran = ran
        self._measured: Measured | None = None
        self._doubted = False
        self._failed_at: float | None = None
        self._measuring = threading.Lock()
        self._refreshing = threading.Lock()

    def ahead(self) -> float:
        """Return the seconds by which the venue's clock is ahead of ours now; 0 as long as it cannot be measured.

        The first time, and in doubt, it is measured before this returns, which takes two seconds at most.
        """
        if self._needed():
            self._measure_once()
        elif self._old(FRESH):
            self._refresh()
        measured = self._measured
        return 0.0 if measured is None else measured.theirs + (self._ran() - measured.ran) - self._wall()

    def milliseconds(self) -> int:
        """Return the venue's time, as an HMAC signature wants it."""
        ahead = self.ahead()  # first, since it may take a moment
        return round((self._wall() + ahead) * 1_000)

    def doubt(self) -> None:
        """Have it measured anew before the next signature: the venue said that a nonce or timestamp is out of time."""
        self._doubted = True
        self._failed_at = None

    def measure(self) -> Measured | None:
        """Compare the clocks now. Returns the last measurement, which is an older one where the venue does not answer."""
        limit, best = Deadline(PATIENCE), None
        try:
            for _ in range(TRIES):
                found = self._asked(limit)
                best = found if best is None or found.trip < best.trip else best
        except VibexError as fault:
            if best is None:
                self._failed_at = self._ran()
                log.warning("The clock of AsterDEX could not be measured: %s", fault)
                return self._measured
        self._measured, self._doubted, self._failed_at = best, False, None
        return best

    def clock_alarm(self) -> str | None:
        """Return what a person is told of a clock that is more than two seconds off, None where it is not."""
        return self._off_by(ALARM, "")

    def clock_problem(self) -> str | None:
        """Return why nothing may be opened: the clock is more than eight seconds off, or has not been compared."""
        off = self._off_by(PROBLEM, " Until then nothing is opened.")
        if off is None and (self._measured is None or self._old(LOST)):
            return "This machine's clock could not be compared with AsterDEX's: nothing is opened until it was."
        return off

    def _off_by(self, allowed: float, more: str) -> str | None:
        ahead = self.ahead()
        if abs(ahead) <= allowed:
            return None
        side = "behind" if ahead > 0 else "ahead of"
        return f"This machine's clock is {abs(ahead):.1f} s {side} AsterDEX's: {ADVICE}.{more}"

    def _needed(self) -> bool:
        """Return whether a signature should wait for a measurement."""
        measured, failed = self._measured, self._failed_at
        if failed is not None and self._ran() - failed < AGAIN:
            return False
        if measured is None or self._doubted:
            return True
        moved = (self._wall() - measured.wall) - (self._ran() - measured.ran)
        return abs(moved) > JUMP

    def _old(self, seconds: float) -> bool:
        measured = self._measured
        return measured is not None and self._ran() - measured.ran > seconds

    def _measure_once(self) -> None:
        """Measure; whoever comes meanwhile waits for that instead of asking too."""
        if not self._measuring.acquire(timeout=PATIENCE):
            return
        try:
            if self._needed():
                self.measure()
        finally:
            self._measuring.release()

    def _refresh(self) -> None:
        """Measure in a thread of its own, one at a time, so that no close waits for it."""
        if self._failed_at is not None and self._ran() - self._failed_at < AGAIN:
            return
        if self._refreshing.acquire(blocking=False):
            threading.Thread(target=self._refreshed, daemon=True, name="venue-clock").start()

    def _refreshed(self) -> None:
        from django.db import connections

        try:
            with self._measuring:
                self.measure()
        except Exception:
            self._failed_at = self._ran()
            log.exception("The clock of AsterDEX could not be measured.")
        finally:
            self._refreshing.release()
            connections.close_all()

    def _asked(self, limit: Deadline) -> Measured:
        ran, wall = self._ran(), self._wall()
        theirs = server_time_of(self._http.get(PATH, weight=1, deadline=limit))
        trip = self._ran() - ran
        return Measured(theirs.timestamp(), wall + trip / 2, ran + trip / 2, trip)
