"""What is checked before an order reaches the engine, in the order of the venue: the first failure wins (aster.md 5.3)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Final

from marketdata.domain.snapshot import Quote
from trading.domain.matching import Terms
from trading.domain.venue import ZERO, NewOrder, OrderSide, OrderType, TimeInForce
from trading.exchange_server.accounts import Account
from trading.exchange_server.answers import Parameters, Refusal, missing, needed
from trading.exchange_server.feeding import quote_of
from trading.exchange_server.filters import Filters, Range
from trading.exchange_server.rest import contract_of

CLIENT_ID: Final = re.compile(r"[.A-Z:/a-z0-9_-]{1,36}")
NUMBER: Final = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,20})?")
TYPES: Final = {
    "LIMIT": ("timeInForce", "quantity", "price"),
    "MARKET": ("quantity",),
    "STOP": ("quantity", "price", "stopPrice"),
    "TAKE_PROFIT": ("quantity", "price", "stopPrice"),
    "STOP_MARKET": ("stopPrice",),
    "TAKE_PROFIT_MARKET": ("stopPrice",),
    "TRAILING_STOP_MARKET": ("quantity", "callbackRate"),
}
"""Each type with the parameters that it cannot do without."""
TAKES: Final = {
    "LIMIT": (),
    "MARKET": (),
    "STOP": ("timeInForce",),
    "TAKE_PROFIT": ("timeInForce",),
    "STOP_MARKET": ("quantity", "closePosition"),
    "TAKE_PROFIT_MARKET": ("quantity", "closePosition"),
    "TRAILING_STOP_MARKET": ("activationPrice",),
}
"""What it may have besides."""
TYPED: Final = ("timeInForce", "quantity", "price", "stopPrice", "callbackRate", "activationPrice", "closePosition")
KINDS: Final = {
    "STOP": OrderType.STOP_MARKET,
    "TAKE_PROFIT": OrderType.TAKE_PROFIT_MARKET,
    "TRAILING_STOP_MARKET": OrderType.STOP_MARKET,
}
"""What the engine makes of the types that only their terms tell apart."""
STOPS: Final = ("STOP_MARKET", "TAKE_PROFIT_MARKET", *KINDS)
TIMES: Final = ("GTC", "IOC", "FOK", "GTX", "RPI", "HIDDEN")
MARK, LAST = "MARK_PRICE", "CONTRACT_PRICE"
CALLBACKS: Final = (Decimal("0.1"), Decimal(5))
CALLBACKS_OF_BATCHES: Final = (Decimal("0.1"), Decimal(4))
"""The least and the most callback rate, in percent."""
PERCENT: Final = Decimal(100)
LEVELS: Final = (20, 1_000)
"""So much of the book is looked at for a market order: the first levels, and all of it where they are not enough."""


@dataclass(frozen=True, slots=True)
class Draft:
    """An order that was read and checked as far as its form goes."""

    order: NewOrder
    working_type: str
    answer: str
    """ACK or RESULT."""
    terms: Terms | None = None


def check_order(
    account: Account, given: Parameters, *, client_id: str, replacing: str = "", in_batch: bool = False
) -> Draft:
    """Read an order and check all that comes before position and margin. Raises Refusal.

    `client_id` is the id it gets if it brings none; `replacing` is the id of the order that it takes the place of.
    """
    draft = _read(account, given, client_id, CALLBACKS_OF_BATCHES if in_batch else CALLBACKS)
    order, filters = draft.order, account.filters(draft.order.symbol)
    _check_ids(account, order, replacing)
    _check_modes(account, given, order)
    _check_handled(given)
    _check_numbers(draft, filters)
    _check_prices(account, draft, filters)
    _check_counts(account, order, filters, replacing)
    return draft


def flag(given: Parameters, name: str) -> bool:
    """Return a parameter that is true or false in any spelling. Raises Refusal for anything else."""
    text = (given.get(name) or "false").lower()
    if text not in ("true", "false"):
        raise Refusal(-1130, f"Data sent for parameter '{name}' is not valid.")
    return text == "true"


def number_of(given: Parameters, name: str) -> Decimal | None:
    """Return a decimal, None where none was sent. Raises Refusal for text that is no plain number."""
    text = given.get(name)
    if not text:
        return None
    if not NUMBER.fullmatch(text):
        raise missing(name)
    try:
        return Decimal(text)
    except InvalidOperation:  # pragma: no cover  the pattern lets nothing through that is none
        raise missing(name) from None


def one_of(given: Parameters, name: str, known: tuple[str, ...], refusal: Refusal) -> str:
    value = needed(given, name)
    if value not in known:
        raise refusal
    return value


def _read(account: Account, given: Parameters, client_id: str, callbacks: tuple[Decimal, Decimal]) -> Draft:
    """Step 1: symbol, names out of lists, what a type needs and what it cannot have."""
    contract = contract_of(account.markets, given)
    _check_status(contract.spec.status)
    side = one_of(given, "side", ("BUY", "SELL"), Refusal(-1117, "Invalid side."))
    kind = one_of(given, "type", tuple(TYPES), Refusal(-1116, "Invalid orderType."))
    time = given.get("timeInForce")
    if time and time not in TIMES:
        raise Refusal(-1115, "Invalid timeInForce.")
    working = given.get("workingType") or LAST
    if working not in (MARK, LAST):
        raise Refusal(-4031, f"Invalid parameter working type: {working}")
    answer = given.get("newOrderRespType") or "ACK"
    if answer not in ("ACK", "RESULT"):
        raise Refusal(-1136, "Invalid newOrderRespType.")
    closes = flag(given, "closePosition")
    _check_fields(given, kind, closes)
    order = NewOrder(
        client_order_id=given.get("newClientOrderId") or client_id,
        symbol=contract.symbol,
        side=OrderSide(side),
        type=KINDS[kind] if kind in KINDS else OrderType(kind),
        quantity=number_of(given, "quantity"),
        price=number_of(given, "price"),
        trigger=number_of(given, "stopPrice"),
        time_in_force=_time(time),
        reduce_only=flag(given, "reduceOnly"),
        close_position=closes,
    )
    return Draft(order, working, answer, _terms(account, given, kind, callbacks))


def _time(name: str | None) -> TimeInForce | None:
    """Return the time in force as the engine knows it: FOK is IOC with terms; what is not handled is refused later."""
    if not name:
        return None
    return TimeInForce(name) if name in list(TimeInForce) else TimeInForce.IOC


def _terms(account: Account, given: Parameters, kind: str, callbacks: tuple[Decimal, Decimal]) -> Terms | None:
    """Return what the order wants beyond the port's words, None where that is nothing."""
    protects, whole = flag(given, "priceProtect"), given.get("timeInForce") == "FOK"
    if protects and kind not in STOPS:
        raise not_required("priceProtect")
    trail = number_of(given, "callbackRate") if kind == "TRAILING_STOP_MARKET" else None
    if trail is not None and not callbacks[0] <= trail <= callbacks[1]:
        raise Refusal(-1130, "Data sent for parameter 'callbackRate' is not valid.")
    if kind not in KINDS and not whole and not protects:
        return None
    bound = Decimal(str(account.contract(given["symbol"]).info.get("triggerProtect", 0)))
    return Terms(
        whole=whole,
        protect=bound if protects and bound else None,
        trail=None if trail is None else trail / PERCENT,
        activation=number_of(given, "activationPrice"),
    )


