"""Lines of the books of one account: its diary, cycles, ledger and comparisons, and how orders and trades are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

from django.db.models import QuerySet

from accounts.models import Account, Bot
from decisions.models import Cycle, DiaryEntry
from trading.models import Fill, Order, Position
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
    role: str


@dataclass(frozen=True, slots=True)
class ClosedLine:
    """A closed position; `net` is realised − fees + funding, `share` is net ÷ what the position cost at its peak."""

    position: Position
    rules: Rules
    net: Decimal
    share: Decimal | None
    lasted: timedelta


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


def closed_line(position: Position, rules: Rules) -> ClosedLine:
    """Return a closed position with its result."""
    net = position.realised - position.fees + position.funding
    cost = position.peak_quantity * position.entry_price
    lasted = (position.closed or position.opened) - position.opened
    return ClosedLine(position, rules, net, net / cost if cost else None, lasted)
