"""The threads that keep a market moving: about once a second of wall time they write what is due.

A simulated or recorded market needs one thread. A live one has two: one writes what the stream has said and never
waits for the network, the other one asks the venue for all that the stream does not say.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from django.db import DatabaseError, close_old_connections, connection, connections

from marketdata.models import Feed
from marketdata.selectors import feed_of
from marketdata.services import feed_advance, feed_fail, feed_start, feed_stop
from marketdata.services.live import LiveFeed
from vibex.lib.errors import VibexError

log = logging.getLogger(__name__)

PERIOD_SECONDS: Final = 1.0
LONGEST_PAUSE_SECONDS: Final = 30.0
STOP_SECONDS: Final = 5.0
ASIDE_SECONDS: Final = 0.5
"""A question that is on its way when everything stops is left behind: what it would have brought is asked for again."""


class Mover(Protocol):
    """What moves a market."""

    @property
    def asks(self) -> Callable[[], None] | None:
        """What has to be repeated in a thread of its own, because it waits for the network; None when nothing does."""
        ...

    def begin(self) -> None: ...

    def step(self) -> None: ...

    def end(self) -> None: ...


class MadeMarket:
    """Moves a simulated or recorded market."""

    asks = None

    def __init__(self, venue: str, stopping: threading.Event) -> None:
        self._venue, self._stopping = venue, stopping

    def begin(self) -> None:
        feed_start(venue=self._venue)

    def step(self) -> None:
        feed_advance(venue=self._venue, stopping=self._stopping.is_set)

    def end(self) -> None:
        feed_stop(venue=self._venue)


class FeedRunner:
    """Moves the market of one venue from `start` to `stop`. A fault is logged and tried again, later each time."""

    def __init__(self, venue: str, *, period: float = PERIOD_SECONDS) -> None:
        self.venue = venue
        self.rounds = 0
        """How often it has written, or tried to. The thread that asks the venue does not count."""
        self._period = period
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads. A second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=_and_close(self.run), name=f"feed-{self.venue}", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Stop the threads and let the market stand still. Returns False when one had to be left behind."""
        self.end()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(STOP_SECONDS)
        return not thread.is_alive()

    def end(self) -> None:
        """Ask the loops to end. Returns at once."""
        self._stopping.set()

    def run(self) -> None:
        """Move the market until `stop` or `end` is called, in the calling thread."""
        mover = self._found()
        if mover is None:
            return
        aside = self._aside(mover)
        try:
            self._repeat(mover.begin)
            if aside:
                aside.start()
            while not self._stopping.is_set():
                self._repeat(mover.step)
                self._stopping.wait(self._period)
        finally:
            self._end(mover)
            if aside and aside.is_alive():
                aside.join(ASIDE_SECONDS)

    def _found(self) -> Mover | None:
        """Return what moves the market as soon as the database says which that is; None when stopped before."""
        found: list[Mover] = []
        self._repeat(lambda: found.append(self._mover()))
        return found[0] if found else None

    def _mover(self) -> Mover:
        if feed_of(self.venue).kind == Feed.Kind.LIVE:
            return LiveFeed(self.venue, stopping=self._stopping.is_set)
        return MadeMarket(self.venue, self._stopping)

    def _aside(self, mover: Mover) -> threading.Thread | None:
        asks = mover.asks
        if asks is None:
            return None

        def ask() -> None:
            while not self._stopping.is_set():
                self._repeat(asks, counts=False)
                self._stopping.wait(self._period)

        return threading.Thread(target=_and_close(ask), name=f"ask-{self.venue}", daemon=True)

    def _end(self, mover: Mover) -> None:
        self._stopping.set()
        try:
            mover.end()
        except (DatabaseError, VibexError):
            log.exception("the market of %s could not be stood still", self.venue)

    def _repeat(self, action: Callable[[], None], *, counts: bool = True) -> None:
        """Do it until it succeeds or somebody wants to stop, waiting twice as long after each fault."""
        pause = self._period
        while not self._stopping.is_set():
            self.rounds += counts
            if self._succeeds(action):
                return
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


def _and_close(work: Callable[[], None]) -> Callable[[], None]:
    """Return the work of a thread, after which its database connections are closed."""

    def whole() -> None:
        try:
            work()
        finally:
            connections.close_all()

    return whole
