"""The guard without a broker: while no task arrives, a thread of the worker looks after the accounts itself.

Tasks come over Redis. When Redis, beat or every free thread of the workers is gone, no task of the guard runs any more,
though database and exchange are there. The heartbeat, a task every ten seconds, tells: it is read from the database.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Final

from django.db import Error, connections
from django.utils import timezone

from accounts.services.alerts.sending import deliveries_send
from trading.selectors.scheduler import heartbeat_at
from trading.services.guard import guard_run
from trading.services.guard_pass import guard_pass
from trading.services.watchers import service_watch

log = logging.getLogger(__name__)

ALONE_AFTER: Final = timedelta(seconds=45)
"""Without a heartbeat for so long the lookout looks itself: before an account that nobody saw counts as late (90 s)."""
LOOK: Final = 5.0
"""Seconds between two looks at the heartbeat."""
EVERY: Final = timedelta(seconds=30)
"""Between two passes of its own."""
AT_ONCE: Final = 4
"""Accounts in doubt that are looked at side by side."""
TOO_LONG: Final = 30.0
"""Seconds that the end of the process waits for a look that has begun."""


class Lookout:
    """A thread of its own, and a few for accounts in doubt. Several lookouts do no harm: a look is made under claims."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._began = self._last = timezone.now()
        self._busy: set[int] = set()
        self._hands = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="lookout")
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Begin nothing new, and wait for what has begun."""
        self._ended.set()
        self._hands.shutdown(wait=False, cancel_futures=True)
        if self._thread.is_alive():
            self._thread.join(TOO_LONG)

    def look(self, now: datetime) -> bool:
        """Do what the guard's tasks would have done, if they did not. Returns whether it did."""
        if not self._alone(now) or now - self._last < EVERY:
            return False
        self._last = now
        log.warning("no task has arrived for a while: accounts are looked after without the broker")
        for account_id in guard_pass().doubts:
            if account_id not in self._busy:
                self._busy.add(account_id)
                self._hands.submit(self._look_at, account_id)
        _each(service_watch, deliveries_send)
        return True

    def _alone(self, now: datetime) -> bool:
        return now - max(self._began, heartbeat_at() or self._began) > ALONE_AFTER

    def _look_at(self, account_id: int) -> None:
        try:
            guard_run(account_id=account_id)
        except Exception:
            log.exception("account %s could not be looked after", account_id)
        finally:
            self._busy.discard(account_id)
            connections.close_all()

    def _run(self) -> None:
        while not self._ended.wait(LOOK):
            try:
                self.look(timezone.now())
            except Error as fault:
                log.warning("nothing can be looked after: the database does not answer (%s)", type(fault).__name__)
            except Exception:
                log.exception("the lookout broke off, and goes on")
            finally:
                connections.close_all()


def _each(*steps: Callable[[], object]) -> None:
    """Do all of it, whatever becomes of one."""
    for step in steps:
        try:
            step()
        except Exception:
            log.exception("%s broke off", getattr(step, "__name__", step))
