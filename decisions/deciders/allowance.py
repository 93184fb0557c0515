"""What a test may pay for models: one sum for all of its runs, however many go on at once."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from threading import Lock

from decisions.deciders.ports import BudgetUsed, Reservation
from vibex.lib.errors import Rejected


class MoneyUsed(Rejected):
    """The next question would cost more than may still be paid. Nothing was sent; what was paid for is kept."""


@dataclass(slots=True)
class Allowance:
    """US dollars that may be paid from now on; `most` None: as much as it costs. Safe from every thread."""

    most: Decimal | None = None
    paid: Decimal = Decimal(0)
    held: Decimal = Decimal(0)
    """Set aside for requests that are under way."""
    _lock: Lock = field(default_factory=Lock)

    def hold(self, cost: Decimal) -> bool:
        """Set aside what a request may cost; False where there is not enough left."""
        with self._lock:
            if self.most is not None and self.paid + self.held + cost > self.most:
                return False
            self.held += cost
            return True

    def pay(self, held: Decimal, cost: Decimal) -> None:
        """Book what a request cost in the place of what was set aside."""
        with self._lock:
            self.held -= held
            self.paid += cost


@dataclass(slots=True)
class Pocket:
    """The port `Purse` of one run: it takes from the allowance of all, and knows whether it was refused."""

    allowance: Allowance
    refused: str = ""
    """Why a request could not be paid for, "" while none was refused."""

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        cost = max(Decimal(0), cost)
        if not self.allowance.hold(cost):
            self.refused = (
                f"{self.allowance.paid:.4f} of {self.allowance.most} US dollars are paid, and the next question "
                f"may cost up to {cost:.4f}"
            )
            raise BudgetUsed(f"budget: {self.refused}", code="budget")
        return Reservation("", cost, tokens)

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        self.allowance.pay(reservation.cost, reservation.cost if cost is None else max(Decimal(0), cost))
