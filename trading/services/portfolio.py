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
    orders = tuple([_working(report, roles.get(report.client_order_id)) for report in state.orders])
    positions = tuple([_view(position, plans.get(position.symbol), orders) for position in state.positions])
    return Portfolio(
        at, state.wallet, state.unrealised, state.margin, state.available, positions, orders, starting_balance
    )


def _working(report: OrderReport, tracked: TrackedOrder | None) -> WorkingOrder:
    role, side, kind = tracked.role if tracked else None, report.side.word, report.type.word
    return WorkingOrder(
        report.symbol, report.client_order_id, role, side, kind, report.quantity, report.price, report.trigger,
        report.reduce_only, report.close_position,
    )  # fmt: skip


def _view(position: VenuePosition, ours: TrackedPosition | None, orders: Sequence[WorkingOrder]) -> PositionView:
    stop, target = (_trigger(orders, position.symbol, role) for role in (Role.STOP, Role.TARGET))
    if ours is None:
        opened_at, plan, confidence, risk_usd = position.opened_at, "", None, None
    else:
        opened_at, plan, confidence, risk_usd = ours.opened_at, ours.plan, ours.confidence, ours.risk_usd
    return PositionView(
        position.symbol, position.side, position.quantity, position.entry_price, position.mark_price, position.leverage,
        position.unrealised, position.margin, position.liquidation_price, stop, target, opened_at, plan, confidence, risk_usd,
    )  # fmt: skip


def _trigger(orders: Sequence[WorkingOrder], symbol: str, role: Role) -> Decimal | None:
    for order in orders:
        if order.role is role and order.symbol == symbol:
            return order.trigger
    return None
