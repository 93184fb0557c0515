"""The exchange's ledger in sums, beside what our own books say: whether money ties out, at a glance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import Account, Incident
from trading.domain.tie_out import CENT
from trading.domain.venue import MOVED, SETTLED_IN, IncomeKind
from trading.models import Fill, IncomeEntry, Position, Reconciliation
from trading.selectors.standing import ZERO, day_start
from vibex.lib.together import read_together

WEEK: Final = timedelta(days=7)
SETTLING: Final = timedelta(minutes=2)
"""A payment may come to the ledger that much later than its execution."""
LINES, INCIDENTS, COMPARISONS = 30, 20, 10
KINDS: Final = (
    ("Realised", (IncomeKind.REALIZED_PNL,)),
    ("Fees", (IncomeKind.COMMISSION,)),
    ("Funding", (IncomeKind.FUNDING_FEE,)),
    ("Liquidations", (IncomeKind.LIQUIDATION_FEE, IncomeKind.INSURANCE_CLEAR)),
    ("Transfers", MOVED),
    ("Other", (IncomeKind.OTHER,)),
)
"""How the kinds of the ledger are told, the result of trading first."""
MISMATCH: Final = "money-mismatch"


@dataclass(frozen=True, slots=True)
class KindSum:
    """Sums of one kind in quote units. `ours` is None where our books keep no figure of their own to compare."""

    name: str
    day: Decimal
    week: Decimal
    whole: Decimal
    theirs: Decimal
    """Of the ledger since we were there: what `ours` is compared with."""
    ours: Decimal | None = None

    @property
    def difference(self) -> Decimal | None:
        return None if self.ours is None else self.ours - self.theirs

    @property
    def agrees(self) -> bool:
        """Whether both are the same to the cent."""
        return self.difference is None or abs(self.difference) < CENT


def ledger_page(account: Account, *, now: datetime) -> dict[str, Any]:
    """Return what the books show of ledger, comparisons and incidents, at the market time `now`. Two queries."""
    found = read_together(
        incidents=Incident.objects.filter(account=account).order_by("-opened", "-id")[:INCIDENTS],
        ledger=IncomeEntry.objects.filter(account=account).order_by("-at", "-id")[:LINES],
        reconciliations=Reconciliation.objects.filter(account=account).order_by("-at", "-id")[:COMPARISONS],
        mismatches=Incident.objects.filter(account=account, kind=MISMATCH, resolved__isnull=True).order_by("-opened"),
        booked=_booked(account),
    )
    (booked,) = found.pop("booked")
    sums = _sums(account, booked, now)
    newest = booked.newest_fill
    settling = newest is not None and now - newest < SETTLING and not all(each.agrees for each in sums)
    total = KindSum(
        "All together",
        day=sum((each.day for each in sums), ZERO),
        week=sum((each.week for each in sums), ZERO),
        whole=sum((each.whole for each in sums), ZERO),
        theirs=sum((each.theirs for each in sums), ZERO),
    )
    compared = next(iter(found["reconciliations"]), None)
    return found | {"sums": sums, "sum_of_all": total, "settling": settling, "compared": compared}


def _booked(account: Account) -> QuerySet[Account]:
    """Return the account with what our own books say: sums of executions, and of what positions were credited."""
    fills = Fill.objects.filter(account=OuterRef("pk"), **_since(account)).order_by().values("account")
    paid = fills.filter(fee_asset=SETTLED_IN)
    positions = Position.objects.filter(account=OuterRef("pk")).order_by().values("account")
    return Account.objects.filter(pk=account.pk).only("pk").annotate(
        realised=Coalesce(Subquery(fills.annotate(sum=Sum("realised")).values("sum")), ZERO),
        fees=Coalesce(Subquery(paid.annotate(sum=Sum("fee")).values("sum")), ZERO),
        funding=Coalesce(Subquery(positions.annotate(sum=Sum("funding")).values("sum")), ZERO),
        newest_fill=Subquery(fills.annotate(newest=Max("at")).values("newest")),
    )  # fmt: skip


def _sums(account: Account, booked: Any, now: datetime) -> tuple[KindSum, ...]:
    began = day_start(now, account.time_zone)
    rows = IncomeEntry.objects.filter(account=account, asset=SETTLED_IN).order_by().values("kind")
    rows = rows.annotate(
        whole=Sum("amount"),
        week=Coalesce(Sum("amount", filter=Q(at__gt=now - WEEK)), ZERO),
        day=Coalesce(Sum("amount", filter=Q(at__gt=began)), ZERO),
        theirs=Coalesce(Sum("amount", filter=Q(**_since(account))), ZERO) if account.live else Sum("amount"),
    )
    known: dict[str, dict[str, Any]] = {row["kind"]: dict(row) for row in rows}
    ours = {"Realised": booked.realised, "Fees": -booked.fees, "Funding": booked.funding}
    return tuple(
        KindSum(
            name,
            day=_total(known, kinds, "day"),
            week=_total(known, kinds, "week"),
            whole=_total(known, kinds, "whole"),
            theirs=_total(known, kinds, "theirs"),
            ours=ours.get(name),
        )
        for name, kinds in KINDS
        if name in ours or any(kind.value in known for kind in kinds)
    )


def _total(known: dict[str, dict[str, Any]], kinds: tuple[IncomeKind, ...], of: str) -> Decimal:
    return sum((known[kind.value][of] for kind in kinds if kind.value in known), ZERO)


def _since(account: Account) -> dict[str, datetime]:
    """Narrow to what happened since the account is ours: a live one had a life before, a paper one has none."""
    return {"at__gte": account.created} if account.live else {}
