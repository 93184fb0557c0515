"""What a venue tells of an account, into our books. Every event may come twice, late or in any order.

Orders are observed and trades are booked once, each only where it is certain that nothing before it is missing. The rest
is left to a look at the account: it asks orders, trades, ledger and positions, and what it finds is right.
"""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db import transaction
from django.db.models import Max, Q

from accounts.models import Account, Incident
from accounts.services import incident_open
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.orders import FINAL, OrderState
from trading.domain.venue import OrderSide, Trade, VenueStatus
from trading.domain.venue_events import (
    AccountChanged,
    ConfigChanged,
    Execution,
    Gap,
    MarginCalled,
    OrderChanged,
    TakenBy,
    VenueEvent,
)
from trading.models import Fill, Lock, Order, Position
from trading.services.fills import trades_book
from trading.services.journal.orm import OrmJournal
from trading.services.standing import lock_put

log = logging.getLogger(__name__)

TRADED: Final = "ORDER"
"""Why an account changed when an order was executed: the only reason that brings no line of the ledger of its own."""
CHILDREN: Final = (Role.STOP.value, Role.TARGET.value)
TAKEN: Final = {"autoclose-": TakenBy.LIQUIDATION, "adl_autoclose": TakenBy.ADL}
"""How client ids begin of orders with which a venue takes a position over."""
NOTED_FOR: Final = timedelta(days=7)


def venue_event_apply(*, account: Account, event: VenueEvent) -> bool:
    """Take an event in. Returns whether the account has to be looked at for it."""
    match event:
        case OrderChanged():
            return _order_changed(account, event)
        case AccountChanged():
            return event.reason != TRADED or _differs(account, event)
        case MarginCalled():
            text = (
                f"The exchange warns that {', '.join(event.symbols)} is near its liquidation: reduce it or add margin."
            )
            incident_open(
                account=account, kind="liquidation-near", text=text, severity=Incident.Severity.CRITICAL
            )  # fmt: skip
            return True
        case ConfigChanged():
            log.warning("somebody changed account %s: %s", account.name, event.text)
            return True
        case Gap():
            return True


def takeovers_note(*, account: Account) -> None:
    """Tell of positions that the venue took over, however their trades came into the books."""
    recent = Order.objects.filter(
        account=account, origin=Order.Origin.EXTERNAL, created__gte=datetime.now(UTC) - NOTED_FOR
    )
    for prefix, taken_by in TAKEN.items():
        for order in recent.filter(client_order_id__startswith=prefix):
            _takeover_note(account, order.symbol, taken_by, order.exchange_id)


def _order_changed(account: Account, event: OrderChanged) -> bool:
    report = event.report
    known = Order.objects.filter(account=account, client_order_id=report.client_order_id)
    ours = known.filter(origin=Order.Origin.OURS).first()
    unasked = _observe(account, ours, event) if ours else False
    if event.taken_by is not TakenBy.NOBODY:
        _takeover_note(account, report.symbol, event.taken_by, report.exchange_id)
    new = event.trade is not None and _book(account, event, event.trade)
    return new or unasked


def _observe(account: Account, row: Order, event: OrderChanged) -> bool:
    """Take in what is said of an order of ours. Returns whether something happened to it that we did not ask for."""
    before = OrderState(row.state)
    OrmJournal(account).observe(row.client_order_id, event.report)
    after = OrderState(Order.objects.values_list("state", flat=True).get(pk=row.pk))
    if event.execution is Execution.AMENDMENT:
        return True
    asked_for = before in (OrderState.SENDING, OrderState.CANCELLING, OrderState.DONE)
    return after != before and not asked_for


def _book(account: Account, event: OrderChanged, trade: Trade) -> bool:
    """Book a trade if nothing before it is missing. Returns False for one that is booked already."""
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)  # one bookkeeper at a time
        if Fill.objects.filter(account=account, symbol=trade.symbol, exchange_trade_id=trade.trade_id).exists():
            return False
        if _follows(account, event, trade):
            trades_book(account=account, trades=[trade])
    return True


