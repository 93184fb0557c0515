"""The thread that keeps a market moving: about once a second of wall time it writes what is due."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from django.db import DatabaseError, close_old_connections, connection, connections

from marketdata.services import feed_advance, feed_fail, feed_start, feed_stop
from vibex.lib.errors import VibexError

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0


class FeedRunner:
    """Moves the market of one venue from `start` to `stop`. A fault is logged and tried again, later each time."""

    def __init__(self, venue: str, *, period: float = PERIOD_SECONDS) -> None:
        self.venue = venue
        self._period = period
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the thread. A second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._run_in_thread, name=f"feed-{self.venue}", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Stop the thread and let the market stand still. Returns False when the thread had to be left behind."""
        self.end()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(STOP_SECONDS)
        return not thread.is_alive()

    def end(self) -> None:
        """Ask the loop to end. Returns at once."""
        self._stopping.set()

    def run(self) -> None:
        """Move the market until `stop` or `end` is called, in the calling thread."""
        try:
            self._repeat(self._begin)
            while not self._stopping.is_set():
                self._repeat(self._step)
                self._stopping.wait(self._period)
        finally:
            self._end()

    def _run_in_thread(self) -> None:
        try:
            self.run()
        finally:
            connections.close_all()

    def _begin(self) -> None:
        feed_start(venue=self.venue)

    def _step(self) -> None:
        feed_advance(venue=self.venue, stopping=self._stopping.is_set)

    def _end(self) -> None:
        try:
            feed_stop(venue=self.venue)
        except (DatabaseError, VibexError):
            log.exception("the market of %s could not be stood still", self.venue)

    def _repeat(self, action: Callable[[], None]) -> None:
        """Do it until it succeeds or somebody wants to stop, waiting twice as long after each fault."""
        pause = self._period
        while not self._stopping.is_set() and not self._succeeds(action):
            self._stopping.wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def _succeeds(self, action: Callable[[], None]) -> bool:
        if not connection.in_atomic_block:  # a transaction around it belongs to the caller
            close_old_connections()
        try:
            action()
        except DatabaseError:
            # Nothing is lost: the next step writes what this one did not.
            log.exception("the market of %s was not written", self.venue)
        except VibexError as fault:
            log.warning("the market of %s stands: %s", self.venue, fault)
            self._tell(str(fault))
        except Exception:
            log.exception("the market of %s was not written", self.venue)
            self._tell("an error of the feed, see the log")
        else:
            return True
        return False

    def _tell(self, problem: str) -> None:
        with suppress(DatabaseError):
            feed_fail(venue=self.venue, problem=problem)
