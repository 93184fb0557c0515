"""Listens to every live account whose venue tells its events, and has the account looked at when they demand it.

Accounts share a few threads and take turns: an account applies its events in short ones and is looked at in long ones,
which have threads of their own. It never has two at once: while it is looked at, further events wait, and however many they
are, one more look follows. So nothing of one account holds up another, as long as fewer are slow than there are threads.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Final

from django.conf import settings
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, connections

from accounts.models import Account
from trading.exchange.aster.user_stream import AsterUserStream
from trading.exchange.user_stream import UserStream
from trading.selectors.hearing import UNTOLD
from trading.services.exchanges import listen_keys_for
from trading.services.guard import guard_run
from trading.services.user_listener import Listener, Look, made_of
from trading.services.user_stream_states import Told, states_note, told_before
from vibex.lib.errors import VibexError
from vibex.lib.turns import Turns

log = logging.getLogger(__name__)

type Factory = Callable[[Account], UserStream | None]

PERIOD_SECONDS: Final = 3.0
"""New, changed and removed accounts are noticed within this."""
NOTE_SECONDS: Final = 5.0
"""How often the last signs of life are stored, of all accounts together."""
GATHER_SECONDS: Final = 0.2
"""What changes within this is stored together."""
APPLY_AT_ONCE: Final = 4
LOOK_AT_ONCE: Final = 8
"""Accounts whose events are applied, and that are looked at, at the same time. Each holds a connection to the database."""
WITHOUT_SECONDS: Final = 30.0
"""An account whose stream could not be made is tried again after this."""
STOP_SECONDS: Final = 5.0


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


@dataclass(frozen=True, slots=True)
class Without:
    """An account that has no stream now."""

    made_of: object
    again: float
    """When it is tried again, on the monotonic clock."""
    told: Told


class UserStreams:
    """Keeps one listener for each live account, from `start` to `stop`."""

    def __init__(
        self, factory: Factory = user_stream_for, look: Look = look_by_guard, *, period: float = PERIOD_SECONDS
    ) -> None:
        """`factory` returns None for an account whose venue tells no events."""
        self._factory, self._look, self._period = factory, look, period
        self.rounds = 0
        """How often it has looked whom there is to listen to, or begun with somebody: many at once take a while."""
        self._listeners: dict[int, Listener] = {}
        self._ending: dict[int, Listener] = {}
        """Those that were told to end. The listen key of an account is one: nobody begins before the last has ended."""
        self._without: dict[int, Without] = {}
        self._complaints: dict[int, str] = {}
        """What was logged of accounts without a stream: said once, though it is tried every half minute."""
        self._noted: dict[int, Told] = {}
        self._noted_life = 0.0
        self._changed: deque[int] = deque()
        self._news, self._stopping = threading.Event(), threading.Event()
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
        self._news.set()

    def listening(self) -> list[int]:
        """Return the accounts that are listened to now."""
        return sorted(account_id for account_id, one in self._listeners.items() if one.stream.connected())

    def run(self) -> None:
        """Listen until `stop` or `end` is called, in the calling thread."""
        turns = Turns("user-events", short=APPLY_AT_ONCE, long=LOOK_AT_ONCE)
        turns.start()
        attend_at = 0.0
        try:
            while not self._stopping.is_set():
                self.rounds += 1
                try:
                    _fresh_connection()
                    if time.monotonic() >= attend_at:
                        attend_at = time.monotonic() + self._period
                        self._attend(turns)
                        self._changed.extend((*self._listeners, *self._without))
                    self._note()
                except (DatabaseError, InterfaceError) as fault:
                    log.warning("live accounts cannot be read: %s", fault)
                except Exception:
                    log.exception("the user streams are attended to again after a fault of ours")
                self._news.wait(max(0.0, attend_at - time.monotonic()))
                self._news.clear()
                self._stopping.wait(min(GATHER_SECONDS, self._period))
        finally:
            self._end_all()
            turns.stop()
            connections.close_all()

    def _attend(self, turns: Turns) -> None:
        """Begin with accounts that are new or changed, end with those that are gone, replace listeners that broke."""
        wanted = _live_accounts()
        for account_id, listener in list(self._listeners.items()):
            if wanted.get(account_id) != listener.made_of or listener.broken:
                self._drop(account_id)
        self._let_go()
        self._without = {account_id: one for account_id, one in self._without.items() if account_id in wanted}
        now, taken = time.monotonic(), {*self._listeners, *self._ending}
        new = [
            account_id
            for account_id, made in wanted.items()
            if account_id not in taken
            and not ((tried := self._without.get(account_id)) and tried.made_of == made and now < tried.again)
        ]
        for account in _accounts(new):
            if self._stopping.is_set():
                return
            self._begin(account, turns)

    def _begin(self, account: Account, turns: Turns) -> None:
        self.rounds += 1
        stream, problem = self._made(account)
        if stream is None:
            told = replace(told_before(account), connected_at=None, problem=problem)
            self._without[account.pk] = Without(made_of(account), time.monotonic() + WITHOUT_SECONDS, told)
            return
        self._without.pop(account.pk, None)
        self._complaints.pop(account.pk, None)
        listener = Listener(account, stream, self._look, turns, changed=self._has_changed)
        self._listeners[account.pk] = listener
        listener.start()

    def _made(self, account: Account) -> tuple[UserStream | None, str]:
        """Return the stream of an account, or why there is none."""
        try:
            return self._factory(account), UNTOLD
        except (DatabaseError, InterfaceError):
            raise
        except VibexError as fault:
            problem = str(fault)
            if self._complaints.get(account.pk) != problem:
                log.warning("events of account %s are not heard: %s", account.name, problem)
            self._complaints[account.pk] = problem
            return None, problem
        except Exception:
            log.exception("events of account %s are not heard by a fault of ours", account.name)
            return None, "an error, see the log"

    def _has_changed(self, account_id: int) -> None:
        self._changed.append(account_id)
        self._news.set()

    def _note(self) -> None:
        """Store how events are heard where that has changed, and now and then all last signs of life: in one statement."""
        changed = {self._changed.popleft() for _ in range(len(self._changed))}
        life = time.monotonic() >= self._noted_life + NOTE_SECONDS
        told = self._told_of(changed | self._listeners.keys() if life else changed)
        news = {
            account_id: one
            for account_id, one in told.items()
            if (before := self._noted.get(account_id)) is None or (one != before if life else not one.says(before))
        }
        if states_note(news):
            self._noted.update(news)
            self._noted_life = time.monotonic() if life else self._noted_life

    def _told_of(self, accounts: Iterable[int]) -> dict[int, Told]:
        """Return how the events of these accounts are heard. One that cannot be asked for a fault of ours is replaced."""
        told = {}
        for account_id in accounts:
            if listener := self._listeners.get(account_id):
                try:
                    told[account_id] = listener.told()
                except Exception:
                    log.exception("account %s is not listened to by a fault of ours", listener.account.name)
                    listener.broken = True
            elif without := self._without.get(account_id):
                told[account_id] = without.told
        return told

    def _drop(self, account_id: int) -> None:
        self._ending[account_id] = self._listeners.pop(account_id)
        self._ending[account_id].end()

    def _let_go(self) -> None:
        """Forget those that have ended."""
        over = {account_id: one.told() for account_id, one in self._ending.items() if one.ended()}
        for account_id in over:
            del self._ending[account_id]
            self._noted.pop(account_id, None)
        states_note(over)

    def _end_all(self) -> None:
        """End every listener at once, then wait for them together. What looks at an account may be left behind."""
        for account_id in list(self._listeners):
            self._drop(account_id)
        ends = time.monotonic() + STOP_SECONDS
        ended = {account_id: one.told() for account_id, one in self._ending.items()}
        while self._ending and time.monotonic() < ends:
            self._ending = {account_id: one for account_id, one in self._ending.items() if not one.ended()}
            time.sleep(0.01 if self._ending else 0)
        states_note(ended)


def _live_accounts() -> dict[int, object]:
    """Return what the streams of all live accounts depend on."""
    live = Account.objects.filter(mode=Account.Mode.LIVE).order_by("pk")
    return {
        account_id: tuple(rest)
        for account_id, *rest in live.values_list("pk", "venue", "network", "credentials__updated")
    }


def _accounts(ids: list[int]) -> Iterable[Account]:
    return Account.objects.filter(pk__in=ids).select_related("credentials", "user_stream").order_by("pk") if ids else ()


def _fresh_connection() -> None:
    if not connection.in_atomic_block:  # a transaction around it belongs to the caller
        close_old_connections()
