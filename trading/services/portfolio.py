"""What the exchange states about an account, with what we know about its protection, as deciders and risk see it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from decisions.domain.portfolio import Portfolio, PositionView, Role, WorkingOrder
from trading.domain.venue import AccountState, OrderReport, VenuePosition
from trading.services.journal.base import Journal, TrackedOrder, TrackedPosition


def portfolio_of(state: AccountState, journal: Journal, *, starting_balance: Decimal, at: datetime) -> Portfolio:
    """Return the portfolio at `at`. Numbers are the exchange's; roles and plans are ours."""
    roles = {tracked.order.client_order_id: tracked for tracked in journal.orders()} if state.orders else {}
    plans = {position.symbol: position for position in journal.positions()} if state.positions else {}
    orders = tuple(_working(report, roles.get(report.client_order_id)) for report in state.orders)
    return Portfolio(
        at=at,
        wallet=state.wallet,
        unrealised=state.unrealised,
        margin=state.margin,
        available=state.available,
        positions=tuple(_view(position, plans.get(position.symbol), orders) for position in state.positions),
        orders=orders,
        starting_balance=starting_balance,
    )


def _working(report: OrderReport, tracked: TrackedOrder | None) -> WorkingOrder:
    return WorkingOrder(
        symbol=report.symbol,
        client_order_id=report.client_order_id,
        role=tracked.role if tracked else None,
        side=report.side.value,
        type=report.type.value,
        quantity=report.quantity,
        price=report.price,
        trigger=report.trigger,
        reduce_only=report.reduce_only,
        close_position=report.close_position,
    )


def _view(position: VenuePosition, ours: TrackedPosition | None, orders: Sequence[WorkingOrder]) -> PositionView:
    return PositionView(
        symbol=position.symbol,
        side=position.side,
        quantity=position.quantity,
        entry_price=position.entry_price,
        mark_price=position.mark_price,
        leverage=position.leverage,
        unrealised=position.unrealised,
        margin=position.margin,
        liquidation_price=position.liquidation_price,
        stop=_trigger(orders, position.symbol, Role.STOP),
        target=_trigger(orders, position.symbol, Role.TARGET),
        opened_at=ours.opened_at if ours else position.opened_at,
        plan=ours.plan if ours else "",
        confidence=ours.confidence if ours else None,
        risk_usd=ours.risk_usd if ours else None,
    )


def _trigger(orders: Sequence[WorkingOrder], symbol: str, role: Role) -> Decimal | None:
    return next((order.trigger for order in orders if order.symbol == symbol and order.role is role), None)
