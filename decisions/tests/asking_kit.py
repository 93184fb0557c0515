"""A decider of models that are asked at a server on loopback, without a database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal

from decisions.deciders.climb import Link, TakeTurn
from decisions.deciders.model import ModelDecider
from decisions.deciders.ports import NoPurse, Purse, Reservation
from decisions.domain.money import Price
from decisions.domain.question import Asking
from decisions.llm.endpoints import Endpoint
from decisions.tests.builders import MODEL
from vibex.lib.clock import Deadline

PRICE = Price(Decimal("1.25"), Decimal("2.50"))


@contextmanager
def at_once(endpoint: Endpoint, model: str, deadline: Deadline) -> Iterator[None]:
    """A turn that is always there."""
    yield


def decider_at(
    url: str,
    *models: str,
    key: str = "",
    dialect: str = "plain",
    asking: Asking | None = None,
    purse: Purse | None = None,
    turn: TakeTurn = at_once,
    **known: object,
) -> ModelDecider:
    """A decider of models that are all at one server; `known` is what is known of each: also, price, usual_seconds."""
    endpoint = Endpoint(url, key, "openrouter" if dialect == "openrouter" else "local", dialect)
    links = (Link(f"{endpoint.provider}/{model}", model, endpoint, **known) for model in models or (MODEL,))
    return ModelDecider(tuple(links), asking or Asking(), purse or NoPurse(), turn)


class Ledger:
    """A purse that remembers what was set aside and what was booked for it."""

    def __init__(self, limit: str = "1000") -> None:
        self.limit, self.booked = Decimal(limit), {}

    def reserve(self, *, cost: Decimal, tokens: int) -> Reservation:
        from decisions.deciders.ports import BudgetUsed

        if self.total + cost > self.limit:
            raise BudgetUsed(f"budget: {self.total} of {self.limit} US dollars of today are used")
        reservation = Reservation(str(len(self.booked)), cost, tokens)
        self.booked[reservation.key] = (cost, tokens, "reserved")
        return reservation

    def settle(self, reservation: Reservation, *, cost: Decimal | None, tokens: int) -> None:
        kind = "estimate" if cost is None else "cost"
        self.booked[reservation.key] = (reservation.cost if cost is None else cost, tokens, kind)

    @property
    def total(self) -> Decimal:
        return sum((cost for cost, _, _ in self.booked.values()), Decimal(0))

    def kinds(self) -> Sequence[str]:
        return [kind for _, _, kind in self.booked.values()]
