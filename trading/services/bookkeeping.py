"""From the exchange's trades and ledger to our fills, positions and equity. Each line is booked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import transaction
from django.db.models import Max, Q, Sum

from accounts.models import Account, Incident
from accounts.services import incident_open
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.books import BookedPosition, apply_trade, exit_reason
from trading.domain.orders import OrderState, filled_to
from trading.domain.venue import (
    MOVED,
    SETTLED_IN,
    ZERO,
    AccountState,
    Income,
    IncomeKind,
    OrderReport,
    OrderType,
    Trade,
    VenuePosition,
)
from trading.models import EquityPoint, Fill, IncomeEntry, Order, Position
from trading.services.journal.rows import facts_of, order_step
from vibex.lib.money import booked

DAWN = datetime(1970, 1, 1, tzinfo=UTC)
OVERLAP = timedelta(hours=1)
"""A line may carry an earlier time than one that was booked before it. Lines that come later still are found by a full
reading as soon as the sums or the positions differ."""


def trades_book(*, account: Account, trades: Sequence[Trade]) -> int:
    """Book the trades that are not booked yet, oldest first; return how many they were."""
    if not trades:
        return 0
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)  # one bookkeeper at a time
        ids = [trade.trade_id for trade in trades]
        known = Fill.objects.filter(account=account, symbol__in={trade.symbol for trade in trades})
        seen = set(known.filter(exchange_trade_id__in=ids).values_list("symbol", "exchange_trade_id"))
        fresh = [trade for trade in trades if (trade.symbol, trade.trade_id) not in seen]
        for trade in fresh:
            _book_one(account, trade)
    return len(fresh)


def income_book(*, account: Account, income: Sequence[Income]) -> set[str]:
    """Copy the ledger lines that are not copied yet, of every asset; funding is added to the position it belongs to.

    Returns the symbols of executions that a new line speaks of and that are not booked.
    """
    if not income:
        return set()
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)
        ids = [line.transaction_id for line in income]
        known = IncomeEntry.objects.filter(account=account, transaction_id__in=ids)
        seen = set(known.values_list("kind", "transaction_id", "symbol", "asset"))
        fresh = {_identity(line): line for line in income if _identity(line) not in seen}
        IncomeEntry.objects.bulk_create(_entry(account, line) for line in fresh.values())
        for line in fresh.values():
            if line.kind is IncomeKind.FUNDING_FEE and line.asset == SETTLED_IN:
                _book_funding(account, line)
    executed = {(line.symbol, line.trade_id) for line in fresh.values() if line.trade_id}
    booked_ids = Fill.objects.filter(account=account, exchange_trade_id__in=[trade for _, trade in executed])
    return {symbol for symbol, _ in executed - set(booked_ids.values_list("symbol", "exchange_trade_id"))}


def orders_take_in(*, account: Account, reports: Sequence[OrderReport]) -> int:
    """Keep working orders that are not known here as those of somebody else; return how many there were."""
    told = {report.client_order_id: report for report in reports if report.status.open}
    if not told:
        return 0
    known = Order.objects.filter(account=account, client_order_id__in=told)
    for name in known.values_list("client_order_id", flat=True):
        del told[name]
    rows = [_taken_in(account, report) for report in told.values()]
    Order.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def position_book_stated(*, account: Account, held: VenuePosition, at: datetime) -> None:
    """Book a position as the exchange states it. Its trades lie too far back to be read; what it made is not known."""
    value = booked(held.quantity * held.entry_price)
    Position.objects.get_or_create(
        account=account,
        symbol=held.symbol,
        closed=None,
        defaults={
            "side": held.side.value,
            "quantity": held.quantity,
            "peak_quantity": held.quantity,
            "cost": value,
            "bought": held.quantity,
            "bought_value": value,
            "entry_price": _places(held.entry_price),
            "leverage": held.leverage,
            "opened": at,
        },
    )


def trades_since(*, account: Account, symbol: str) -> datetime:
    """Return from when trades of a symbol are asked for: well before the newest fill, since some come late."""
    newest = Fill.objects.filter(account=account, symbol=symbol).aggregate(at=Max("at"))["at"]
    return newest - OVERLAP if newest else DAWN


def income_since(*, account: Account) -> datetime:
    """Return from when ledger lines are asked for: before the newest one, since some come late."""
    newest = IncomeEntry.objects.filter(account=account).aggregate(at=Max("at"))["at"]
    return newest - OVERLAP if newest else DAWN


def ledger_total(*, account: Account) -> Decimal | None:
    """Return the sum of all ledger lines in USDT that were copied: what the wallet should hold. None without any."""
    lines = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN)
    total: Decimal | None = lines.aggregate(total=Sum("amount"))["total"]
    return total


def equity_record(*, account: Account, state: AccountState) -> None:
    """Add a point to the equity series; a second one of the same moment replaces the first."""
    moved = [kind.value for kind in MOVED]
    transfers = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN, kind__in=moved)
    point = EquityPoint(
        account=account,
        at=state.at,
        wallet=booked(state.wallet),
        unrealised=booked(state.unrealised),
        equity=booked(state.equity),
        transfers=transfers.aggregate(total=Sum("amount"))["total"] or Decimal(0),
    )
    EquityPoint.objects.bulk_create(
        [point],
        update_conflicts=True,
        unique_fields=["account", "at"],
        update_fields=["wallet", "unrealised", "equity", "transfers"],
    )


def _book_one(account: Account, trade: Trade) -> None:
    order = Order.objects.select_for_update().filter(account=account, client_order_id=trade.client_order_id).first()
    order = order or _external_order(account, trade)
    row = Position.objects.select_for_update().filter(account=account, symbol=trade.symbol, closed=None).first()
    # A fee in another asset never left this wallet: the fill keeps it, the position's result is in one asset.
    for position in apply_trade(_booked(row) if row else None, _in_own_asset(account, trade)):
        row = _store(account, row, position, order, trade)
        row = None if position.closed_at else row
    Fill.objects.create(
        account=account,
        order=order,
        position=order.position,
        symbol=trade.symbol,
        exchange_trade_id=trade.trade_id,
        side=trade.side.value,
        quantity=trade.quantity,
        price=trade.price,
        fee=trade.fee,
        fee_asset=trade.fee_asset,
        realised=trade.realised,
        maker=trade.maker,
        at=trade.at,
    )
    filled = order.fills.values_list("quantity", "price")
    total = sum((quantity for quantity, _ in filled), Decimal(0))
    value = sum((quantity * price for quantity, price in filled), Decimal(0))
    step = filled_to(facts_of(order), total, _places(value / total))
    if step.incident and order.origin == Order.Origin.OURS:
        incident_open(account=account, kind="order-state", text=f"{order.client_order_id}: {step.incident}")
    order_step(order, step, "trade")


def _in_own_asset(account: Account, trade: Trade) -> Trade:
    """Return the trade as it counts for the result of its position. A person is told of fees that are not in it."""
    if trade.fee_asset == SETTLED_IN or not trade.fee:
        return trade
    text = f"Fees are paid in {trade.fee_asset}: fills and ledger hold them, results in {SETTLED_IN} do not."
    incident_open(account=account, kind="foreign-fee", text=text, severity=Incident.Severity.WARNING)
    return replace(trade, fee=ZERO)


def _store(account: Account, row: Position | None, position: BookedPosition, order: Order, trade: Trade) -> Position:
    values: dict[str, Any] = {
        "quantity": position.quantity,
        "peak_quantity": position.peak,
        "cost": position.cost,
        "bought": position.bought,
        "bought_value": position.bought_value,
        "sold": position.sold,
        "sold_value": position.sold_value,
        "entry_price": _places(position.entry_price),
        "exit_price": None if position.exit_price is None else _places(position.exit_price),
        "realised": position.realised,
        "fees": position.fees,
        "funding": position.funding,
        "closed": position.closed_at,
    }
    if position.closed_at:
        values |= {"bracket": Position.Bracket.RELEASED, "exit_reason": _reason(order, trade)}
    if row is None:
        row = Position.objects.create(
            account=account,
            bot_id=order.bot_id,
            decision_id=order.decision_id,
            symbol=position.symbol,
            side=position.side.value,
            leverage=order.decision.leverage or 1 if order.decision else 1,
            opened=position.opened_at,
            **values,
        )
    else:
        Position.objects.filter(pk=row.pk).update(**values)
    order.position = row
    Order.objects.filter(pk=order.pk).update(position=row)
    return row


def _booked(row: Position) -> BookedPosition:
    return BookedPosition(
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        cost=row.cost,
        opened_at=row.opened,
        bought=row.bought,
        bought_value=row.bought_value,
        sold=row.sold,
        sold_value=row.sold_value,
        realised=row.realised,
        fees=row.fees,
        funding=row.funding,
        peak=row.peak_quantity,
    )


def _external_order(account: Account, trade: Trade) -> Order:
    """Keep a trade whose order is not ours: by hand, a liquidation, another program."""
    row, _ = Order.objects.get_or_create(
        account=account,
        client_order_id=trade.client_order_id or f"external-{trade.symbol}-{trade.exchange_id}",
        defaults={
            "origin": Order.Origin.EXTERNAL,
            "role": Role.CLOSE.value,
            "symbol": trade.symbol,
            "side": trade.side.value,
            "type": OrderType.MARKET.value,
            "quantity": trade.quantity,
            "state": OrderState.DONE.value,
            "reason": "external",
            "exchange_id": trade.exchange_id,
        },
    )
    return row


def _taken_in(account: Account, report: OrderReport) -> Order:
    """Return the row of a working order of somebody else."""
    lowers = report.reduce_only or report.close_position
    role = {OrderType.STOP_MARKET: Role.STOP, OrderType.TAKE_PROFIT_MARKET: Role.TARGET}.get(report.type)
    return Order(
        account=account,
        client_order_id=report.client_order_id,
        origin=Order.Origin.EXTERNAL,
        role=(role or (Role.CLOSE if lowers else Role.ENTRY)).value,
        symbol=report.symbol,
        side=report.side.value,
        type=report.type.value,
        quantity=None if report.close_position else report.quantity,
        price=report.price,
        trigger=report.trigger,
        reduce_only=report.reduce_only,
        close_position=report.close_position,
        state=OrderState.LIVE.value,
        reason="external",
        exchange_id=report.exchange_id,
        filled=report.filled,
        average_price=report.average_price,
    )


def _identity(line: Income) -> tuple[str, str, str, str]:
    return line.kind.value, line.transaction_id, line.symbol, line.asset


def _book_funding(account: Account, line: Income) -> None:
    """Add a payment to the position that was open when it was settled."""
    held = Position.objects.filter(account=account, symbol=line.symbol, opened__lte=line.at)
    row = held.filter(Q(closed=None) | Q(closed__gte=line.at)).order_by("-opened").first()
    if row is not None:
        Position.objects.filter(pk=row.pk).update(funding=row.funding + line.amount)


def _entry(account: Account, line: Income) -> IncomeEntry:
    return IncomeEntry(
        account=account,
        kind=line.kind.value,
        transaction_id=line.transaction_id,
        symbol=line.symbol,
        amount=line.amount,
        asset=line.asset,
        trade_id=line.trade_id,
        at=line.at,
    )


def _reason(order: Order, trade: Trade) -> str:
    external = order.origin == Order.Origin.EXTERNAL
    return exit_reason(None if external else Role(order.role), trade, order.purpose)


def _places(price: Decimal) -> Decimal:
    """Quantise an average price for storing."""
    return price.quantize(Decimal("0.00000001"))
