"""What accounts are worth and what is at stake, from what is stored. The exchange is never asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Final

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.models import Account
from accounts.selectors import market_name
from marketdata.models import Ticker
from trading.domain.losses import Watch, drawdown
from trading.models import EquityPoint, Position
from trading.selectors.losses import watch_from

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Balance:
    """Money of an account in its quote asset. What the exchange has stated is None before the first time."""

    account: int
    badge: str
    as_of: datetime | None
    """Market time of the newest statement."""
    wallet: Decimal | None
    unrealised: Decimal | None
    equity: Decimal | None
    margin: Decimal
    """That opened what is open: cost ÷ leverage."""
    exposure: Decimal
    """Sum of quantity × mark price of what is open; × entry price where no mark is stored."""
    watch: Watch | None

    @property
    def free(self) -> Decimal | None:
        """Equity less margin, at least 0."""
        return None if self.equity is None else max(ZERO, self.equity - self.margin)

    @property
    def day_result(self) -> Decimal | None:
        """Since the day of the newest statement began, net of transfers."""
        return None if self.watch is None else -self.watch.day_lost

    @property
    def day_ends(self) -> datetime | None:
        return None if self.watch is None else self.watch.day_ends

    @property
    def drawdown(self) -> float | None:
        return None if self.watch is None else float(drawdown(self.watch))


def with_newest(accounts: QuerySet[Account]) -> QuerySet[Account]:
    """Return accounts as `balances_of` takes them: with the key of the newest statement and with the watch of losses."""
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at").values("pk")[:1]
    return accounts.select_related("loss_watch").annotate(newest=Subquery(newest))


def balances_of(accounts: Sequence[Account]) -> list[Balance]:
    """Return the balances of accounts that `with_newest` gave. Two queries, however many they are."""
    stated = EquityPoint.objects.in_bulk([key for one in accounts if (key := getattr(one, "newest", None)) is not None])
    held = _held([one.pk for one in accounts])
    return [_balance(one, stated.get(getattr(one, "newest", None)), *held[one.pk]) for one in accounts]


def _balance(account: Account, point: EquityPoint | None, margin: Decimal, exposure: Decimal) -> Balance:
    watch = getattr(account, "loss_watch", None)
    return Balance(
        account=account.pk,
        badge=account.badge,
        as_of=point.at if point else None,
        wallet=point.wallet if point else None,
        unrealised=point.unrealised if point else None,
        equity=point.equity if point else None,
        margin=margin,
        exposure=exposure,
        watch=watch_from(watch) if watch else None,
    )


def _held(accounts: Sequence[int]) -> dict[int, tuple[Decimal, Decimal]]:
    """Return margin and exposure of each account."""
    marks = Ticker.objects.filter(venue=OuterRef("market_of"), symbol=OuterRef("symbol")).values("mark")[:1]
    rows = Position.objects.filter(account__in=accounts, closed__isnull=True).order_by()
    rows = rows.annotate(market_of=market_name(of="account__")).annotate(mark=Subquery(marks))
    found = defaultdict[int, tuple[Decimal, Decimal]](lambda: (ZERO, ZERO))
    columns = ("account_id", "cost", "leverage", "quantity", "entry_price", "mark")
    for account, cost, leverage, quantity, entry, mark in rows.values_list(*columns):
        margin, exposure = found[account]
        found[account] = margin + cost / leverage, exposure + quantity * (mark or entry)
    return found