def _check_status(status: str) -> None:
    if status in ("CLOSE", "SETTLING", "PRE_SETTLE"):
        raise Refusal(-4141, "Symbol is closed.")
    if status != "TRADING":
        raise Refusal(-4140, "Invalid symbol status for opening position")


def _check_fields(given: Parameters, kind: str, closes: bool) -> None:
    for name in TYPES[kind]:
        if not given.get(name):
            raise missing(name)
    if "closePosition" in TAKES[kind] and not closes and not given.get("quantity"):
        raise missing("quantity")
    allowed = TYPES[kind] + TAKES[kind]
    for name in TYPED:
        sent = closes if name == "closePosition" else given.get(name)
        if sent and name not in allowed:
            raise not_required(name)


def not_required(name: str) -> Refusal:
    return Refusal(-1106, f"Parameter '{name.lower()}' sent when not required.")


def _check_ids(account: Account, order: NewOrder, replacing: str) -> None:
    """Step 2."""
    if not CLIENT_ID.fullmatch(order.client_order_id):
        raise Refusal(-4015, "Client order id is not valid.")
    taken = {one.client_order_id for one in account.working()} - {replacing}
    if order.client_order_id in taken:
        raise Refusal(-4116, "ClientOrderId is duplicated.")


def _check_modes(account: Account, given: Parameters, order: NewOrder) -> None:
    """Step 3: one-way or hedge mode, and what goes with closePosition."""
    side = given.get("positionSide") or "BOTH"
    if side not in ("BOTH", "LONG", "SHORT"):
        raise Refusal(-4060, "Invalid position side.")
    if (side == "BOTH") == account.dual:
        raise Refusal(-4061, "Order's position side does not match user's setting.")
    if account.dual and given.get("reduceOnly"):
        raise not_required("reduceOnly")
    if order.close_position and order.quantity is not None:
        raise Refusal(-4137, "Quantity must be zero with closePosition equals true")
    if order.close_position and order.reduce_only:
        raise not_required("reduceOnly")


def _check_handled(given: Parameters) -> None:
    """Refuse what the venue can do and this server cannot, in the venue's own words."""
    if given.get("timeInForce") in ("RPI", "HIDDEN") or given.get("positionSide") in ("LONG", "SHORT"):
        raise Refusal(-1014, "Unsupported order combination.")


