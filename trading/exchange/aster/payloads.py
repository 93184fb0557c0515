"""What AsterDEX says of an account, in the words of the Exchange port. Pure: JSON goes in, plain values come out.

One number comes as text here and as a number there, one row with or without a list around it, a moment in milli-, micro-
or nanoseconds. What cannot be read raises VenueDown that says what is wrong. Nothing that may hold money is ever left
out: one unreadable order, position or payment makes the whole answer unusable.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side
from marketdata.aster.values import (
    HIGHEST,
    LOWEST,
    Row,
    amount,
    broken,
    number,
    price,
    rounded,
    rows_of,
    symbol_of,
    text,
    whole,
)
from trading.domain.venue import (
    SETTLED_IN,
    Collateral,
    Income,
    IncomeKind,
    OrderReport,
    OrderSide,
    OrderType,
    Trade,
    VenuePosition,
    VenueStatus,
)
from vibex.lib.clock import from_ms

LONGEST_ID: Final = 60
LONGEST_KIND: Final = 60
MOST_LEVERAGE: Final = 1_000
ONE_WAY: Final = "BOTH"
ISOLATED: Final = "isolated"
_NANOSECONDS, _MICROSECONDS = 10**17, 10**14
"""From here on a moment cannot be meant in smaller units: 10^14 ms is the year 5138, 10^14 µs the year 1973."""
_MOMENT: Final = re.compile(r"[0-9]{1,19}")
_NAMED: Final = {type_.value: type_ for type_ in OrderType}
_STATUSES: Final = {status.value: status for status in VenueStatus} | {
    "NEW_INSURANCE": VenueStatus.NEW,
    "NEW_ADL": VenueStatus.NEW,
}
_MOVED: Final = frozenset(
    {"WELCOME_BONUS", "INTERNAL_TRANSFER", "CROSS_COLLATERAL_TRANSFER", "COIN_SWAP_DEPOSIT", "COIN_SWAP_WITHDRAW"}
)
"""Money that comes and goes besides trading under names of its own: never profit, never loss."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Funds:
    """Money of the account in USDT, and what else lies there. `margin` is in use by positions and open orders."""

    wallet: Decimal
    available: Decimal
    margin: Decimal
    others: tuple[Collateral, ...] = ()


@dataclass(frozen=True, slots=True)
class Holding:
    """One row of positionRisk: what is held of a symbol, and how the symbol is set. `position` is None when flat."""

    symbol: str
    leverage: int
    isolated: bool
    one_way: bool
    position: VenuePosition | None


# Orders


def order_of(payload: object) -> OrderReport:
    """Return what is said of one order.

    The type is the one it was placed with: when a stop fires, `type` becomes MARKET and only `origType` still tells.
    Types that Vibex never places (STOP, TAKE_PROFIT, TRAILING_STOP_MARKET, LIQUIDATION) are orders of others; they
    are reported as LIMIT where they have a price, else as MARKET, so that none is ever taken for protection.
    """
    row = _one(payload, "order")
    filled = amount(row, "executedQty", "order", Decimal(0))
    return OrderReport(
        client_order_id=identity(row, "clientOrderId", "order"),
        exchange_id=identity(row, "orderId", "order"),
        symbol=symbol_of(row, "symbol", "order"),
        side=_side(row, "order"),
        type=_type(row),
        status=_status(row),
        quantity=amount(row, "origQty", "order"),
        filled=filled,
        average_price=_optional_price(row, "avgPrice", computed=True) if filled else None,
        price=_optional_price(row, "price"),
        trigger=_optional_price(row, "stopPrice"),
        reduce_only=flag(row, "reduceOnly", "order", default=False),
        close_position=flag(row, "closePosition", "order", default=False),
        updated_at=instant(row, "updateTime", "order") or instant(row, "time", "order"),
    )


def orders_of(payload: object) -> tuple[OrderReport, ...]:
    """Return all orders of a list, in its order."""
    return tuple(order_of(row) for row in rows_of(payload, "list of orders"))


# Money and positions


def funds_of(payload: object) -> Funds:
    """Return the USDT of a balance answer. An account that never held any has none of it."""
    found, others = None, list[Collateral]()
    for row in rows_of(payload, "balance"):
        asset = text(row, "asset", "balance", most=LONGEST_ID)
        if asset == SETTLED_IN:
            found = _usdt(row)
        elif balance := number(row, "balance", "balance"):
            others.append(Collateral(asset, balance))
    usdt = found or Funds(Decimal(0), Decimal(0), Decimal(0))
    return Funds(usdt.wallet, usdt.available, usdt.margin, tuple(sorted(others, key=lambda one: one.asset)))


