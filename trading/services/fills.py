"""From the exchange's trades to our fills, positions and orders. Each trade is booked once; many are booked at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Final

from django.db import transaction
from django.db.models import Count

from accounts.models import Account, Incident
from accounts.services import incident_open
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.books import BookedPosition, apply_trade, exit_reason
from trading.domain.orders import OrderState, filled_to
from trading.domain.venue import SETTLED_IN, ZERO, OrderType, Trade
from trading.models import Fill, Order, OrderEvent, Position
from trading.services.funding import funding_assign
from trading.services.journal.rows import event_of, facts_of
from trading.services.telling import entry_tell, exit_tell
from vibex.lib.events import publish_on_commit

AT_ONCE: Final = 400
"""Rows of one statement: below what SQLite takes as parameters."""
SUMS: Final = [
    "quantity", "peak_quantity", "cost", "bought", "bought_value", "sold", "sold_value", "entry_price", "exit_price",
    "realised", "fees", "funding", "closed",
]  # fmt: skip
"""What trades make of a position."""
CHANGED: Final = ["state", "filled", "average_price", "reason", "position"]


def trades_book(*, account: Account, trades: Sequence[Trade]) -> int:
    """Book the trades that are not booked yet, oldest first; return how many they were.

    A long history goes in pieces, each committed: nobody else waits for all of it.
    """
    return sum(_book_some(account, some) for some in _batches(trades))


def _book_some(account: Account, trades: Sequence[Trade]) -> int:
    with transaction.atomic():
        Account.objects.select_for_update().get(pk=account.pk)  # one bookkeeper at a time
        fresh = _unbooked(account, trades)
        if fresh:
            book = _Book(account, _orders(account, fresh), _positions(account, fresh))
            for trade in fresh:
                book.take(trade)
            book.store()
            for symbol in {trade.symbol for trade in fresh}:
                funding_assign(
                    account=account, symbol=symbol, since=min(one.at for one in fresh if one.symbol == symbol)
                )
    return len(fresh)


def booked_position(row: Position) -> BookedPosition:
    """Return a position row as plain data."""
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


@dataclass(slots=True)
class _Book:
    """The rows that a batch of trades touches, kept in memory until all of it is booked."""

    account: Account
    orders: dict[str, Order]
    """By client id."""
    open: dict[str, Position]
    """By symbol."""
    fills: list[Fill] = field(default_factory=list)
    ended: list[Position] = field(default_factory=list)
    changed: dict[int, Position] = field(default_factory=dict)

    def take(self, trade: Trade) -> None:
        """Book one trade: on the open position of its symbol, which it may open, change, close or turn round."""
        order = self.orders[_name(trade)]
        row = self.open.get(trade.symbol)
        # A fee in another asset never left this wallet: the fill keeps it, the position's result is in one asset.
        for position in apply_trade(booked_position(row) if row else None, _in_own_asset(self.account, trade)):
            row = self._put(row, position, order, trade)
            order.position = row
            if position.closed_at:
                row = None
        if row is not None:
            self.open[trade.symbol] = row
        else:
            self.open.pop(trade.symbol, None)
        self.fills.append(_fill(self.account, order, trade))

    def store(self) -> None:
        """Write everything. The caller holds the account."""
        Position.objects.bulk_update(self.changed.values(), SUMS, batch_size=AT_ONCE // 10)
        Fill.objects.bulk_create(self.fills, batch_size=AT_ONCE // 10)
        _orders_filled(self.account, {fill.order_id: fill.order for fill in self.fills})
        for position in self.ended:
            exit_tell(position)
        self._publish()

    def _publish(self) -> None:
        """Tell of everything that was booked, each kind once."""
        positions = {fill.position_id for fill in self.fills if fill.position_id is not None}
        told = {
            "fill": [fill.pk for fill in self.fills],
            "order": sorted({fill.order_id for fill in self.fills}),
            "position": sorted(positions.union(self.changed)),
        }
        for kind, ids in told.items():
            if ids:
                publish_on_commit(account_id=self.account.pk, kind=kind, data={"ids": ids})

    def _put(self, row: Position | None, position: BookedPosition, order: Order, trade: Trade) -> Position:
        values = _values(position)
        if position.closed_at:
            values |= {"bracket": Position.Bracket.RELEASED, "exit_reason": _reason(order, trade)}
        if row is None:
            decision = order.decision
            return Position.objects.create(
                account=self.account,
                bot_id=order.bot_id,
                decision_id=order.decision_id,
                symbol=position.symbol,
                side=position.side.value,
                leverage=(decision.leverage if decision else None) or 1,
                opened=position.opened_at,
                **values,
            )
        for name, value in values.items():
            setattr(row, name, value)
        self.changed[row.pk] = row
        if position.closed_at:
            # At once: the next trade may open another position of the symbol, and there is one open at most.
            row.save(update_fields=[*SUMS, "bracket", "exit_reason"])
            del self.changed[row.pk]
            self.ended.append(row)
        return row


def _unbooked(account: Account, trades: Sequence[Trade]) -> list[Trade]:
    """Return the trades that no fill is of, each once."""
    known = Fill.objects.filter(account=account, symbol__in={trade.symbol for trade in trades})
    known = known.filter(exchange_trade_id__in=[trade.trade_id for trade in trades])
    seen = set(known.values_list("symbol", "exchange_trade_id"))
    fresh = {(trade.symbol, trade.trade_id): trade for trade in trades if (trade.symbol, trade.trade_id) not in seen}
    return list(fresh.values())


def _orders(account: Account, trades: Sequence[Trade]) -> dict[str, Order]:
    """Return the orders of the trades by name. One that is not known is somebody else's, and is kept as his."""
    named = {_name(trade): trade for trade in trades}
    rows = Order.objects.select_for_update(of=("self",)).select_related("decision")
    rows = rows.filter(account=account, client_order_id__in=named)
    found = {row.client_order_id: row for row in rows}
    strangers = [_external(account, name, trade) for name, trade in named.items() if name not in found]
    if strangers:
        Order.objects.bulk_create(strangers, batch_size=AT_ONCE // 20)
    return found | {row.client_order_id: row for row in strangers}


def _name(trade: Trade) -> str:
    return trade.client_order_id or f"external-{trade.symbol}-{trade.exchange_id}"


def _external(account: Account, name: str, trade: Trade) -> Order:
    """Return the row of an order that is not ours: by hand, a liquidation, another program."""
    return Order(
        account=account,
        client_order_id=name,
        origin=Order.Origin.EXTERNAL,
        role=Role.CLOSE.value,
        symbol=trade.symbol,
        side=trade.side.value,
        type=OrderType.MARKET.value,
        quantity=trade.quantity,
        state=OrderState.DONE.value,
        reason="external",
        exchange_id=trade.exchange_id,
    )


def _positions(account: Account, trades: Sequence[Trade]) -> dict[str, Position]:
    rows = Position.objects.select_for_update().filter(account=account, closed=None)
    return {row.symbol: row for row in rows.filter(symbol__in={trade.symbol for trade in trades})}


def _orders_filled(account: Account, orders: dict[int, Order]) -> None:
    """Bring the filled quantities of orders up to the sum of their distinct trades, each with an event that says so."""
    sums, values = defaultdict[int, Decimal](Decimal), defaultdict[int, Decimal](Decimal)
    for key, quantity, price in Fill.objects.filter(order_id__in=orders).values_list("order_id", "quantity", "price"):
        sums[key] += quantity
        values[key] += quantity * price
    counts = OrderEvent.objects.filter(order_id__in=orders).order_by().values_list("order_id")
    events = dict(counts.annotate(Count("pk")))
    told = list[OrderEvent]()
    for key, order in orders.items():
        step = filled_to(facts_of(order), sums[key], places(values[key] / sums[key]))
        if step.incident and order.origin == Order.Origin.OURS:
            incident_open(account=account, kind="order-state", text=f"{order.client_order_id}: {step.incident}")
        if step.facts != facts_of(order):
            told.append(event_of(order, step.facts, "trade", sequence=events.get(key, 0) + 1))
            order.account = account  # held already, not to be read again
            entry_tell(order, facts_of(order), step.facts)
        order.state, order.filled = step.facts.state.value, step.facts.filled
        order.average_price, order.reason = step.facts.average_price, step.facts.reason[:300]
    Order.objects.bulk_update(orders.values(), CHANGED, batch_size=AT_ONCE // 10)
    OrderEvent.objects.bulk_create(told, batch_size=AT_ONCE // 10)


def _fill(account: Account, order: Order, trade: Trade) -> Fill:
    return Fill(
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


def _values(position: BookedPosition) -> dict[str, Any]:
    return {
        "quantity": position.quantity,
        "peak_quantity": position.peak,
        "cost": position.cost,
        "bought": position.bought,
        "bought_value": position.bought_value,
        "sold": position.sold,
        "sold_value": position.sold_value,
        "entry_price": places(position.entry_price),
        "exit_price": None if position.exit_price is None else places(position.exit_price),
        "realised": position.realised,
        "fees": position.fees,
        "funding": position.funding,
        "closed": position.closed_at,
    }


def _in_own_asset(account: Account, trade: Trade) -> Trade:
    """Return the trade as it counts for the result of its position. A person is told of fees that are not in it."""
    if trade.fee_asset == SETTLED_IN or not trade.fee:
        return trade
    text = f"Fees are paid in {trade.fee_asset}: fills and ledger hold them, results in {SETTLED_IN} do not."
    incident_open(account=account, kind="foreign-fee", text=text, severity=Incident.Severity.WARNING)
    return replace(trade, fee=ZERO)


def _reason(order: Order, trade: Trade) -> str:
    external = order.origin == Order.Origin.EXTERNAL
    return exit_reason(None if external else Role(order.role), trade, order.purpose)


def _batches[T](values: Sequence[T]) -> Iterable[Sequence[T]]:
    return (values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE))


def places(price: Decimal) -> Decimal:
    """Quantise an average price for storing."""
    return price.quantize(Decimal("0.00000001"))
