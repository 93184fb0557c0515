"""Listens to every live account whose venue tells its events, and has the account looked at when they demand it.

Each account has a thread of its own that applies its events and looks: while it looks, further events wait, and however
many they are, one more look follows. So nothing of one account holds up another.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

from accounts.models import Account
from trading.domain.venue_events import VenueEvent
from trading.exchange.aster.user_stream import AsterUserStream
from trading.exchange.user_stream import UserStream
from trading.models import UserStreamState
from trading.selectors.hearing import UNTOLD
from trading.services.exchanges import listen_keys_for
from trading.services.guard import guard_run
from trading.services.user_events import takeovers_note, venue_event_apply
from vibex.lib.errors import VibexError
from vibex.lib.logging import bound
from vibex.lib.masking import mask_text

log = logging.getLogger(__name__)

type Factory = Callable[[Account], UserStream | None]
type Look = Callable[[int], bool]

PERIOD_SECONDS: Final = 3.0
"""New, changed and removed accounts are noticed within this."""
NOTE_SECONDS: Final = 5.0
"""How often the last sign of life is stored while nothing else changes."""
FIRST_PAUSE: Final = 2.0
LONGEST_PAUSE: Final = 60.0
"""Between two looks of which the first found the exchange silent or somebody else at work. The guard looks besides."""
WITHOUT_SECONDS: Final = 30.0
"""An account whose stream could not be made is tried again after this."""
STOP_SECONDS: Final = 5.0
LONGEST_PROBLEM: Final = 300


def user_stream_for(account: Account) -> UserStream | None:
    """Return the stream of a live account; None where its venue tells no events, and only asking helps.

    Raises NeedsOperator where its keys are missing, Rejected for unusable ones.
    """
    keys = listen_keys_for(account)
    if keys is None:
        return None
    testnet = account.network == Account.Network.TESTNET
    return AsterUserStream(settings.ASTERDEX_TESTNET_STREAM_URL if testnet else settings.ASTERDEX_STREAM_URL, keys)


def look_by_guard(account_id: int) -> bool:
    """Have the guard look. Returns whether nothing on the account is left waiting for another look."""
    settled = guard_run(account_id=account_id)
    return settled is not None and not settled.blocked


@dataclass(slots=True)
class Pause:
    """Seconds until something is tried again: twice as long after each failure."""

    seconds: float = 0.0

    def failed(self) -> float:
        self.seconds = min(max(FIRST_PAUSE, 2 * self.seconds), LONGEST_PAUSE)
        return self.seconds


class Listener:
    """Applies the events of one account from `start` to `stop`."""

    def __init__(self, account: Account, stream: UserStream, look: Look, *, period: float = PERIOD_SECONDS) -> None:
        self.account = account
        self.stream = stream
        self.looks = 0
        self._look, self._period = look, period
        self._waiting: deque[VenueEvent] = deque()
        self._look_at: float | None = None
        self._looked_at = 0.0
        self._pause, self._fault_pause = Pause(), Pause()
        self._noted: dict[str, Any] = {}
        self._noted_at = 0.0
        self._caught_up: datetime | None = None
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"user-events-{account.pk}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Ask it to end. Returns at once."""
        self._stopping.set()

    def ended(self, seconds: float) -> bool:
        """Wait until it has ended. False when it was still at work after `seconds`."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def alive(self) -> bool:
        return self._thread.is_alive()

    def _run(self) -> None:
        with bound(account=self.account.pk):
            try:
                self.stream.start()
                while not self._stopping.is_set():
                    self._round()
            except Exception:
                log.exception("listening to account %s broke by a fault of ours and is begun anew", self.account.name)
            finally:
                self.stream.stop()
                self._note("stopped")
                connections.close_all()

    def _round(self) -> None:
        """Wait for events, apply them, look if that is due. The database may be gone: then everything waits for it."""
        self.stream.wait(self._patience())
        if self._stopping.is_set():
            return
        try:
            _fresh_connection()
            self._apply()
            self._look_if_due()
            self._note(self.stream.problem())
        except (DatabaseError, InterfaceError) as fault:
            log.warning("events of account %s wait for the database: %s", self.account.name, fault)
            self._stopping.wait(self._fault_pause.failed())
        else:
            self._fault_pause.seconds = 0.0

    def _patience(self) -> float:
        """Return for how long to wait for news: not at all with something at hand, else until the next look is due."""
        if self._waiting:
            return 0.0
        due = self._period if self._look_at is None else self._look_at - time.monotonic()
        return min(max(0.0, due), self._period, NOTE_SECONDS)

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
        self.looks += 1
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

    def _note(self, problem: str) -> None:
        """Store whether events are heard: at once when that changes, the last sign of life now and then."""
        told = {
            "connected_at": self.stream.connected_at(),
            "caught_up_at": self._caught_up,
            "problem": mask_text(problem)[:LONGEST_PROBLEM],
        }
        now = time.monotonic()
        if told == self._noted and now - self._noted_at < NOTE_SECONDS:
            return
        heard = {"heard_at": at} if (at := self.stream.heard_at()) else {}
        kept = {name: value for name, value in told.items() if value is not None or name == "connected_at"}
        if state_note(account_id=self.account.pk, **kept, **heard):
            self._noted, self._noted_at = told, now


class UserStreams:
    """Keeps one listener for each live account, from `start` to `stop`."""

    def __init__(
        self, factory: Factory = user_stream_for, look: Look = look_by_guard, *, period: float = PERIOD_SECONDS
    ) -> None:
        """`factory` returns None for an account whose venue tells no events."""
        self._factory, self._look, self._period = factory, look, period
        self.rounds = 0
        """How often it has looked whom there is to listen to."""
        self._listeners: dict[int, tuple[object, Listener]] = {}
        self._ending: dict[int, Listener] = {}
        """Those that were told to end. The listen key of an account is one: nobody begins before the last has ended."""
        self._without: dict[int, tuple[object, float]] = {}
        self._told: dict[int, str] = {}
        """What was logged of accounts without a stream: said once, though it is tried every half minute."""
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads. A second call does nothing."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self.run, name="user-streams", daemon=True)
            self._thread.start()

    def stop(self) -> bool:
        """Stop listening. Returns False when an account was still being looked at and had to be left behind."""
        self.end()
        thread, self._thread = self._thread, None
        if thread is None:
            return True
        thread.join(2 * STOP_SECONDS)
        return not thread.is_alive() and not self._ending

    def left_behind(self) -> list[int]:
        """Return the accounts whose listener had not ended in time."""
        return sorted(self._ending)

    def end(self) -> None:
        """Ask everything to end. Returns at once."""
        self._stopping.set()

    def listening(self) -> list[int]:
        """Return the accounts that are listened to now."""
        return sorted(account_id for account_id, (_, one) in self._listeners.items() if one.stream.connected())

    def run(self) -> None:
        """Listen until `stop` or `end` is called, in the calling thread."""
        try:
            while not self._stopping.is_set():
                self.rounds += 1
                try:
                    _fresh_connection()
                    self._attend()
                except (DatabaseError, InterfaceError) as fault:
                    log.warning("live accounts cannot be read: %s", fault)
                except Exception:
                    log.exception("the user streams are attended to again after a fault of ours")
                self._stopping.wait(self._period)
        finally:
            self._end_all()
            connections.close_all()

    def _attend(self) -> None:
        """Begin with accounts that are new or changed, end with those that are gone, replace threads that broke."""
        wanted = {account.pk: account for account in _live_accounts()}
        for account_id, (made_of, listener) in list(self._listeners.items()):
            account = wanted.get(account_id)
            if account is None or made_of != _made_of(account) or not listener.alive():
                self._drop(account_id)
        self._ending = {account_id: one for account_id, one in self._ending.items() if one.alive()}
        for account_id, account in wanted.items():
            if account_id not in self._listeners | self._ending and not self._stopping.is_set():
                self._begin(account)

    def _begin(self, account: Account) -> None:
        made_of = _made_of(account)
        tried, again = self._without.get(account.pk, (None, 0.0))
        if tried == made_of and time.monotonic() < again:
            return
        self._without[account.pk] = made_of, time.monotonic() + WITHOUT_SECONDS
        stream = self._made(account)
        if stream is not None:
            listener = Listener(account, stream, self._look, period=self._period)
            self._listeners[account.pk] = made_of, listener
            self._without.pop(account.pk, None)
            listener.start()

    def _made(self, account: Account) -> UserStream | None:
        problem = UNTOLD
        try:
            if stream := self._factory(account):
                self._told.pop(account.pk, None)
                return stream
        except (DatabaseError, InterfaceError):
            raise
        except VibexError as fault:
            problem = str(fault)
            if self._told.get(account.pk) != problem:
                log.warning("events of account %s are not heard: %s", account.name, problem)
            self._told[account.pk] = problem
        except Exception:
            problem = "an error, see the log"
            log.exception("events of account %s are not heard by a fault of ours", account.name)
        state_note(account_id=account.pk, connected_at=None, problem=mask_text(problem)[:LONGEST_PROBLEM])
        return None

    def _drop(self, account_id: int) -> None:
        _, listener = self._listeners.pop(account_id)
        listener.end()
        self._ending[account_id] = listener

    def _end_all(self) -> None:
        """End every listener at once, then wait for them together. What looks at an account may be left behind."""
        for account_id in list(self._listeners):
            self._drop(account_id)
        ends = time.monotonic() + STOP_SECONDS
        for account_id, listener in list(self._ending.items()):
            if listener.ended(max(0.0, ends - time.monotonic())):
                del self._ending[account_id]


def state_note(*, account_id: int, **values: Any) -> bool:
    """Store how an account's events are heard. False when the database did not take it: it is told again."""
    try:
        UserStreamState.objects.update_or_create(account_id=account_id, defaults=values)
    except (DatabaseError, InterfaceError) as fault:
        log.warning("it was not stored whether events of account %s are heard: %s", account_id, fault)
        return False
    return True


def _live_accounts() -> list[Account]:
    return list(Account.objects.filter(mode=Account.Mode.LIVE).select_related("credentials").order_by("pk"))


def _made_of(account: Account) -> object:
    """Return what a stream depends on: with other keys it has to be made anew."""
    keys = getattr(account, "credentials", None)
    return account.venue, account.network, keys and keys.updated


def _fresh_connection() -> None:
    if not connection.in_atomic_block:  # a transaction around it belongs to the caller
        close_old_connections()
