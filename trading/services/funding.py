"""Whose funding was it: each payment belongs to the position that was open when it was settled."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal

from django.db.models import Q, QuerySet

from accounts.models import Account
from trading.domain.venue import SETTLED_IN, IncomeKind
from trading.models import IncomeEntry, Position


def funding_paid(account: Account) -> QuerySet[IncomeEntry]:
    """Return the payments that belong to positions: of a live account, those since it is ours."""
    paid = IncomeEntry.objects.filter(account=account, kind=IncomeKind.FUNDING_FEE.value, asset=SETTLED_IN)
    return paid.filter(at__gte=account.created) if account.live else paid


def funding_assign(*, account: Account, symbol: str, since: datetime) -> None:
    """Give the payments to the positions of a symbol that were open at `since` or later, as these are known now.

    The ledger is often read before the trades: a payment may be booked while nobody knows of the position that it is
    for, or while one still counts as open that was closed before it. The caller holds the account.
    """
    open_then = Position.objects.filter(Q(closed=None) | Q(closed__gte=since), account=account, symbol=symbol)
    rows = list(open_then.order_by("-opened", "-pk"))
    if not rows:
        return
    sums = defaultdict[int, Decimal](Decimal)
    for at, amount in funding_paid(account).filter(symbol=symbol, at__gte=rows[-1].opened).values_list("at", "amount"):
        if owner := next((row for row in rows if _was_open(row, at)), None):
            sums[owner.pk] += amount
    for row in rows:
        if row.funding != sums[row.pk]:
            Position.objects.filter(pk=row.pk).update(funding=sums[row.pk])


def _was_open(row: Position, at: datetime) -> bool:
    return row.opened <= at and (row.closed is None or row.closed >= at)
