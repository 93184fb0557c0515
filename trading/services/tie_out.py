"""Money ties out: fills, fees and funding as booked, against the exchange's own ledger, per position, symbol and day.

Both sides come from the exchange, by two different ways: executions one by one, and the list of why the wallet changed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final
from zoneinfo import ZoneInfo

from django.db.models import Sum

from accounts.models import Account, Incident
from accounts.services import incident_open, incidents_mended
from trading.domain.tie_out import Key, MoneyDifference, differences
from trading.domain.venue import SETTLED_IN, IncomeKind
from trading.models import Fill, IncomeEntry, Position
from trading.services.funding import funding_paid

BACK: Final = timedelta(days=8)
"""What is older was compared while it was younger; `everything` compares all of it."""
SETTLING: Final = timedelta(minutes=2)
"""A payment may come to the ledger that much later than its execution."""
KIND: Final = "money-mismatch"
REALISED, FEES, FUNDING = "realised", "fees", "funding"
OF_TRADES: Final = {IncomeKind.REALIZED_PNL.value: REALISED, IncomeKind.COMMISSION.value: FEES}


def money_check(
    account: Account, *, now: datetime, everything: bool = False, telling: bool = True
) -> list[MoneyDifference]:
    """Return the sums that do not tie out at the market time `now`.

    Told as incidents that name both figures, and resolved when they agree again.
    """
    since = None if everything else now - BACK
    found = differences(*_days(account, since, until=now - SETTLING))
    found += differences(*_totals(account, now))
    if telling:
        _tell(account, found)
    return found


def _days(
    account: Account, since: datetime | None, *, until: datetime
) -> tuple[dict[Key, Decimal], dict[Key, Decimal]]:
    """Return what executions and what the ledger say, by day. A payment counts on the day of its execution."""
    zone, first = ZoneInfo(account.time_zone), _first_line(account)
    booked, ledger = defaultdict[Key, Decimal](Decimal), defaultdict[Key, Decimal](Decimal)
    if first is None:
        return booked, ledger
    start = first if since is None else max(first, since)
    executed: dict[tuple[str, str], datetime] = {}
    for symbol, trade, at, realised, fee, asset in _fills(account, since):
        executed[symbol, trade] = at
        if not start <= at <= until:
            continue  # its payments are still to come, or lie further back than the ledger that we were given
        day = at.astimezone(zone).date()
        booked[day, symbol, REALISED, SETTLED_IN] += realised
        booked[day, symbol, FEES, asset] -= fee
    for kind, symbol, trade, at, amount, asset in _payments(account, since):
        # What was paid before the account was ours, for an execution that we never read, is no difference.
        of = executed.get((symbol, trade), at if at >= account.created else None)
        if of is not None and start <= of <= until:
            ledger[of.astimezone(zone).date(), symbol, OF_TRADES[kind], asset] += amount
    return booked, ledger


def _totals(account: Account, now: datetime) -> tuple[dict[Key, Decimal], dict[Key, Decimal]]:
    """Return what positions show and what was booked for them one by one, by symbol, over their whole lives."""
    day = now.astimezone(ZoneInfo(account.time_zone)).date()
    positions = Position.objects.filter(account=account).order_by().values_list("symbol")
    fills = Fill.objects.filter(account=account).order_by()
    shown = {
        (day, symbol, f"{what} of all positions", SETTLED_IN): amount
        for symbol, realised, fees, funding in positions.annotate(Sum("realised"), Sum("fees"), Sum("funding"))
        for what, amount in ((REALISED, realised), (FEES, -fees), (FUNDING, funding))
    }
    single = {
        (day, symbol, f"{REALISED} of all positions", SETTLED_IN): amount
        for symbol, amount in fills.values_list("symbol").annotate(Sum("realised"))
    }
    fees = fills.filter(fee_asset=SETTLED_IN).values_list("symbol").annotate(Sum("fee"))
    single |= {(day, symbol, f"{FEES} of all positions", SETTLED_IN): -amount for symbol, amount in fees}
    single |= {
        (day, symbol, f"{FUNDING} of all positions", SETTLED_IN): amount
        for symbol, amount in funding_paid(account).order_by().values_list("symbol").annotate(Sum("amount"))
    }
    return shown, single


def _first_line(account: Account) -> datetime | None:
    lines = IncomeEntry.objects.filter(account=account).exclude(kind=IncomeKind.OPENING.value)
    return lines.order_by("at").values_list("at", flat=True).first()


def _fills(account: Account, since: datetime | None) -> Iterable[tuple[str, str, datetime, Decimal, Decimal, str]]:
    rows = Fill.objects.filter(account=account)
    if since is not None:
        # Those before it are read for their payments, which may come after it and count no more than they do.
        rows = rows.filter(at__gte=since - 2 * SETTLING)
    return rows.order_by().values_list("symbol", "exchange_trade_id", "at", "realised", "fee", "fee_asset")


def _payments(account: Account, since: datetime | None) -> Iterable[tuple[str, str, str, datetime, Decimal, str]]:
    rows = IncomeEntry.objects.filter(account=account, kind__in=OF_TRADES)
    if since is not None:
        rows = rows.filter(at__gte=since - SETTLING)
    return rows.order_by().values_list("kind", "symbol", "trade_id", "at", "amount", "asset")


def _tell(account: Account, found: list[MoneyDifference]) -> None:
    now = {f"{one.day} {one.symbol} {one.what} {one.asset}": one for one in found}
    past = Incident.objects.filter(account=account, kind=KIND, resolved__isnull=True)
    for subject in past.values_list("data__subject", flat=True):
        if subject not in now:
            incidents_mended(account=account, kind=KIND, subject=subject)
    for subject, one in now.items():
        figures = {"booked": str(one.booked), "ledger": str(one.ledger)}
        severity = Incident.Severity.CRITICAL
        incident_open(account=account, kind=KIND, text=str(one), severity=severity, subject=subject, data=figures)
