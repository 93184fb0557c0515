"""What an account did lately, from its books."""

from __future__ import annotations

from datetime import datetime

from django.db.models import Min, Q

from accounts.models import Account
from decisions.domain.portfolio import Role
from decisions.domain.proposal import Side
from trading.domain.history import ENDED_TOLD, LOOKED_BACK, Ended, History
from trading.models import Fill, Order, Position


def history_of(account: Account, *, at: datetime) -> History:
    """Return entries and ends up to the moment `at` of market time, in two queries.

    Entries are ours; what ended is every position of the account, those that were opened by hand as well.
    """
    since = at - LOOKED_BACK
    entries = Fill.objects.filter(
        account=account, at__gt=since, order__role=Role.ENTRY.value, order__origin=Order.Origin.OURS
    )
    opened = entries.order_by().values("order").annotate(first=Min("at")).order_by("first")
    closed = Position.objects.filter(account=account, closed__isnull=False)
    newest = closed.order_by("-closed", "-pk").values("pk")[:ENDED_TOLD]
    told = closed.filter(Q(closed__gt=since) | Q(pk__in=newest)).order_by("closed", "pk")
    return History(
        opened=tuple(opened.values_list("first", flat=True)),
        ended=tuple(
            Ended(row.symbol, Side(row.side), row.opened, row.closed, row.realised - row.fees + row.funding)
            for row in told.only("symbol", "side", "opened", "closed", "realised", "fees", "funding")
            if row.closed
        ),
    )
