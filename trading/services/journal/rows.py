"""Rows of the books as the plain data of the journal port, and the two ways in which an order row is written."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from django.db.models import Max, Subquery
from django.db.models.expressions import Combinable
from django.db.models.functions import Coalesce

from accounts.models import Account
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from decisions.models import Cycle
from trading.domain.orders import OrderFacts, OrderState, Step
from trading.domain.venue import NewOrder, OrderSide, OrderType, TimeInForce
from trading.models import Order, OrderEvent, Position
from trading.services.journal.base import Bracket, TrackedOrder, TrackedPosition
from vibex.lib.events import publish_on_commit


def order_create(
    *,
    account: Account,
    order: NewOrder,
    role: Role,
    bot_id: int | None = None,
    cycle: Cycle | None = None,
    decision_id: int | None = None,
    position: Position | None = None,
    purpose: str = "",
) -> Order:
    """Store an order in state planned with its first event."""
    values = asdict(order) | {"time_in_force": order.time_in_force or ""}
    row = Order.objects.create(
        account=account,
        bot_id=bot_id,
        cycle=cycle,
        decision_id=decision_id,
        position=position,
        epoch=account.epoch,
        role=role.value,
        purpose=purpose,
        **values,
    )
    OrderEvent.objects.create(order=row, sequence=1, kind="planned", state=OrderState.PLANNED.value)
    publish_on_commit(account_id=account.pk, kind="order", data={"id": row.pk})
    return row


def order_step(row: Order, step: Step, kind: str, **stamps: datetime) -> bool:
    """Append an event and bring the projection up to it; return False when there was nothing new.

    The row is locked by the caller.
    """
    before, after = facts_of(row), step.facts
    if before == after:
        return False
    changes: dict[str, Any] = {
        "state": after.state.value,
        "filled": after.filled,
        "average_price": after.average_price,
        "exchange_id": after.exchange_id,
        "reason": after.reason[:300],
        **stamps,
    }
    Order.objects.filter(pk=row.pk).update(**changes)
    event_of(row, after, kind, sequence=next_sequence(row)).save()
    publish_on_commit(account_id=row.account_id, kind="order", data={"id": row.pk})
    return True


def next_sequence(row: Order) -> Combinable:
    """Return the number of the next event of a locked order, which the statement that stores the event finds out itself."""
    of_order = OrderEvent.objects.filter(order_id=row.pk).order_by().values("order_id")
    return Coalesce(Subquery(of_order.annotate(newest=Max("sequence")).values("newest")), 0) + 1


def event_of(row: Order, after: OrderFacts, kind: str, *, sequence: int | Combinable) -> OrderEvent:
    """Return the event that tells of an order what it is now."""
    data = {"filled": str(after.filled), "reason": after.reason}
    return OrderEvent(order=row, sequence=sequence, kind=kind[:20], state=after.state.value, data=data)


def facts_of(row: Order) -> OrderFacts:
    """Return what a row knows of its order."""
    return OrderFacts(OrderState(row.state), row.filled, row.average_price, row.exchange_id, row.reason)


def tracked_order(row: Order) -> TrackedOrder:
    """Return a row as the journal port shows it."""
    order = NewOrder(
        client_order_id=row.client_order_id,
        symbol=row.symbol,
        side=OrderSide(row.side),
        type=OrderType(row.type),
        quantity=row.quantity,
        price=row.price,
        trigger=row.trigger,
        time_in_force=TimeInForce(row.time_in_force) if row.time_in_force else None,
        reduce_only=row.reduce_only,
        close_position=row.close_position,
    )
    ours = row.origin == Order.Origin.OURS
    return TrackedOrder(Role(row.role), order, facts_of(row), row.created, row.sent_at, row.absent_answers, ours)


def tracked_entry(row: Order) -> TrackedPosition:
    """Return what an entry order filled as a position whose trades are not booked yet."""
    decision = row.decision
    return TrackedPosition(
        symbol=row.symbol,
        side=OrderSide(row.side).opens,
        quantity=row.filled,
        entry_price=row.average_price or row.price or row.filled,
        leverage=(decision.leverage if decision else None) or 1,
        opened_at=row.created,
        stop=decision.stop_loss if decision else None,
        target=decision.profit_target if decision else None,
        foreign=decision is None,
    )


def tracked_position(row: Position) -> TrackedPosition:
    """Return a position row as the journal port shows it. Until the stop is armed its decision says where it belongs."""
    decision, unarmed = row.decision, row.bracket == Position.Bracket.NONE
    return TrackedPosition(
        symbol=row.symbol,
        side=Side(row.side),
        quantity=row.quantity,
        entry_price=row.cost / row.quantity,
        leverage=row.leverage,
        opened_at=row.opened,
        stop=row.stop if row.stop is not None or decision is None else decision.stop_loss,
        target=decision.profit_target if row.target is None and decision and unarmed else row.target,
        bracket=Bracket(row.bracket),
        plan=decision.invalidation_condition if decision else "",
        confidence=decision.confidence if decision else None,
        risk_usd=decision.risk_usd if decision else None,
        foreign=decision is None and row.adopted is None,
    )
