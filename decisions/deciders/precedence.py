"""One purse for those that decide and those that are only compared: the latter never spend what the former may need."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

from decisions.deciders.ports import Purse, Reservation

PATIENCE: Final = 60.0
"""Seconds after which whoever decides has had its turn: no deadline of an ask is longer."""


@dataclass(slots=True)
class Precedence:
    """The purse of a bot while it is asked, seen from both sides.

    Who decides reserves first. Who is only compared waits for that, and is let in while there is room besides itself for
    every call that may still follow from those that decide.
    """

    purse: Purse
    deciding: int
    """Models that decide, each of which makes a first call; 0 where rules do."""
    calls: int
    """Models that may be asked for the decision, fallbacks included."""
    first_come: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    reserved: int = 0
    cost: Decimal = Decimal(0)
    """Of the dearest call of those that decide, in US dollars."""
    tokens: int = 0

    def begin(self) -> None:
        """Start a question: nobody has had its turn."""
        self.reserved = 0
        self.first_come.clear()
        if not self.deciding:
            self.first_come.set()

    def done(self) -> None:
        """Let those that wait go on: the decision needs nothing any more, or never did."""
        self.first_come.set()

    def reserve_first(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside for a call of one that decides. Raises BudgetUsed."""
        with self.lock:
            self.cost, self.tokens = max(self.cost, cost), max(self.tokens, tokens)
            try:
                return self.purse.reserve(cost=cost, tokens=tokens)
            finally:
                self.reserved += 1
                if self.reserved >= self.deciding:
                    self.first_come.set()

    def reserve_after(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside for a call of one that is compared, when its turn has come. Raises BudgetUsed."""
        self.first_come.wait(PATIENCE)
        with self.lock:
            room = self.purse.reserve(cost=self.cost * self.calls, tokens=self.tokens * self.calls)
            try:
                return self.purse.reserve(cost=cost, tokens=tokens)
            finally:
                self.purse.settle(room, cost=Decimal(0), tokens=0)


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
