"""What a life drawn by chance is made of: a bot that is interrupted, faults, processes that die, a person at the venue.

Everything is real but three things: waits are short, weight is plenty, and a minute passes when it is told to.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Any, Final

import pytest
from django.db.models import F
from django.utils import timezone

from accounts.models import Account
from decisions.deciders import rules
from decisions.domain.proposal import Proposal
from decisions.models import Cycle
from marketdata.aster import http as aster_http
from marketdata.aster.http import AsterHttp
from marketdata.aster.wire import HttpWire
from marketdata.models import VenueBudget
from marketdata.services.budget import DatabaseBudget
from marketdata.venues.public import Purpose
from trading.domain.orders import ARRIVES_WITHIN
from trading.exchange_server.answers import Refusal
from trading.exchange_server.faults import Fault
from trading.models import Claim, Order
from trading.services import exchanges
from trading.services.journal.base import IntentVoid
from trading.services.journal.orm import OrmJournal
from trading.tests.live_kit import SYMBOL, LiveHouse, live_house
from vibex.lib.errors import VibexError

PATIENCE: Final = 0.5
"""Seconds that our client waits for an answer."""
LATE: Final = 0.7
"""Seconds by which a delayed request is late: it is carried out after its sender has given up."""
MORTAL: Final = (
    "plan", "sending", "cancelling", "observe", "move", "asked_in_vain", "take_in", "claim", "release", "book",
    "book_stated", "adopted", "book_income", "bracket", "equity", "incident", "mended", "lock", "stage", "ruled", "diary",
)  # fmt: skip
"""What a journal writes: before each of it, and before and after each request, a process can die."""


class Killed(BaseException):
    """The process ended here. Nothing that stands after it is done, nothing is cleaned up."""


@dataclass
class Mortality:
    """Lets a process die at its so many-th deed, and do nothing from then on."""

    left: int | None = None
    dead: bool = False

    def tick(self) -> None:
        """Count one deed. Raises Killed at the last one, and ever after."""
        if self.left is not None:
            self.left -= 1
            self.dead = self.dead or self.left < 0
        if self.dead:
            raise Killed

    def live(self, left: int | None = None) -> None:
        """Begin a new process, that lives for `left` deeds."""
        self.left, self.dead = left, False


class MortalWire(HttpWire):
    """Carries requests, and may die just before one leaves, or when it was carried out and nobody has read the answer."""

    def __init__(self, base_url: str, mortality: Mortality) -> None:
        super().__init__(base_url)
        self._mortality, self._url = mortality, base_url

    def carry(self, *args: Any, **named: Any) -> Any:
        self._mortality.tick()
        answer = super().carry(*args, **named)
        self._mortality.tick()
        return answer

    def another(self) -> MortalWire:
        return MortalWire(self._url, self._mortality)


@dataclass
class Life:
    """One account with its bot, its faults and its deaths."""

    house: LiveHouse
    mortality: Mortality
    counts: Counter[str]
    faults: list[Fault] = field(default_factory=list)
    doom: int | None = None
    """After how many deeds the next process dies; None: it does not."""
    meanwhile: Callable[[], None] | None = None
    """What happens while the bot thinks."""

    def process(self, work: Callable[[], Any]) -> Any:
        """Let a process do something, and die at it when its time has come. None when it did not get to its end."""
        self.mortality.live(self.doom)
        self.doom = None
        try:
            return work()
        except Killed:
            self.counts["! died"] += 1
            exchanges.exchanges_forget()
        except (VibexError, IntentVoid) as fault:
            self.counts[f"! {type(fault).__name__}"] += 1
        finally:
            self.mortality.live()
            self._land()
        return None

    def fault(self, kind: str, **options: Any) -> None:
        """Let requests fail from now on."""
        seconds = {"delay": LATE, "delay-after": LATE, "418": 5.0}.get(kind, 0.0)
        self.house.served.control.fault(kind, seconds=seconds, **options)
        self.faults.append(self.house.served.server.faults.rest[-1])

    def calm(self) -> None:
        """Take the faults away, let bans be over."""
        for fault in self.faults:
            self.counts[f"~ {fault.kind}"] += fault.struck
        self.faults.clear()
        self.house.served.control.clear()
        VenueBudget.objects.update(blocked_until=None, told_until=None)

    def a_minute_passes(self) -> None:
        """Let leases and claims of the dead run out, and nothing that was sent be on its way any more."""
        account, gone = self.house.bot.account_id, timezone.now() - timedelta(seconds=1)
        past = ARRIVES_WITHIN + timedelta(seconds=1)
        Order.objects.filter(account=account).update(sent_at=F("sent_at") - past, created=F("created") - past)
        Claim.objects.filter(account=account).update(until=gone)
        Cycle.objects.filter(account=account, status=Cycle.Status.RUNNING).update(lease_until=gone)

    def by_hand(self, method: str, **form: str) -> bool:
        """Do something as a person at the venue does: past Vibex and its faults. False when the venue refused it."""
        try:
            self.house.served.control.order(self.house.user, method, symbol=SYMBOL, **form)
        except Refusal:
            return False
        return True

    def decide(self) -> tuple[Proposal, ...]:
        """Return what the bot proposes, after what happened while it thought."""
        happens, self.meanwhile = self.meanwhile, None
        if happens:
            happens()
        return self.house.proposals.pop(0) if self.house.proposals else ()

    def _land(self) -> None:
        """Wait until a request has landed whose sender has given up."""
        if any(fault.struck and "delay" in fault.kind for fault in self.faults):
            time.sleep(LATE)
            for fault in [one for one in self.faults if one.struck and "delay" in one.kind]:
                self.counts[f"~ {fault.kind}"] += fault.struck
                self.faults.remove(fault)


@contextmanager
def a_life(name: str, counts: Counter[str]) -> Iterator[Life]:
    """Open an account at an exchange of its own."""
    with ExitStack() as stack:
        patch = stack.enter_context(pytest.MonkeyPatch.context())
        house = stack.enter_context(live_house(patch, name=name))
        Account.objects.filter(pk=house.bot.account_id).update(
            created=house.clock.at
        )  # by the market's clock, as all is
        life = Life(house, Mortality(), counts)
        _hurried(patch, life.mortality)
        patch.setitem(rules.RULES, "scripted", lambda question: life.decide())
        exchanges.exchanges_forget()
        yield life


def _hurried(patch: pytest.MonkeyPatch, mortality: Mortality) -> None:
    """Let our clients be impatient and mortal, with weight for thousands of requests a minute."""

    def client(url: str, budget: DatabaseBudget, purpose: Purpose, **_: Any) -> AsterHttp:
        wire = MortalWire(url, mortality)
        return AsterHttp(url, budget, purpose, timeout=PATIENCE, patience=4 * PATIENCE, jitter=0, wire=wire)

    patch.setattr(exchanges, "AsterHttp", client)
    patch.setattr(exchanges, "DatabaseBudget", partial(DatabaseBudget, limit=10**7))
    for name, seconds in (("FIRST_PAUSE", 0.01), ("FIRST_BLOCK", 0.05), ("LONGEST_BLOCK", 0.1), ("LONGEST_GUESS", 0.1)):
        patch.setattr(aster_http, name, seconds)
    for name in MORTAL:
        patch.setattr(OrmJournal, name, _mortal(getattr(OrmJournal, name), mortality))


def _mortal(work: Callable[..., Any], mortality: Mortality) -> Callable[..., Any]:
    def done(*args: Any, **named: Any) -> Any:
        mortality.tick()
        return work(*args, **named)

    return done