def _usdt(row: Row) -> Funds:
    """In use is what counts as margin and is not free: of isolated positions their own, of cross ones the initial."""
    wallet, available = number(row, "balance", "balance"), amount(row, "availableBalance", "balance")
    unrealised = number(row, "crossUnPnl", "balance") if row.get("crossUnPnl") is not None else Decimal(0)
    return Funds(wallet, available, max(wallet + unrealised - available, Decimal(0)))


def holdings_of(payload: object) -> tuple[Holding, ...]:
    """Return every row of positionRisk, the flat ones included."""
    return tuple(_holding(row) for row in rows_of(payload, "positionRisk"))


def held_in(payload: object) -> tuple[Holding, ...]:
    """Return the rows of positionRisk that hold something; nothing else is read of the flat ones, which are hundreds."""
    rows = rows_of(payload, "positionRisk")
    return tuple(_holding(row) for row in rows if number(row, "positionAmt", "positionRisk"))


def _holding(row: Row) -> Holding:
    held = number(row, "positionAmt", "positionRisk")
    leverage = whole(row, "leverage", "positionRisk", least=1, most=MOST_LEVERAGE)
    isolated = text(row, "marginType", "positionRisk").lower() == ISOLATED
    return Holding(
        symbol=symbol_of(row, "symbol", "positionRisk"),
        leverage=leverage,
        isolated=isolated,
        one_way=row.get("positionSide", ONE_WAY) == ONE_WAY,
        position=_position(row, held, leverage, isolated=isolated) if held else None,
    )


def _position(row: Row, held: Decimal, leverage: int, *, isolated: bool) -> VenuePosition:
    kind = "positionRisk"
    entry, mark = (_must_price(row, name) for name in ("entryPrice", "markPrice"))
    unrealised = number(row, "unRealizedProfit", kind)
    return VenuePosition(
        symbol=symbol_of(row, "symbol", kind),
        side=Side.LONG if held > 0 else Side.SHORT,
        quantity=abs(held),
        entry_price=entry,
        mark_price=mark,
        leverage=leverage,
        unrealised=unrealised,
        margin=_own_margin(row, unrealised) if isolated else abs(held) * mark / leverage,
        liquidation_price=_liquidation(row),
    )


def _liquidation(row: Row) -> Decimal | None:
    """Return where the venue would liquidate, None where no price goes: zero, below, or beyond what a price can be."""
    value = rounded(number(row, "liquidationPrice", "positionRisk"))
    return value if LOWEST <= value < HIGHEST else None


def _own_margin(row: Row, unrealised: Decimal) -> Decimal:
    """Return what was put aside for an isolated position: `isolatedWallet`, which the documents do not show. There,
    `isolatedMargin` has the unrealised profit in it."""
    if row.get("isolatedWallet") is not None:
        return number(row, "isolatedWallet", "positionRisk")
    return number(row, "isolatedMargin", "positionRisk") - unrealised


# What happened


def trade_of(row: Row, client_order_id: str = "") -> Trade:
    """Return one execution. Its row knows the order's number only; the client id has to be found elsewhere.

    The documents show a fee as a negative number, accounts get it as a positive one, and no fee list has a rebate: so
    whatever its sign, it was paid.
    """
    kind = "userTrade"
    at = instant(row, "time", kind)
    filled = price(row, "price", kind)
    if at is None or filled is None:
        raise broken(kind, row, "time" if at is None else "price")
    return Trade(
        trade_id=identity(row, "id", kind),
        client_order_id=client_order_id,
        exchange_id=identity(row, "orderId", kind),
        symbol=symbol_of(row, "symbol", kind),
        side=_side(row, kind),
        quantity=amount(row, "qty", kind),
        price=filled,
        fee=abs(number(row, "commission", kind)),
        realised=number(row, "realizedPnl", kind),
        maker=flag(row, "maker", kind),
        at=at,
        fee_asset=_asset(row, "commissionAsset"),
    )


