"""What Binance says of an account, in the words of the Exchange port. Pure: its own rows go in, plain values come out.

Most of its rows are those that AsterDEX copied and are read as those are: exact decimals out of texts, never ccxt's
floats, and nothing that may hold money is left out. What differs is put into that form here: conditional orders of the
algo service, and settings that stand apart from positions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from marketdata.aster.answers import Throttled
from marketdata.aster.values import Row, broken, number, rows_of, symbol_of, text
from marketdata.venues.public import VenueDown, VenueRefused
from trading.domain.venue import Income, IncomeKind, OrderReport, VenueStatus
from trading.exchange.aster import payloads
from trading.exchange.aster.payloads import LONGEST_KIND, Holding, flag, identity
from vibex.lib.errors import NeedsOperator

VENUE: Final = "Binance"
WAITING: Final = {"NEW": VenueStatus.NEW, "TRIGGERING": VenueStatus.NEW}
ENDED: Final = {
    "CANCELED": VenueStatus.CANCELED,
    "EXPIRED": VenueStatus.EXPIRED,
    "REJECTED": VenueStatus.REJECTED,
}
FIRED: Final = frozenset({"TRIGGERED", "FINISHED"})
"""The order that it became tells the rest."""
IN_MATCH: Final = "EXPIRED_IN_MATCH"
"""Expired, because it would have traded with an order of the same account."""
MOVED: Final = frozenset({"STRATEGY_UMFUTURES_TRANSFER", "AUTO_EXCHANGE", "FUTURES_PRESENT", "BFUSD_TRANSFER"})
"""Money that comes and goes besides trading under names that AsterDEX does not have."""


@contextmanager
def said_by_binance() -> Iterator[None]:
    """Name the venue in errors of what is shared with AsterDEX."""
    try:
        yield
    except (VenueDown, VenueRefused, NeedsOperator, Throttled) as error:
        error.args = (str(error).replace("AsterDEX", VENUE), *error.args[1:])
        raise


# Orders


def order_of(payload: object) -> OrderReport:
    """Return an order of the order service."""
    with said_by_binance():
        row = _one(payload, "order")
        return payloads.order_of({**row, "status": "EXPIRED"} if row.get("status") == IN_MATCH else row)


def child_of(row: Row) -> str:
    """Return the number of the order that a conditional one has become, empty before."""
    number = row.get("actualOrderId")
    return "" if number in (None, "", 0, "0") else identity(row, "actualOrderId", "algo order")


def conditional_of(payload: object, child: OrderReport | None = None) -> OrderReport:
    """Return a conditional order under our id; `child` is what it has become, and tells status and fills.

    Raises VenueDown where it has fired and its order is not known: nobody may take that for waiting, or for gone.
    """
    with said_by_binance():
        row = _one(payload, "algo order")
        told = text(row, "algoStatus", "algo order", most=LONGEST_KIND)
        status = child.status if child else WAITING.get(told) or ENDED.get(told)
        if status is None:
            raise broken("algo order", row, "actualOrderId" if told in FIRED else "algoStatus")
        report = payloads.order_of(
            {
                "orderId": row.get("algoId"),
                "clientOrderId": row.get("clientAlgoId"),
                "symbol": row.get("symbol"),
                "side": row.get("side"),
                "type": row.get("orderType"),
                "status": status.value,
                "origQty": row.get("quantity") or "0",
                "price": row.get("price"),
                "stopPrice": row.get("triggerPrice"),
                "reduceOnly": row.get("reduceOnly"),
                "closePosition": row.get("closePosition"),
                "updateTime": row.get("updateTime"),
                "time": row.get("createTime"),
            }
        )
    if child is None:
        return report
    return replace(
        report,
        quantity=child.quantity or report.quantity,
        filled=child.filled,
        average_price=child.average_price,
        updated_at=child.updated_at or report.updated_at,
    )


def open_orders(conditional: object, plain: object) -> tuple[OrderReport, ...]:
    """Return the open orders of both services as one list: an order that a conditional one became stands under its id."""
    with said_by_binance():
        waiting, resting = rows_of(conditional, "list of algo orders"), rows_of(plain, "list of orders")
    orders = {one.exchange_id: one for one in map(order_of, resting)}
    reports = []
    for row in waiting:
        child = orders.pop(child_of(row), None)
        # Where it was listed as open and its order is not, it has ended in between: open once more, it is asked for.
        between = child is None and row.get("algoStatus") in FIRED
        reports.append(conditional_of({**row, "algoStatus": "NEW"} if between else row, child))
    return (*reports, *orders.values())


# Money and positions


def holdings_of(positions: object, settings: object) -> tuple[Holding, ...]:
    """Return how every symbol of `settings` is set and what is held of it.

    A position whose settings are not told makes the answer unusable.
    """
    with said_by_binance():
        held: dict[str, list[Row]] = {}
        for row in rows_of(positions, "positionRisk"):
            held.setdefault(symbol_of(row, "symbol", "positionRisk"), []).append(row)
        merged: list[Row] = []
        for setting in rows_of(settings, "symbolConfig"):
            symbol = symbol_of(setting, "symbol", "symbolConfig")
            merged += [_set(row, setting) for row in held.pop(symbol, [{"symbol": symbol, "positionAmt": "0"}])]
        left = [row for rows in held.values() for row in rows if number(row, "positionAmt", "positionRisk")]
        if left:
            raise broken("symbolConfig", {"symbol": left[0].get("symbol")}, "its row")
        return payloads.holdings_of(merged)


def _set(row: Row, setting: Row) -> Row:
    told = text(setting, "marginType", "symbolConfig").upper()
    if told not in ("CROSSED", "ISOLATED"):
        raise broken("symbolConfig", setting, "marginType")
    leverage = setting.get("leverage")
    return {**row, "leverage": leverage, "marginType": "isolated" if told == "ISOLATED" else "cross"}


# What happened


def income_of(row: Row) -> Income:
    """Return one change of the wallet."""
    with said_by_binance():
        line = payloads.income_of(row)
    return replace(line, kind=IncomeKind.TRANSFER) if row.get("incomeType") in MOVED else line


def modes_of(payload: object) -> Mapping[str, bool]:
    """Return the modes of the account, and whether it may trade."""
    with said_by_binance():
        row = _one(payload, "accountConfig")
        return {
            name: flag(row, name, "accountConfig") for name in ("dualSidePosition", "multiAssetsMargin", "canTrade")
        }


def settled(rows: Iterable[Row]) -> bool:
    """Return whether no conditional order of these is on its way to become an order."""
    return not any(row.get("algoStatus") in ("TRIGGERING", *FIRED) and not child_of(row) for row in rows)


def _one(payload: Any, kind: str) -> Row:
    rows = rows_of(payload, kind)
    if len(rows) != 1:
        raise broken(kind, {}, f"the one {kind}")
    return rows[0]
