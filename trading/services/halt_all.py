"""Halting several accounts at once: all are latched before any exchange is called, then each is worked on by itself.

One that hangs or fails delays no other. Nothing but the database and the exchanges is needed.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from django.db import connections

from accounts.models import Account, User
from trading.selectors.halts import halt_in_force
from trading.services.halt import Halted, halt_latch, halt_work, report_of
from vibex.lib.clock import Deadline

log = logging.getLogger(__name__)

WORK_FOR: Final = 60.0
"""Seconds for which accounts are worked on before they are left to the guard."""
APART: Final = 1.0
AT_ONCE: Final = 12
"""Accounts that are worked on at the same moment: each holds a connection of the pool of 20."""

type TellOf = Callable[[Account, str, str], None]
"""Called from any thread with the account, what was done, and about what."""


@dataclass(slots=True)
class _Press:
    """One press of the button: what is wanted of all accounts, and how far each is."""

    reason: str
    actor: User | None
    keep_positions: bool
    tell: TellOf
    until: Deadline
    slots: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(AT_ONCE))
    latched: dict[int, bool] = field(default_factory=dict)
    """By account, whether this press latched it. One that is missing could not be latched yet."""
    faults: dict[int, str] = field(default_factory=dict)

    def latch(self, account: Account) -> None:
        """Latch an account; a database that refuses is asked again by whoever works on the account."""
        try:
            self.latched[account.pk] = halt_latch(
                account=account, reason=self.reason, actor=self.actor, keep_positions=self.keep_positions
            )
        except Exception as fault:
            log.exception("account %s could not be latched", account.pk)
            self.faults[account.pk] = f"it could not be latched: {fault}"
            return
        self.faults.pop(account.pk, None)
        self.tell(account, "latched", "" if self.latched[account.pk] else "it was halted already")

    def work(self, account: Account) -> None:
        """Work on an account until it is flat or time is up. Runs in a thread of its own."""
        while True:
            with self.slots:
                flat = self._go(account)
            if flat or self.until.passed():
                return
            time.sleep(APART)

    def _go(self, account: Account) -> bool:
        try:
            if account.pk not in self.latched:
                self.latch(account)
            if account.pk not in self.latched:
                return False
            done = halt_work(
                account_id=account.pk,
                latched=self.latched[account.pk],
                tell=lambda kind, text: self.tell(account, kind, text),
            )
        except Account.DoesNotExist:
            return True
        except Exception as fault:
            log.exception("the halt of account %s broke off", account.pk)
            self.faults[account.pk] = f"{type(fault).__name__}: {fault}"
            return False
        finally:
            connections.close_all()
        self.faults.pop(account.pk, None)
        return done.flat or not done.halted


def accounts_halt(
    *,
    accounts: Sequence[Account],
    reason: str,
    actor: User | None = None,
    keep_positions: bool = False,
    wait: float = WORK_FOR,
    work_for: float = WORK_FOR,
    tell: TellOf = lambda account, kind, text: None,
) -> list[Halted]:
    """Halt accounts, wait at most `wait` seconds for the proof that all are flat, and return how each stands.

    They are worked on in the background for `work_for` seconds, also when the caller does not wait for that.
    """
    press = _Press(reason, actor, keep_positions, tell, Deadline(max(wait, work_for)))
    for account in accounts:
        press.latch(account)
    patience = Deadline(wait)
    threads = [
        threading.Thread(target=press.work, args=(account,), name=f"halt-{account.pk}", daemon=True)
        for account in accounts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(patience.left())
    return [_report(account, press) for account in accounts]


def _report(account: Account, press: _Press) -> Halted:
    fresh = Account.objects.get(pk=account.pk)
    halt, fault = halt_in_force(fresh), press.faults.get(account.pk, "")
    if halt is None:
        return Halted(account.pk, account.name, latched=False, halted=False, problem=fault or "it was lifted meanwhile")
    return report_of(halt, fresh, latched=press.latched.get(account.pk, False), problem=fault)
