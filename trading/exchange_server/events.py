"""What an account tells on its user stream: orders, balances, positions and margin calls (aster.md 1.7 and 5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from trading.domain.matching import Changes, OrderRecord, PositionRecord
from trading.domain.matching.margin import maintenance_margin
from trading.domain.matching.types import shown
from trading.domain.venue import ZERO, Income, IncomeKind, Trade, VenuePosition, VenueStatus
from trading.exchange_server.accounts import ASSET, CROSSED, Account
from trading.exchange_server.order_rows import is_forced, kind_now, kind_of, text, time_of, trail_of
from vibex.lib.clock import to_ms

type Event = dict[str, Any]

MARGIN_CALL: Final = Decimal("0.8")
"""A margin call goes out when maintenance margin ÷ margin balance rises above this."""
REASONS: Final = {IncomeKind.FUNDING_FEE: "FUNDING_FEE", IncomeKind.INSURANCE_CLEAR: "INSURANCE_CLEAR"}
"""Changes of the wallet that are told by themselves; those of a trade are told with it."""


def order_events(account: Account, changes: Changes, now: int, *, known: set[int]) -> list[Event]:
    """Return all that a change is told by, in order: for each order NEW, its trades each with the balance, its end.

    `known` holds the orders that were told of before; new ones are added.
    """
    told = [event for income in changes.income for event in _transfer(account, income, now)]
    for order in changes.orders:
        told.extend(_of_order(account, order, changes, now, known))
    told.extend(_paid(account, income, now) for income in changes.income if income.kind in REASONS)
    return told


def margin_calls(account: Account, now: int) -> list[Event]:
    """Return a margin call for what has come close to liquidation since the last look: once, until it is safe again."""
    state = account.state()
    danger = [one for one in state.positions if _ratio(account, one, state.equity) > MARGIN_CALL]
    names = {one.symbol for one in danger}
    fresh = [one for one in danger if one.symbol not in account.called]
    account.called = names
    if not fresh:
        return []
    return [
        {
            "e": "MARGIN_CALL",
            "E": now,
            "cw": f"{cross_wallet(account):.8f}",
            "p": [_called(account, one) for one in fresh],
        }
    ]


def leverage_event(symbol: str, leverage: int, now: int) -> Event:
    return {"e": "ACCOUNT_CONFIG_UPDATE", "E": now, "T": now, "ac": {"s": symbol, "l": leverage}}


def margin_type_event(account: Account, symbol: str, now: int) -> Event:
    return _update(account, "MARGIN_TYPE_CHANGE", now, now, [symbol])


def expiry(now: int) -> Event:
    return {"e": "listenKeyExpired", "E": now}


def cross_wallet(account: Account) -> Decimal:
    """Return the wallet without what is set aside for isolated positions."""
    state = account.engine.state()
    aside = sum((one.margin for one in state.positions if account.margin_type(one.symbol) != CROSSED), ZERO)
    return state.wallet - aside


def forced(order: OrderRecord, now: int) -> Event:
    """Return what everybody hears of a liquidation."""
    average = shown(order.filled_cost / order.filled)
    return {
        "e": "forceOrder",
        "E": now,
        "o": {
            "s": order.symbol, "S": order.side.value, "o": "LIMIT", "f": "IOC", "q": text(order.quantity),
            "p": text(average), "ap": text(average), "X": order.status.value, "l": text(order.filled),
            "z": text(order.filled), "T": to_ms(order.updated),
        },
    }  # fmt: skip


def _of_order(account: Account, order: OrderRecord, changes: Changes, now: int, known: set[int]) -> Iterator[Event]:
    trades = [trade for trade in changes.trades if trade.exchange_id == str(order.exchange_id)]
    amended = account.number(order) != order.exchange_id
    if order.exchange_id not in known:
        known.add(order.exchange_id)
        if amended:
            yield _order(account, _before(order, trades), "AMENDMENT", now)
        elif not is_forced(order):
            yield _order(account, _untouched(order), "NEW", now)
    done = _before(order, trades)
    for trade in trades:
        done = done.with_fill(quantity=trade.quantity, cost=trade.quantity * trade.price, at=trade.at)
        yield _order(account, done, "CALCULATED" if is_forced(order) else "TRADE", now, trade)
        yield _update(account, "ORDER", now, to_ms(trade.at), [order.symbol])
    if order.status in (VenueStatus.CANCELED, VenueStatus.EXPIRED):
        yield _order(account, order, order.status.value, now)


def _untouched(order: OrderRecord) -> OrderRecord:
    quantity = ZERO if order.close_position else order.quantity
    return replace(
        order, status=VenueStatus.NEW, filled=ZERO, filled_cost=ZERO, updated=order.created, quantity=quantity
    )


def _before(order: OrderRecord, trades: list[Trade]) -> OrderRecord:
    """Return the order as it was before these trades."""
    filled = order.filled - sum((trade.quantity for trade in trades), ZERO)
    cost = order.filled_cost - sum((trade.quantity * trade.price for trade in trades), ZERO)
    status = VenueStatus.PARTIALLY_FILLED if filled else VenueStatus.NEW
    return replace(order, status=status, filled=filled, filled_cost=cost if filled else ZERO)


def _order(account: Account, order: OrderRecord, what: str, now: int, trade: Trade | None = None) -> Event:
    extra = account.extras[order.exchange_id]
    kind = "LIQUIDATION" if is_forced(order) else kind_of(order)
    at = to_ms(trade.at if trade else order.updated)
    body: dict[str, Any] = {
        "s": order.symbol,
        "c": order.client_order_id,
        "S": order.side.value,
        "o": kind if is_forced(order) else kind_now(order),
        "f": time_of(order),
        "q": text(order.quantity),
        "p": text(order.price or ZERO),
        "ap": text(shown(order.filled_cost / order.filled)) if order.filled else "0",
        "sp": text(order.trigger or ZERO),
        "x": what,
        "X": order.status.value,
        "i": extra.number,
        "l": text(trade.quantity) if trade else "0",
        "z": text(order.filled),
        "L": text(trade.price) if trade else "0",
        "N": ASSET,
        "n": text(trade.fee) if trade else "0",
        "T": at,
        "t": int(trade.trade_id) if trade else 0,
        "b": "0",
        "a": "0",
        "m": trade.maker if trade else False,
        "R": order.reduce_only,
        "wt": extra.working_type,
        "ot": kind,
        "ps": "BOTH",
        "cp": order.close_position,
        "rp": text(trade.realised) if trade else "0",
        "pP": order.terms is not None and order.terms.protect is not None,
    }
    if order.terms is not None and order.terms.trail is not None:
        trail = trail_of(order)
        body |= {"AP": trail["activatePrice"], "cr": trail["priceRate"]}
    return {"e": "ORDER_TRADE_UPDATE", "E": now, "T": at, "o": body}


def _transfer(account: Account, income: Income, now: int) -> Iterator[Event]:
    if income.kind is IncomeKind.TRANSFER:
        reason = "DEPOSIT" if income.amount > 0 else "WITHDRAW"
        yield _update(account, reason, now, to_ms(income.at), [], change=income.amount)


def _paid(account: Account, income: Income, now: int) -> Event:
    """Return a change of the wallet that is no trade: with cross margin only the balance is told."""
    symbols = [] if account.margin_type(income.symbol) == CROSSED else [income.symbol]
    return _update(account, REASONS[income.kind], now, to_ms(income.at), symbols, change=income.amount)


def _update(
    account: Account, reason: str, now: int, at: int, symbols: list[str], *, change: Decimal = ZERO
) -> Event:  # fmt: skip
    wallet = account.engine.state().wallet
    balance = {"a": ASSET, "wb": f"{wallet:.8f}", "cw": f"{cross_wallet(account):.8f}", "bc": text(change)}
    positions = [_position(account, symbol) for symbol in symbols]
    return {"e": "ACCOUNT_UPDATE", "E": now, "T": at, "a": {"m": reason, "B": [balance], "P": positions}}


def _position(account: Account, symbol: str) -> dict[str, Any]:
    held = account.position(symbol)
    mark = account.engine.prices(symbol).mark
    isolated = account.margin_type(symbol) != CROSSED
    return {
        "s": symbol,
        "pa": text(held.quantity) if held else "0",
        "ep": text(held.entry_price) if held else "0.00000",
        "cr": text(account.realised.get(symbol, ZERO)),
        "up": text(held.unrealised(mark or held.entry_price)) if held else "0",
        "mt": "isolated" if isolated else "cross",
        "iw": f"{held.margin if held and isolated else ZERO:.8f}",
        "ps": "BOTH",
    }


def _ratio(account: Account, position: VenuePosition, equity: Decimal) -> Decimal:
    """Return maintenance margin ÷ what carries it; with cross margin that of the whole account."""
    if account.margin_type(position.symbol) == CROSSED:
        needed = sum((_maintenance(account, one) for one in account.state().positions), ZERO)
        balance = equity
    else:
        needed, balance = _maintenance(account, position), position.margin + position.unrealised
    return needed / balance if balance > 0 else Decimal("Infinity")


def _maintenance(account: Account, position: VenuePosition) -> Decimal:
    return maintenance_margin(account.spec(position.symbol), position.quantity * position.mark_price)


def _called(account: Account, position: VenuePosition) -> dict[str, Any]:
    held = account.position(position.symbol) or PositionRecord(
        position.symbol, ZERO, ZERO, ZERO, position.leverage, account.now
    )
    isolated = account.margin_type(position.symbol) != CROSSED
    return {
        "s": position.symbol,
        "ps": "BOTH",
        "pa": text(held.quantity),
        "mt": "ISOLATED" if isolated else "CROSSED",
        "iw": text(held.margin) if isolated else "0",
        "mp": text(position.mark_price),
        "up": text(position.unrealised),
        "mm": text(_maintenance(account, position)),
    }