def income_of(row: Row) -> Income:
    """Return one change of the wallet.

    Transaction numbers are unique within one of the venue's kinds only. A kind that has no name of its own here is
    written in front of the number, so that nothing is lost and nothing is taken for something else.
    """
    kind = "income"
    at = instant(row, "time", kind)
    if at is None:
        raise broken(kind, row, "time")
    told = text(row, "incomeType", kind, most=LONGEST_KIND)
    meant = _income_kind(told)
    number_ = identity(row, "tranId", kind)
    return Income(
        transaction_id=number_ if meant.value == told else f"{told}:{number_}"[:LONGEST_ID],
        kind=meant,
        symbol=symbol_of(row, "symbol", kind) if row.get("symbol") else "",
        amount=number(row, "income", kind),
        at=at,
        trade_id=identity(row, "tradeId", kind) if row.get("tradeId") not in (None, "") else "",
        asset=_asset(row, "asset"),
    )


def _income_kind(told: str) -> IncomeKind:
    if told in IncomeKind:
        return IncomeKind(told)
    if told in _MOVED:
        return IncomeKind.TRANSFER
    log.warning("AsterDEX changed the wallet for a reason that Vibex does not know: %s. It is booked as other.", told)
    return IncomeKind.OTHER


# Settings of the account


def leverage_of(payload: object) -> int:
    """Return the leverage that was set."""
    return whole(_one(payload, "leverage"), "leverage", "leverage", least=1, most=MOST_LEVERAGE)


def hedge_of(payload: object) -> bool:
    """Return whether the account may hold both sides of a symbol."""
    return flag(_one(payload, "position mode"), "dualSidePosition", "position mode")


def multi_asset_of(payload: object) -> bool:
    """Return whether all assets of the account carry its positions together."""
    return flag(_one(payload, "margin assets"), "multiAssetsMargin", "margin assets")


# Single values


def instant(row: Row, name: str, kind: str) -> datetime | None:
    """Return a moment given in milli-, micro- or nanoseconds, as number or text; None where it is missing or zero."""
    value = row.get(name)
    told = "0" if value is None else value if isinstance(value, str) else str(value) if type(value) is int else ""
    if not _MOMENT.fullmatch(told):
        raise broken(kind, row, name)
    since = int(told)
    per_ms = 1_000_000 if since >= _NANOSECONDS else 1_000 if since >= _MICROSECONDS else 1
    return from_ms(since // per_ms) if since else None


def flag(row: Row, name: str, kind: str, *, default: bool | None = None) -> bool:
    """Return a truth value, given as such or as text in any case. `default`, if there is one, where it is missing."""
    value = row.get(name)
    if value is None and default is not None:
        return default
    told = {"true": True, "false": False}.get(str(value).lower()) if isinstance(value, bool | str) else None
    if told is None:
        raise broken(kind, row, name)
    return told


def _one(payload: object, kind: str) -> Row:
    """Return the one row of an answer, in a list or not."""
    rows = rows_of(payload, kind)
    if len(rows) != 1 or not isinstance(rows[0], Mapping):
        raise broken(kind, {}, f"the one {kind}")
    return rows[0]


def identity(row: Row, name: str, kind: str) -> str:
    """Return a number or a name that something is known by, as text."""
    value = row.get(name)
    told = str(value) if type(value) is int else value
    if not isinstance(told, str) or not 0 < len(told) <= LONGEST_ID:
        raise broken(kind, row, name)
    return told


def _asset(row: Row, name: str) -> str:
    return text(row, name, "payment", most=LONGEST_ID) if row.get(name) else SETTLED_IN


def _side(row: Row, kind: str) -> OrderSide:
    told = row.get("side")
    if told not in ("BUY", "SELL"):
        raise broken(kind, row, "side")
    return OrderSide(told)


def _type(row: Row) -> OrderType:
    told = text(row, "origType" if row.get("origType") else "type", "order", most=LONGEST_KIND)
    if told in _NAMED:
        return _NAMED[told]
    return OrderType.LIMIT if _optional_price(row, "price") else OrderType.MARKET


def _status(row: Row) -> VenueStatus:
    told = text(row, "status", "order", most=LONGEST_KIND)
    if told not in _STATUSES:
        raise broken("order", row, "status")
    return _STATUSES[told]


def _optional_price(row: Row, name: str, *, computed: bool = False) -> Decimal | None:
    """Return a price of an order, None where there is none: missing, empty or zero."""
    return None if row.get(name) in (None, "") else price(row, name, "order", computed=computed)


def _must_price(row: Row, name: str) -> Decimal:
    """Return a price of a position: an average or a mark, computed both, with as many digits as a division leaves."""
    value = price(row, name, "positionRisk", computed=True)
    if value is None or value >= HIGHEST:
        raise broken("positionRisk", row, name)
    return value
