"""Rows that are new since metrics looked last: what happened to orders, fills, comparisons with exchanges, incidents."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from django.db.models import Case, Value, When

from accounts.models import Account, Incident
from trading.domain.orders import NEVER_PLACED
from trading.models import Fill, Order, OrderEvent, Reconciliation
from vibex.lib.cursor import MOST, Cursor

REFUSED = "refused"

_BADGE = Case(
    When(account__mode=Account.Mode.PAPER, then=Value("paper")),
    When(account__network=Account.Network.TESTNET, then=Value("testnet")),
    default=Value("live"),
)
"""As `Account.badge`."""


class OrderRow(NamedTuple):
    """One thing that happened to an order."""

    pk: int
    state: str
    role: str
    origin: str
    data: dict[str, Any]

    @property
    def ours(self) -> bool:
        return self.origin == Order.Origin.OURS

    @property
    def refused_by(self) -> str:
        """Return who refused it: `us`, `venue`, or nobody: ""."""
        if self.state == Order.State.DENIED:
            return "us"
        reason = str(self.data.get("reason", ""))
        refused = self.state == Order.State.DONE and (reason == REFUSED or reason.startswith(NEVER_PLACED))
        return "venue" if refused else ""


class FillRow(NamedTuple):
    pk: int
    badge: str
    role: str
    side: str
    symbol: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    maker: bool
    at: datetime
    trigger: Decimal | None
    seen: dict[str, Any] | None
    """What the cycle of its order had seen of the market, by symbol; None for one without."""

    @property
    def worse_by(self) -> Decimal | None:
        """Return by which share of it the price was worse than the one wanted; 0 where it was better. None: none is known.

        Wanted is the trigger of a stop or target; of an entry or close the price that the bot was shown.
        """
        wanted = self.trigger or self._shown
        if not wanted:
            return None
        sign = 1 if self.side == "BUY" else -1
        return max(Decimal(0), sign * (self.price - wanted) / wanted)

    @property
    def _shown(self) -> Decimal | None:
        told = (self.seen or {}).get(self.symbol) or {}
        return Decimal(str(told["price"])) if told.get("price") else None


class ComparedRow(NamedTuple):
    pk: int
    agreed: bool
    mended: list[Any]
    left: list[Any]
    seconds: float | None


class IncidentRow(NamedTuple):
    pk: int
    kind: str
    severity: str


def order_events_after(cursor: Cursor) -> list[OrderRow]:
    """Return what happened to orders. One query."""
    columns = ("pk", "state", "order__role", "order__origin", "data")
    return [OrderRow(*row) for row in cursor.after(OrderEvent.objects.all()).values_list(*columns)[:MOST]]


def fills_after(cursor: Cursor) -> list[FillRow]:
    """Return fills that are new. One query."""
    columns = (
        *("pk", "badge", "order__role", "side", "symbol", "quantity", "price", "fee", "maker", "at", "order__trigger"),
        "order__cycle__seen",
    )
    fills = Fill.objects.annotate(badge=_BADGE)
    return [FillRow(*row) for row in cursor.after(fills).values_list(*columns)[:MOST]]


def comparisons_after(cursor: Cursor) -> list[ComparedRow]:
    """Return comparisons of books and exchange that are new. One query."""
    columns = ("pk", "agreed", "mended", "left", "seconds")
    return [ComparedRow(*row) for row in cursor.after(Reconciliation.objects.all()).values_list(*columns)[:MOST]]


def incidents_after(cursor: Cursor) -> list[IncidentRow]:
    """Return incidents that are new. One query."""
    columns = ("pk", "kind", "severity")
    return [IncidentRow(*row) for row in cursor.after(Incident.objects.all()).values_list(*columns)[:MOST]]
