"""What Hyperliquid says of contracts, orders and positions, in the words of the Exchange port. Pure.

Everything is told in USDC, and as ours: one USDC of such an account is one unit of its books. What cannot be read raises
VenueDown that says what is wrong; one unreadable order or position makes the whole answer unusable.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from decisions.domain.proposal import Side
from marketdata.domain.instruments import Bracket
from trading.domain.venue import OrderReport, OrderSide, OrderType, VenuePosition, VenueStatus
from trading.exchange.through_ccxt.hyperliquid.values import (
    COLLATERAL,
    FIFTEEN,
    Row,
    broken,
    moment,
    number,
    one_of,
    optional_text,
    ours,
    price,
    rows_of,
    side_of,
    symbol_of,
    text,
    whole,
)

type Named = Callable[[str | None, str], str]
"""Returns our name of an order by its cloid, if it has one, and its number."""

LIMITLESS: Final = Decimal("1e12")
MOST_FEE: Final = Decimal("0.05")
"""As a fraction. More is no fee, but a percentage that was taken for a fraction."""
_CONDITIONAL: Final = {"stop": OrderType.STOP_MARKET, "take profit": OrderType.TAKE_PROFIT_MARKET}


@dataclass(frozen=True, slots=True)
class Asset:
    """A contract as the venue counts it."""

    index: int
    coin: str
    decimals: int
    """Of quantities."""
    brackets: tuple[Bracket, ...]

    @property
    def symbol(self) -> str:
        return f"{self.coin.upper()}{COLLATERAL}"


@dataclass(frozen=True, slots=True)
class Funds:
    """Money of the account. `equity` has the unrealised profit in it."""

    equity: Decimal
    used: Decimal
    withdrawable: Decimal


# The market


def assets_of(meta: object) -> dict[str, Asset]:
    """Return the contracts by our symbol."""
    row = one_of(meta, "meta")
    tables = {str(number): table for number, table in row.get("marginTables") or ()}
    found = [
        Asset(
            index=index,
            coin=text(one, "name", "contract"),
            decimals=whole(one, "szDecimals", "contract"),
            brackets=_brackets(one, tables.get(str(one.get("marginTableId")))),
        )
        for index, one in enumerate(rows_of(row.get("universe"), "list of contracts"))
    ]
    return {asset.symbol: asset for asset in found}


def _brackets(row: Row, table: object) -> tuple[Bracket, ...]:
    """Return the steps of the maintenance margin: half of the initial one at the most leverage of each step."""
    tiers = (
        rows_of(table.get("marginTiers"), "margin table")
        if isinstance(table, Mapping)
        else [{"lowerBound": "0", **row}]
    )
    found = list[Bracket]()
    for tier, above in zip(tiers, [*tiers[1:], None], strict=True):
        floor, most = number(tier, "lowerBound", "margin table"), whole(tier, "maxLeverage", "margin table")
        if not most:
            raise broken("margin table", "maxLeverage")
        rate = FIFTEEN.divide(Decimal(1), Decimal(2 * most))
        cum = found[-1].cum + floor * (rate - found[-1].maintenance_rate) if found else Decimal(0)
        cap = number(above, "lowerBound", "margin table") if above else LIMITLESS
        found.append(Bracket(floor, cap, most, rate, FIFTEEN.plus(cum)))
    return tuple(found)


def touch_of(book: object, side: OrderSide) -> Decimal | None:
    """Return the price that a taker of this side meets first, None where nobody offers."""
    levels = one_of(book, "book").get("levels")
    if not isinstance(levels, list) or len(levels) != 2:
        raise broken("book", "levels")
    offers = rows_of(levels[1 if side is OrderSide.BUY else 0], "book")
    return price(offers[0], "px", "book") if offers else None


# Orders


def order_of(row: Row, status: str, at_ms: object, named: Named) -> OrderReport:
    """Return what is said of one order. Its average price is not told here: fills tell it.

    A trigger order that becomes a limit is an order of others; it is told as a limit, and never taken for protection.
    """
    kind = "order"
    oid = str(whole(row, "oid", kind))
    asked, left = number(row, "origSz", kind), number(row, "sz", kind)
    told = text(row, "orderType", kind).lower()
    word = next((made for name, made in _CONDITIONAL.items() if told == f"{name} market"), None)
    whole_position = row.get("isPositionTpsl") is True
    filled = max(asked - left, Decimal(0))
    return OrderReport(
        client_order_id=named(optional_text(row, "cloid"), oid),
        exchange_id=oid,
        symbol=symbol_of(row, kind),
        side=side_of(row, kind),
        type=word or (OrderType.MARKET if told == "market" else OrderType.LIMIT),
        status=_status(status, filled, ioc=str(row.get("tif")).lower() in ("ioc", "frontendmarket")),
        quantity=Decimal(0) if whole_position else asked,
        filled=filled,
        price=None if word else price(row, "limitPx", kind),
        trigger=price(row, "triggerPx", kind) if word else None,
        reduce_only=row.get("reduceOnly") is True and not whole_position,
        close_position=whole_position,
        updated_at=moment(at_ms, kind),
    )


def orders_of(payload: object, named: Named) -> tuple[OrderReport, ...]:
    """Return all open orders of the contracts that are traded here."""
    rows = rows_of(payload, "list of orders")
    return tuple(order_of(row, "open", row.get("timestamp"), named) for row in rows if ours(row))


def status_of(payload: object, named: Named) -> OrderReport:
    """Return the order of an answer to orderStatus."""
    told = one_of(one_of(payload, "order status").get("order"), "order status")
    row = one_of(told.get("order"), "order status")
    return order_of(row, text(told, "status", "order status"), told.get("statusTimestamp"), named)


def placed_at(payload: object) -> int:
    """Return when the order of an answer to orderStatus was placed, in milliseconds."""
    told = one_of(one_of(payload, "order status").get("order"), "order status")
    return whole(one_of(told.get("order"), "order status"), "timestamp", "order status")


def _status(word: str, filled: Decimal, *, ioc: bool) -> VenueStatus:
    if word in ("open", "triggered"):
        return VenueStatus.PARTIALLY_FILLED if filled else VenueStatus.NEW
    if word == "filled":
        return VenueStatus.FILLED
    if word in ("iocCancelRejected", "badAloPxRejected", "marketOrderNoLiquidityRejected"):
        return VenueStatus.EXPIRED  # it was taken, and found nothing to match with
    if word == "rejected" or word.endswith("Rejected"):
        return VenueStatus.REJECTED
    if word in ("canceled", "scheduledCancel"):
        return VenueStatus.EXPIRED if ioc else VenueStatus.CANCELED
    if word.endswith("Canceled"):
        return VenueStatus.EXPIRED if ioc or word in ("reduceOnlyCanceled", "marginCanceled") else VenueStatus.CANCELED
    raise broken("order status", f"status {word[:40]}")


# Money and positions


def funds_of(state: object) -> Funds:
    """Return the money of clearinghouseState."""
    row = one_of(state, "account")
    summary = one_of(row.get("marginSummary"), "account")
    return Funds(
        equity=number(summary, "accountValue", "account"),
        used=number(summary, "totalMarginUsed", "account"),
        withdrawable=number(row, "withdrawable", "account"),
    )


def positions_of(state: object) -> tuple[VenuePosition, ...]:
    """Return what is held."""
    rows = rows_of(one_of(state, "account").get("assetPositions"), "list of positions")
    found = (one_of(row.get("position"), "position") for row in rows)
    return tuple(_position(row) for row in found if number(row, "szi", "position"))


def _position(row: Row) -> VenuePosition:
    kind = "position"
    held, unrealised = number(row, "szi", kind), number(row, "unrealizedPnl", kind)
    leverage = one_of(row.get("leverage"), kind)
    used = number(row, "marginUsed", kind)
    liquidation = number(row, "liquidationPx", kind) if row.get("liquidationPx") is not None else Decimal(0)
    return VenuePosition(
        symbol=symbol_of(row, kind),
        side=Side.LONG if held > 0 else Side.SHORT,
        quantity=abs(held),
        entry_price=FIFTEEN.plus(number(row, "entryPx", kind)),
        mark_price=FIFTEEN.divide(number(row, "positionValue", kind), abs(held)),
        leverage=whole(leverage, "value", kind),
        unrealised=unrealised,
        # Of isolated positions the venue counts the profit in.
        margin=used - unrealised if leverage.get("type") == "isolated" else used,
        liquidation_price=FIFTEEN.plus(liquidation) if liquidation > 0 else None,
    )


# Settings and terms


def leverage_of(payload: object) -> tuple[bool, int]:
    """Return whether a contract is in isolated margin, and its leverage."""
    leverage = one_of(one_of(payload, "leverage").get("leverage"), "leverage")
    return leverage.get("type") == "isolated", whole(leverage, "value", "leverage")


def fees_of(payload: object) -> tuple[Decimal, Decimal]:
    """Return what a maker and a taker pay, as fractions. A maker's may be negative: a rebate."""
    row = one_of(payload, "fees")
    maker, taker = number(row, "userAddRate", "fees"), number(row, "userCrossRate", "fees")
    if not -MOST_FEE <= maker <= MOST_FEE or not 0 <= taker <= MOST_FEE:
        raise broken("fees", "userAddRate or userCrossRate")
    return maker, taker
