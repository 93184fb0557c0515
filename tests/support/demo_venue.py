"""What the paper venue knows of the demo's history: the orders, trades, positions and ledger that its books were made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from accounts.models import Account
from trading.models import (
    Fill,
    IncomeEntry,
    Order,
    PaperAccount,
    PaperIncome,
    PaperOrder,
    PaperPosition,
    PaperTrade,
    Position,
)

NEXT_ID = 100_000
"""Above every id of the demo."""

type Line = tuple[str, str, Decimal, datetime, str]
"""Kind, symbol, amount, time and trade of a line of the ledger."""


def venue(account: Account, orders: Sequence[Order], positions: Sequence[Position], *, opened: datetime) -> None:
    """Write both sides of what happened, so that venue and books agree and the account can be traded on."""
    fills = list(Fill.objects.filter(account=account).order_by("at", "pk"))
    lines = [("TRANSFER", "", account.starting_balance, opened, ""), *_lines(fills, positions)]
    paper = PaperAccount.objects.create(
        account=account, wallet=sum(line[2] for line in lines), opened=opened, next_id=NEXT_ID,
        leverages={position.symbol: position.leverage for position in positions},
    )  # fmt: skip
    _ledger(paper, lines)
    PaperOrder.objects.bulk_create(_order(paper, order) for order in orders)
    PaperTrade.objects.bulk_create(_trade(paper, fill) for fill in fills)
    PaperPosition.objects.bulk_create(_position(paper, position) for position in positions if position.closed is None)


def _lines(fills: Iterable[Fill], positions: Iterable[Position]) -> list[Line]:
    trades = [
        (kind, fill.symbol, amount, fill.at, fill.exchange_trade_id)
        for fill in fills
        for kind, amount in (("REALIZED_PNL", fill.realised), ("COMMISSION", -fill.fee))
        if amount
    ]
    paid = [
        ("FUNDING_FEE", each.symbol, each.funding, each.closed, "")
        for each in positions
        if each.closed and each.funding
    ]
    return sorted([*trades, *paid], key=lambda line: line[3])


def _ledger(paper: PaperAccount, lines: Iterable[Line]) -> None:
    for number, (kind, symbol, amount, at, trade_id) in enumerate(lines, 1):
        line = {"kind": kind, "symbol": symbol, "amount": amount, "at": at, "trade_id": trade_id}
        PaperIncome.objects.create(paper=paper, transaction_id=number, **line)
        IncomeEntry.objects.create(account=paper.account, transaction_id=str(number), **line)


def _order(paper: PaperAccount, order: Order) -> PaperOrder:
    return PaperOrder(
        paper=paper, exchange_id=int(order.exchange_id), client_order_id=order.client_order_id, symbol=order.symbol,
        side=order.side, type=order.type, status="NEW" if order.state == "live" else "FILLED",
        time_in_force="IOC" if order.type == "LIMIT" else "", quantity=order.quantity or 0, price=order.price,
        trigger=order.trigger, reduce_only=order.reduce_only, close_position=order.close_position, filled=order.filled,
        filled_cost=order.filled * (order.average_price or 0), created=order.created, updated=order.created,
    )  # fmt: skip


def _trade(paper: PaperAccount, fill: Fill) -> PaperTrade:
    return PaperTrade(
        paper=paper, trade_id=int(fill.exchange_trade_id), exchange_id=int(fill.order.exchange_id),
        client_order_id=fill.order.client_order_id, symbol=fill.symbol, side=fill.side, quantity=fill.quantity,
        price=fill.price, fee=fill.fee, realised=fill.realised, maker=False, at=fill.at,
    )  # fmt: skip


def _position(paper: PaperAccount, position: Position) -> PaperPosition:
    sign = 1 if position.side == "long" else -1
    return PaperPosition(
        paper=paper, symbol=position.symbol, quantity=sign * position.quantity, cost=sign * position.cost,
        margin=round(position.cost / position.leverage, 8), leverage=position.leverage, opened=position.opened,
    )  # fmt: skip