def _follows(account: Account, event: OrderChanged, trade: Trade) -> bool:
    """Tell whether a trade certainly comes next in our books of its symbol.

    It does when it is not older than the newest booked one, all fills of its order before it are booked, no other order
    can have been filled meanwhile, and the position is what it must have been. A stop that a lost trade of another order
    made smaller, for example, does not fit the position any more.
    """
    newest = Fill.objects.filter(account=account, symbol=trade.symbol).aggregate(at=Max("at"))["at"]
    if newest is not None and trade.at < newest:
        return False
    order = Order.objects.filter(account=account, client_order_id=trade.client_order_id).first()
    booked = _booked(order) if order else Decimal(0)
    if booked + trade.quantity != event.report.filled or _others_open(account, trade.symbol, order):
        return False
    held = Position.objects.filter(account=account, symbol=trade.symbol, closed__isnull=True).first()
    if order is not None and order.origin == Order.Origin.OURS and order.role == Role.ENTRY.value:
        return _opens(order, booked, held)
    if order is None and event.taken_by is TakenBy.NOBODY:
        return False  # by hand, or by another program: what else they did is not known
    return held is not None and _closes(event, trade, held)


def _opens(order: Order, booked: Decimal, held: Position | None) -> bool:
    """Tell whether a fill of an entry begins a position, or goes on with the one that it began."""
    return not booked if held is None else order.position_id == held.pk


def _closes(event: OrderChanged, trade: Trade, held: Position) -> bool:
    """Tell whether a trade makes a position smaller, or ends it where it must."""
    report = event.report
    if trade.side is not OrderSide.to_close(Side(held.side)) or trade.quantity > held.quantity:
        return False
    if report.close_position:
        return report.status is VenueStatus.FILLED and trade.quantity == held.quantity
    return True


def _others_open(account: Account, symbol: str, order: Order | None) -> bool:
    """Tell whether another order of the symbol was filled without its trades being booked, or may have been."""
    others = Order.objects.filter(account=account, symbol=symbol)
    others = others.exclude(pk=order.pk) if order else others
    if others.exclude(state__in=FINAL).exclude(role__in=CHILDREN).exists():
        return True
    filled = others.filter(Q(position__isnull=True) | Q(position__closed__isnull=True), filled__gt=0)
    return any(_booked(one) != one.filled for one in filled)


def _booked(order: Order) -> Decimal:
    return sum(order.fills.values_list("quantity", flat=True), Decimal(0))


def _differs(account: Account, event: AccountChanged) -> bool:
    """Tell whether a position that the venue tells of is another one than in our books."""
    rows = Position.objects.filter(account=account, closed__isnull=True)
    ours = {row.symbol: (row.side, row.quantity) for row in rows}
    told: dict[str, list[tuple[str, Decimal]]] = {}
    for position in event.positions:
        held = told.setdefault(position.symbol, [])
        if position.quantity:
            held.append((position.side.value, position.quantity))
    return any(held != ([ours[symbol]] if symbol in ours else []) for symbol, held in told.items())


def _takeover_note(account: Account, symbol: str, taken_by: TakenBy, exchange_id: str) -> None:
    """Open an incident, once for each order of the venue; after a liquidation nothing is opened there any more."""
    kind = taken_by.value
    what = "a liquidation" if taken_by is TakenBy.LIQUIDATION else "auto-deleveraging"
    text = f"{symbol}: the exchange took the position over: {what} (its order {exchange_id})."
    with transaction.atomic():
        Account.objects.select_for_update(no_key=True).get(pk=account.pk)
        if not Incident.objects.filter(account=account, kind=kind, text=text).exists():
            incident_open(account=account, kind=kind, text=text, severity=Incident.Severity.CRITICAL)
        locked = Lock.objects.filter(account=account, symbol=symbol, reason=text).exists()
        if taken_by is TakenBy.LIQUIDATION and not locked:
            lock_put(account=account, symbol=symbol, reason=text)
