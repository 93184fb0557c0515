"""Orders, trades, closed positions and the diary of one account."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet

from accounts.models import Account, Bot
from decisions.models import Cycle, DiaryEntry
from trading.domain.orders import FINAL
from trading.models import Fill, IncomeEntry, Lock, Order, Position, Reconciliation
from trading.selectors.standing import Rules


@dataclass(frozen=True, slots=True)
class OrderLine:
    order: Order
    rules: Rules


@dataclass(frozen=True, slots=True)
class FillLine:
    fill: Fill
    rules: Rules
    net: Decimal
    """Realised result less the fee."""


@dataclass(frozen=True, slots=True)
class ClosedLine:
    """A closed position; `net` is realised − fees + funding, `share` is net ÷ what the position cost at its peak."""

    position: Position
    rules: Rules
    net: Decimal
    share: Decimal | None
    lasted: timedelta


def working_orders(account: Account, rules: Mapping[str, Rules], limit: int = 40) -> list[OrderLine]:
    """Return the orders that are not over, by symbol."""
    rows = Order.objects.filter(account=account).exclude(state__in=FINAL).order_by("symbol", "role", "-created")
    return [OrderLine(row, rules.get(row.symbol, Rules())) for row in rows[:limit]]


def recent_fills(account: Account, rules: Mapping[str, Rules], limit: int = 10) -> list[FillLine]:
    """Return the newest executions with the order each belongs to."""
    rows = Fill.objects.filter(account=account).select_related("order").order_by("-at", "-id")
    return [FillLine(row, rules.get(row.symbol, Rules()), row.realised - row.fee) for row in rows[:limit]]


def closed_positions(account: Account, rules: Mapping[str, Rules], limit: int = 10) -> list[ClosedLine]:
    """Return the positions that were closed last."""
    rows = Position.objects.filter(account=account, closed__isnull=False).order_by("-closed", "-id")
    return [_closed(row, rules.get(row.symbol, Rules())) for row in rows[:limit]]


def diary_of(account: Account) -> QuerySet[DiaryEntry]:
    """Return the diary of every bot of the account, newest first."""
    entries = DiaryEntry.objects.filter(bot__account=account).select_related("bot")
    return entries.order_by("-at", "-id")


def cycles_of(bot: Bot) -> QuerySet[Cycle]:
    """Return the cycles of a bot, newest first."""
    return Cycle.objects.filter(bot=bot).defer("kept").order_by("-scheduled_for")


def last_cycle(account: Account) -> Cycle | None:
    """Return the cycle that began last on the account."""
    return Cycle.objects.filter(account=account).defer("kept").order_by("-began").first()


def ledger(account: Account, limit: int = 30) -> QuerySet[IncomeEntry]:
    """Return the newest lines of the exchange's own ledger."""
    return IncomeEntry.objects.filter(account=account).order_by("-at", "-id")[:limit]


def locks(account: Account) -> QuerySet[Lock]:
    """Return the limits that fired and are not lifted."""
    return Lock.objects.filter(account=account, lifted__isnull=True)


def reconciliations(account: Account, limit: int = 10) -> QuerySet[Reconciliation]:
    """Return the newest comparisons of the books with the exchange."""
    return Reconciliation.objects.filter(account=account)[:limit]


def _closed(position: Position, rules: Rules) -> ClosedLine:
    net = position.realised - position.fees + position.funding
    cost = position.peak_quantity * position.entry_price
    lasted = (position.closed or position.opened) - position.opened
    return ClosedLine(position, rules, net, net / cost if cost else None, lasted)
