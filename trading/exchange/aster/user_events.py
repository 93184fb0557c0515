"""What AsterDEX tells on a user stream, in the words of `trading.domain.venue_events`. Pure: a message goes in, an event
comes out.

An order on the stream has the fields of an order over REST under short names, so both are read by the same lines. What
cannot be read raises VenueDown, and nothing that may hold money is left out: who listens then has to ask by REST.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side
from marketdata.aster.values import Row, amount, broken, number, rounded, rows_of, symbol_of, text, whole
from marketdata.venues.public import VenueDown
from trading.domain.venue import SETTLED_IN, Trade
from trading.domain.venue_events import (
    AccountChanged,
    ConfigChanged,
    Execution,
    Gap,
    MarginCalled,
    OrderChanged,
    PositionTold,
    TakenBy,
    VenueEvent,
)
from trading.exchange.aster.payloads import LONGEST_ID, LONGEST_KIND, MOST_LEVERAGE, instant, order_of, trade_of

ORDER: Final[Mapping[str, str]] = {
    "c": "clientOrderId", "i": "orderId", "s": "symbol", "S": "side", "o": "type", "ot": "origType", "X": "status",
    "q": "origQty", "z": "executedQty", "ap": "avgPrice", "p": "price", "sp": "stopPrice", "R": "reduceOnly",
    "cp": "closePosition", "T": "updateTime",
}  # fmt: skip
"""Fields of an order: their names on the stream, and over REST."""
TRADE: Final[Mapping[str, str]] = {
    "t": "id", "i": "orderId", "s": "symbol", "S": "side", "l": "qty", "L": "price", "n": "commission",
    "N": "commissionAsset", "rp": "realizedPnl", "m": "maker", "T": "time",
}  # fmt: skip
"""Fields of an execution, likewise."""
LIQUIDATED, DELEVERAGED = "autoclose-", "adl_autoclose"
"""How client ids begin of orders with which the venue takes a position over."""
EXPIRED: Final = "the listen key expired"
_TAKEN_STATUS: Final = {"NEW_INSURANCE": TakenBy.LIQUIDATION, "NEW_ADL": TakenBy.ADL}
_FILLS: Final = (Execution.TRADE, Execution.CALCULATED)


def event_of(message: object) -> VenueEvent | None:
    """Return the event of a message; None for an announcement, an answer or a kind that says nothing of the account.

    Raises VenueDown for what is an event of the account and cannot be read.
    """
    if not isinstance(message, Mapping):
        raise VenueDown("AsterDEX sent something on the user stream that is no object.")
    row = message["data"] if "stream" in message and isinstance(message.get("data"), Mapping) else message
    kind = row.get("e")
    read = READERS.get(kind) if isinstance(kind, str) else None
    return read(row) if read else None


def _order_changed(row: Row) -> OrderChanged:
    told = _inside(row, "o", "order event")
    execution = _execution(told)
    return OrderChanged(
        at=_at(row, "order event"),
        execution=execution,
        report=order_of(_renamed(told, ORDER)),
        trade=_trade(told) if _executed(told, execution) else None,
        taken_by=_taken_by(told, execution),
    )


def _execution(told: Row) -> Execution:
    name = text(told, "x", "order event", most=LONGEST_KIND)
    if not name:
        raise broken("order event", told, "x")
    return Execution(name) if name in Execution else Execution.OTHER


def _executed(told: Row, execution: Execution) -> bool:
    """Return whether the event is an execution. A takeover is told before, too, when nothing of it is filled yet."""
    if execution not in _FILLS:
        return False
    filled = amount(told, "l", "order event")
    if not filled and execution is Execution.TRADE:
        raise broken("order event", told, "l")
    return bool(filled)


def _trade(told: Row) -> Trade:
    """Return the execution. Where no fee was paid, the venue sends none."""
    if told.get("t") in (None, 0, "0"):
        raise broken("order event", told, "t")
    row = _renamed(told, TRADE)
    if row.get("commission") is None:
        row["commission"] = "0"
    return trade_of(row, _client_id(told))


def _taken_by(told: Row, execution: Execution) -> TakenBy:
    name = _client_id(told)
    if name.startswith(DELEVERAGED):
        return TakenBy.ADL
    if name.startswith(LIQUIDATED):
        return TakenBy.LIQUIDATION
    if (status := told.get("X")) in _TAKEN_STATUS:
        return _TAKEN_STATUS[status]
    forced = execution is Execution.CALCULATED or "LIQUIDATION" in (told.get("o"), told.get("ot"))
    return TakenBy.LIQUIDATION if forced else TakenBy.NOBODY


def _account_changed(row: Row) -> AccountChanged:
    kind = "account event"
    told = _inside(row, "a", kind)
    wallet = None
    for balance in rows_of(told.get("B", []), kind):
        if text(balance, "a", kind, most=LONGEST_ID) == SETTLED_IN:
            wallet = number(balance, "wb", kind)
    return AccountChanged(
        at=_at(row, kind),
        reason=text(told, "m", kind, most=LONGEST_KIND),
        wallet=wallet,
        positions=tuple(_position(one) for one in rows_of(told.get("P", []), kind)),
    )


def _position(row: Row) -> PositionTold:
    kind = "position event"
    held = number(row, "pa", kind)
    sided = {"LONG": Side.LONG, "SHORT": Side.SHORT}.get(str(row.get("ps")))
    return PositionTold(
        symbol=symbol_of(row, "s", kind),
        side=sided or (Side.SHORT if held < 0 else Side.LONG),
        quantity=abs(held),
        entry_price=rounded(amount(row, "ep", kind)) if held else Decimal(0),
    )


def _margin_called(row: Row) -> MarginCalled:
    kind = "margin call"
    return MarginCalled(_at(row, kind), tuple(symbol_of(one, "s", kind) for one in rows_of(row.get("p"), kind)))


def _config_changed(row: Row) -> ConfigChanged:
    kind = "settings event"
    if isinstance(row.get("ac"), Mapping):
        set_to = row["ac"]
        leverage = whole(set_to, "l", kind, least=1, most=MOST_LEVERAGE)
        return ConfigChanged(_at(row, kind), f"the leverage of {symbol_of(set_to, 's', kind)} is {leverage}")
    shared = _inside(row, "ai", kind).get("j")
    return ConfigChanged(_at(row, kind), f"multi-assets mode is {'on' if shared else 'off'}")


def _expired(row: Row) -> Gap:
    return Gap(_at(row, "expiry"), EXPIRED)


def _at(row: Row, kind: str) -> datetime:
    at = instant(row, "E", kind)
    if at is None:
        raise broken(kind, row, "E")
    return at


def _inside(row: Row, name: str, kind: str) -> Row:
    found = row.get(name)
    if not isinstance(found, Mapping):
        raise broken(kind, {}, name)
    return found


def _client_id(told: Row) -> str:
    return text(told, "c", "order event", most=LONGEST_ID)


def _renamed(told: Row, names: Mapping[str, str]) -> dict[str, object]:
    """Return the fields that there are, under their names over REST."""
    return {long: told[short] for short, long in names.items() if short in told}


READERS: Final[Mapping[str, Callable[[Row], VenueEvent]]] = {
    "ORDER_TRADE_UPDATE": _order_changed,
    "ACCOUNT_UPDATE": _account_changed,
    "MARGIN_CALL": _margin_called,
    "ACCOUNT_CONFIG_UPDATE": _config_changed,
    "listenKeyExpired": _expired,
}
"""Kinds of messages that say something of the account. All others are announcements, or about the market."""
