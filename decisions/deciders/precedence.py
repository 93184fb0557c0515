"""Those that decide come before those that are only compared: in money, and in places at a provider."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal

from django.conf import settings

from decisions.deciders.ports import Purse, Reservation
from decisions.llm.endpoints import Endpoint
from decisions.llm.turns import turn
from vibex.lib.clock import Deadline


@dataclass(slots=True)
class Precedence:
    """The purse of a bot while it is asked, seen from both sides.

    Who is only compared begins when those that decide have made their first calls, and is let in while there is room
    besides itself for every call that may still follow from them.
    """

    purse: Purse
    deciding: int
    """Models that decide, each of which makes a first call; 0 where rules do."""
    calls: int
    """Models that may be asked for the decision, fallbacks included."""
    begun: threading.Event = field(default_factory=threading.Event)
    over: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    reserved: int = 0
    cost: Decimal = Decimal(0)
    """Of the dearest call of those that decide, in US dollars."""
    tokens: int = 0

    def begin(self) -> None:
        """Start a question: nobody has made a call."""
        self.reserved = 0
        self.begun.clear()
        self.over.clear()
        if not self.deciding:
            self.done()

    def done(self) -> None:
        """Say that the decision needs nothing any more."""
        self.begun.set()
        self.over.set()

    def reserve_first(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside for a call of one that decides. Raises BudgetUsed."""
        with self.lock:
            self.cost, self.tokens = max(self.cost, cost), max(self.tokens, tokens)
            try:
                return self.purse.reserve(cost=cost, tokens=tokens)
            finally:
                self.reserved += 1
                if self.reserved >= self.deciding:
                    self.begun.set()

    def reserve_after(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside for a call of one that is compared. Raises BudgetUsed."""
        with self.lock:
            room = self.purse.reserve(cost=self.cost * self.calls, tokens=self.tokens * self.calls)
            try:
                return self.purse.reserve(cost=cost, tokens=tokens)
            finally:
                self.purse.settle(room, cost=Decimal(0), tokens=0)

    @contextmanager
    def turn_after(self, endpoint: Endpoint, model: str, deadline: Deadline) -> Iterator[None]:
        """Wait for a turn as one that is compared: the last place at a provider is left to those that decide.

        Where there is but one, it is waited for until the decision is made. Raises NoTurn.
        """
        places = endpoint.at_once or settings.LLM_AT_ONCE
        if places <= 1:
            self.over.wait(deadline.left())
        with turn(replace(endpoint, at_once=max(1, places - 1)), model, deadline):
            yield


@dataclass(frozen=True, slots=True)
class First:
    """The purse for those that decide."""

    precedence: Precedence

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        return self.precedence.reserve_first(cost=cost, tokens=tokens)

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        self.precedence.purse.settle(reservation, cost=cost, tokens=tokens)


@dataclass(frozen=True, slots=True)
class After:
    """The purse for those that are only compared."""

    precedence: Precedence

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        return self.precedence.reserve_after(cost=cost, tokens=tokens)

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        self.precedence.purse.settle(reservation, cost=cost, tokens=tokens)
