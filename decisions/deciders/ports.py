"""What a decider that asks models needs from the house, as ports: money, prices and what was learned."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol

from decisions.domain.money import Price
from vibex.lib.errors import Rejected


class BudgetUsed(Rejected):
    """A call would pass what the models of the bot may cost, or use, today. Nothing was sent."""


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money and tokens that are set aside for one call."""

    key: str
    """What the purse knows it by."""
    cost: Decimal
    """US dollars."""
    tokens: int


class Purse(Protocol):
    """The money of the day of one bot. Never holds a database connection while a model is waited for."""

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        """Set aside what a call may cost. Raises BudgetUsed, which says how much is used, when the limit would be passed."""
        ...

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        """Replace what was set aside by what was used; `cost` None leaves the estimate, 0 gives all of it back."""
        ...


class NoPurse:
    """A purse without a bottom: for a backtest, and for tests."""

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        return Reservation("", cost, tokens)

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        """Do nothing."""


class Known(Protocol):
    """What is known of models from their catalogues and from earlier calls."""

    def price(self, provider: str, model: str) -> Price | None:
        """Return the price of a model, None where nobody knows it."""
        ...

    def canonical(self, provider: str, model: str) -> str:
        """Return the name under which a model says that it answers, "" where nobody knows it."""
        ...

    def usual_seconds(self, provider: str, model: str) -> float:
        """Return the median time of the model's last answers, in seconds; 0.0 where there are none."""
        ...


class NothingKnown:
    """Where there is neither a catalogue nor a history."""

    def price(self, provider: str, model: str) -> Price | None:
        return None

    def canonical(self, provider: str, model: str) -> str:
        return ""

    def usual_seconds(self, provider: str, model: str) -> float:
        return 0.0
