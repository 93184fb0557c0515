"""Applies the events of one live account, and has it looked at when they demand it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.db import DatabaseError, InterfaceError, close_old_connections

from accounts.models import Account
from trading.domain.venue_events import VenueEvent
from trading.exchange.user_stream import UserStream
from trading.services.user_events import takeovers_note, venue_event_apply
from trading.services.user_stream_states import Told, told_before
from vibex.lib.errors import VibexError
from vibex.lib.logging import bound
from vibex.lib.turns import NEVER, Next, Turns

log = logging.getLogger(__name__)

type Look = Callable[[int], bool]

FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0
"""Between two looks of which the first found the exchange silent or somebody else at work. The guard looks besides."""
STREAM_SECONDS: Final = 3.0
"""A stream that has not ended after that is waited for no longer."""
STOPPED: Final = "stopped"


@dataclass(slots=True)
class Pause:
    """Seconds until something is tried again: twice as long after each failure."""

    seconds: float = 0.0

    def failed(self) -> float:
        self.seconds = min(max(FIRST_PAUSE, 2 * self.seconds), LONGEST_PAUSE)
        return self.seconds


class Listener:
    """Applies the events of one account and has it looked at, turn by turn, from `start` to `end`."""

    def __init__(
        self, account: Account, stream: UserStream, look: Look, turns: Turns, *, changed: Callable[[int], object] = bool
    ) -> None:
        """`changed` is told the account after each turn: how it is heard may be another way now."""
        self.account = account
        self.stream = stream
        self.made_of = made_of(account)
        self.broken = False
        """Whether it has to be replaced, for a fault of ours."""
        self._look, self._turns, self._changed = look, turns, changed
        self._waiting: deque[VenueEvent] = deque()
        self._look_at: float | None = None
        self._looked_at = 0.0
        self._pause, self._fault_pause = Pause(), Pause()
        self._not_before = 0.0
        """Until then the database is left alone."""
        self._before = told_before(account)
        self._caught_up = self._before.caught_up_at
        self._stopping = threading.Event()
        self._overdue = NEVER

    def start(self) -> None:
        """Begin to listen. Returns at once."""
        self.stream.when_news(self._want_turn)
        self.stream.start()

    def end(self) -> None:
        """Ask it to end. Returns at once."""
        self._stopping.set()
        self._overdue = time.monotonic() + STREAM_SECONDS
        self.stream.stop(0)

    def ended(self) -> bool:
        """Return whether it has, after `end`: neither is it at work, nor does its stream listen."""
        idle = self._turns.drop(self)
        return idle and (self.stream.stop(0) or time.monotonic() > self._overdue)

    def told(self) -> Told:
        """Return how its events are heard now."""
        stopped = self._stopping.is_set()
        return Told(
            connected_at=None if stopped else self.stream.connected_at(),
            heard_at=self.stream.heard_at() or self._before.heard_at,
            caught_up_at=self._caught_up,
            problem=STOPPED if stopped else self.stream.problem(),
        )

    def turn(self, *, long: bool) -> Next:
        """Apply what has come, and look in a long turn if that is due."""
        with bound(account=self.account.pk):
            try:
                return self._turn(long=long)
            except Exception:
                log.exception("listening to account %s broke by a fault of ours and is begun anew", self.account.name)
                self.broken = True
                return Next()
            finally:
                self._changed(self.account.pk)

    def _turn(self, *, long: bool) -> Next:
        """Take a turn. While the database is gone everything waits for it."""
        if self._stopping.is_set():
            return Next()
        if time.monotonic() < self._not_before:
            return Next(short=self._not_before)
        try:
            self._apply()
            if long:
                self._look_if_due()
        except (DatabaseError, InterfaceError) as fault:
            log.warning("events of account %s wait for the database: %s", self.account.name, fault)
            self._not_before = time.monotonic() + self._fault_pause.failed()
            return Next(short=self._not_before)
        finally:
            close_old_connections()
        self._fault_pause.seconds = 0.0
        return self._next()

    def _want_turn(self, seconds: float) -> None:
        if not self._stopping.is_set():
            self._turns.ask(self, time.monotonic() + seconds)

    def _next(self) -> Next:
        due = self.stream.due()
        return Next(
            short=NEVER if due is None else time.monotonic() + due,
            long=NEVER if self._look_at is None else self._look_at,
        )

    def _apply(self) -> None:
        """Apply what waits; an event that the database did not take stays in front."""
        self._waiting.extend(self.stream.drain())
        while self._waiting and not self._stopping.is_set():
            if self._applied(self._waiting[0]):
                self._want_look()
            self._waiting.popleft()

    def _applied(self, event: VenueEvent) -> bool:
        try:
            return venue_event_apply(account=self.account, event=event)
        except (DatabaseError, InterfaceError):
            raise
        except VibexError as fault:
            log.warning("an event of account %s was not taken in: %s", self.account.name, fault)
        except Exception:
            log.exception("an event of account %s was not taken in by a fault of ours", self.account.name)
        return True  # what was not understood is found by looking

    def _want_look(self) -> None:
        """Look at once; after a look that failed, not sooner than the first pause."""
        soon = time.monotonic()
        if self._pause.seconds:
            soon = max(soon, self._looked_at + FIRST_PAUSE)
        self._look_at = soon if self._look_at is None else min(self._look_at, soon)

    def _look_if_due(self) -> None:
        if self._look_at is None or time.monotonic() < self._look_at or self._stopping.is_set():
            return
        self._look_at = None
        if self._looked():
            self._pause.seconds = 0.0
            self._caught_up = datetime.now(UTC)
        else:
            self._look_at = time.monotonic() + self._pause.failed()
        self._looked_at = time.monotonic()
        takeovers_note(account=self.account)

    def _looked(self) -> bool:
        try:
            return self._look(self.account.pk)
        except (DatabaseError, InterfaceError, VibexError) as fault:
            log.warning("account %s could not be looked at: %s", self.account.name, fault)
        except Exception:
            log.exception("account %s could not be looked at", self.account.name)
        return False


def made_of(account: Account) -> object:
    """Return what a stream depends on: with other keys it has to be made anew."""
    keys = getattr(account, "credentials", None)
    return account.venue, account.network, keys and keys.updated
