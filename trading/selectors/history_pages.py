"""Orders and trades of one account as pages list them, newest first: the same rows and the same words to narrow them as the API's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import F, QuerySet

from accounts.models import Account
from trading.domain.orders import FINAL
from trading.models import Fill, Order
from trading.selectors.books import FillLine, OrderLine
from trading.selectors.standing import rules_from, with_rules

SIDES: Final = ("BUY", "SELL")


@dataclass(frozen=True, slots=True)
class OrdersAsked:
    """What of the orders is wanted; empty: whatever it is."""

    symbol: str = ""
    role: str = ""
    state: str = ""
    """A state, or `open` for all that may still do something."""
    origin: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> OrdersAsked:
        """Return what an address asks for. A word that there is not asks for nothing."""
        return cls(
            symbol=given.get("symbol", "")[:30],
            role=_one_of(given.get("role"), Order.Role.values),
            state=_one_of(given.get("state"), ("open", *Order.State.values)),
            origin=_one_of(given.get("origin"), Order.Origin.values),
        )


@dataclass(frozen=True, slots=True)
class TradesAsked:
    """What of the trades is wanted; empty: whatever it is."""

    symbol: str = ""
    role: str = ""
    side: str = ""

    @classmethod
    def of(cls, given: Mapping[str, str]) -> TradesAsked:
        """Return what an address asks for. A word that there is not asks for nothing."""
        role, side = _one_of(given.get("role"), Order.Role.values), _one_of(given.get("side"), SIDES)
        return cls(given.get("symbol", "")[:30], role, side)


def orders_of(account: Account, asked: OrdersAsked) -> QuerySet[Order]:
    """Return the orders of an account, for `order_line`."""
    rows = Order.objects.filter(account=account).order_by("-created", "-id")
    wanted = {name: value for name in ("symbol", "role", "origin") if (value := getattr(asked, name))}
    rows = rows.filter(**wanted)
    if asked.state == "open":
        rows = rows.exclude(state__in=FINAL)
    elif asked.state:
        rows = rows.filter(state=asked.state)
    ruled: QuerySet[Order] = with_rules(rows, account.market)
    return ruled


def trades_of(account: Account, asked: TradesAsked) -> QuerySet[Fill]:
    """Return the executions on an account, for `fill_line`."""
    rows = Fill.objects.filter(account=account).order_by("-at", "-id")
    names = {"symbol": "symbol", "role": "order__role", "side": "side"}
    rows = rows.filter(**{column: value for name, column in names.items() if (value := getattr(asked, name))})
    ruled: QuerySet[Fill] = with_rules(rows, account.market).annotate(
        role=F("order__role"), client_order_id=F("order__client_order_id"), cycle_of=F("order__cycle_id")
    )
    return ruled


def order_line(row: Order) -> OrderLine:
    """Return an order that `orders_of` gave, with how it is written."""
    return OrderLine(row, rules_from(row))


def fill_line(row: Fill) -> FillLine:
    """Return an execution that `trades_of` gave, with how it is written and what it brought."""
    return FillLine(row, rules_from(row), row.realised - row.fee, vars(row)["role"])


def choices_of(account: Account) -> dict[str, Any]:
    """Return by what the lists can be narrowed. One query."""
    symbols = account.positions.order_by("symbol").values_list("symbol", flat=True).distinct()
    states = [("open", "working"), *Order.State.choices]
    return {
        "symbols": list(symbols),
        "roles": Order.Role.choices,
        "states": states,
        "origins": Order.Origin.choices,
        "sides": SIDES,
    }


def _one_of(given: str | None, known: Any) -> str:
    return given if given is not None and given in known else ""