def _check_numbers(draft: Draft, filters: Filters) -> None:
    """Step 4: precision, sign, tick, step and range of prices and quantity."""
    order, activation = draft.order, None if draft.terms is None else draft.terms.activation
    if activation is not None and activation <= 0:
        raise Refusal(-4135, "Invalid activation price")
    for price in (order.price, order.trigger, activation):
        if price is not None and _decimals(price) > filters.price_decimals:
            raise _too_precise()
    if order.quantity is not None and _decimals(order.quantity) > filters.quantity_decimals:
        raise _too_precise()
    for price, low, high in ((order.price, -4001, -4002), (order.trigger, -4006, -4007), (activation, -4006, -4007)):
        if price is not None:
            _check_price(price, filters.price, low, high)
    if order.quantity is not None:
        _check_quantity(order.quantity, filters.market_lot if order.type is OrderType.MARKET else filters.lot)


def _too_precise() -> Refusal:
    return Refusal(-1111, "Precision is over the maximum defined for this asset.")


def _check_price(price: Decimal, allowed: Range, low: int, high: int) -> None:
    name = "Price" if low == -4001 else "Stop price"
    if price <= 0:
        raise Refusal(low, f"{name} less than zero.")
    if allowed.step and (price - allowed.least) % allowed.step:
        raise Refusal(-4014, "Price not increased by tick size.")
    if allowed.least and price < allowed.least:
        raise Refusal(-4013, "Price less than min price.")
    if allowed.most and price > allowed.most:
        raise Refusal(high, f"{name} greater than max price.")


def _check_quantity(quantity: Decimal, allowed: Range) -> None:
    if quantity <= 0:
        raise Refusal(-4003, "Quantity less than zero.")
    if allowed.step and (quantity - allowed.least) % allowed.step:
        raise Refusal(-4023, "Qty not increased by step size.")
    if quantity < allowed.least:
        raise Refusal(-4004, "Quantity less than min quantity.")
    if allowed.most and quantity > allowed.most:
        raise Refusal(-4005, "Quantity greater than max quantity.")


def _check_prices(account: Account, draft: Draft, filters: Filters) -> None:
    """Steps 5 to 7: distance from the mark price, least notional, and stops that would fire at once."""
    order = draft.order
    quote = quote_of(account.markets, order.symbol, account.markets.now_ms())
    if quote is None:
        raise Refusal(-1112, "No orders on book for symbol.")
    if order.price is not None and order.side is OrderSide.BUY and filters.up and order.price > quote.mark * filters.up:
        raise Refusal(-4016, "Price is higher than mark price multiplier cap.")
    if order.price is not None and order.side is OrderSide.SELL and order.price < quote.mark * filters.down:
        raise Refusal(-4024, "Price is lower than mark price multiplier floor.")
    if order.type is OrderType.MARKET:
        _check_depth(account, order, quote.mark, filters)
    notional = (order.quantity or ZERO) * (order.price or quote.mark)
    if notional < filters.min_notional and not (order.reduce_only or order.close_position):
        text = f"Order's notional must be no smaller than {filters.min_notional} (unless you choose reduce only)"
        raise Refusal(-4164, text)
    if order.type.conditional and order.trigger is not None:
        _check_trigger(order.trigger, draft, quote, order.type is OrderType.STOP_MARKET)
    if draft.terms is not None and draft.terms.activation is not None:
        _check_trigger(draft.terms.activation, draft, quote, False)


def _check_trigger(level: Decimal, draft: Draft, quote: Quote, stops: bool) -> None:
    """Refuse what the price would meet at once. The activation of a trailing stop lies where a target does."""
    falls = (draft.order.side is OrderSide.SELL) == stops
    price = quote.last if draft.working_type == LAST else quote.mark
    if (price <= level) if falls else (price >= level):
        raise Refusal(-2021, "Order would immediately trigger.")


def _check_depth(account: Account, order: NewOrder, mark: Decimal, filters: Filters) -> None:
    """Refuse a market order that would eat the book further than the contract allows."""
    if not filters.take_bound or order.reduce_only:
        return
    depth = account.markets.depths.get(order.symbol)
    if depth is not None and depth.limits(order.side):
        best = depth.best(order.side)  # what goes further than that is filled in part, and its rest expires
        if best is None or abs(best / mark - 1) <= filters.take_bound:
            return
        raise _out_of_bound()
    now, buys = account.markets.now_ms(), order.side is OrderSide.BUY
    for levels in LEVELS:
        bids, asks = account.markets.book(order.symbol, now, levels)
        near = [size for price, size in (asks if buys else bids) if abs(price / mark - 1) <= filters.take_bound]
        if sum(near) >= float(order.quantity or 0):
            return
    raise _out_of_bound()


def _out_of_bound() -> Refusal:
    return Refusal(-4131, "The counterparty's best price does not meet the PERCENT_PRICE filter limit")


def _check_counts(account: Account, order: NewOrder, filters: Filters, replacing: str) -> None:
    """Step 8: how many orders of a symbol may wait."""
    if order.type is OrderType.MARKET or replacing:
        return
    waiting = account.working(order.symbol)
    if len(waiting) >= filters.max_orders:
        raise Refusal(-2025, "Reach max open order limit.")
    if order.type.conditional and sum(one.type.conditional for one in waiting) >= filters.max_stops:
        raise Refusal(-4045, "Reach max stop order limit.")


def _decimals(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))
