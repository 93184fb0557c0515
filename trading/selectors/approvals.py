"""What waits for a person, at the prices of now: size, risk and reward as they would be, and how long is left."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import OuterRef, QuerySet, Subquery

from accounts.models import Account
from accounts.selectors import Person, market_name
from decisions.approvals import approvals_of, proposal_of
from decisions.models import Approval, Cycle, Decision
from marketdata.models import Instrument, Ticker
from marketdata.selectors import market_clock
from trading.domain.approval import Prospect, prospect
from trading.models import EquityPoint
from trading.selectors.standing import DEFAULT_TICK, Rules
from vibex.lib.errors import VibexError

ANSWERABLE = (Cycle.Status.AWAITING, Cycle.Status.RUNNING)
"""A cycle that runs again carries out another of its entries just now."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry that waits, as a person has to judge it. Amounts in quote units, None where nobody knows a price."""

    approval: Approval
    account: Account
    rules: Rules
    now: datetime
    """Market time."""
    side: str
    prospect: Prospect | None

    @property
    def decision(self) -> Decision:
        return self.approval.decision


def waiting_for(person: Person, *, account: Account | None = None) -> list[Waiting]:
    """Return what `person` may answer now (on one account), what ends first on top."""
    rows = approvals_of(person).filter(state=Approval.State.AWAITING, decision__cycle__status__in=ANSWERABLE)
    if account is not None:
        rows = rows.filter(decision__bot__account=account)
    rows = rows.select_related("decision__bot__account__limits").annotate(
        market=market_name(of="decision__bot__account__")
    )
    return list(_in_time(_priced(rows).order_by("until", "pk")))


def market_now(market: str) -> datetime:
    """Return the time of a market; that on the wall when there is no such market any more."""
    try:
        return market_clock(market).now()
    except VibexError:
        return datetime.now(UTC)


def _priced(rows: QuerySet[Approval]) -> QuerySet[Approval]:
    """Add prices, trading rules and equity: one query for all of it."""
    here = {"venue": OuterRef("market"), "symbol": OuterRef("decision__symbol")}
    newest = EquityPoint.objects.filter(account=OuterRef("decision__bot__account")).order_by("-at")
    return rows.annotate(
        **{name: Subquery(Ticker.objects.filter(**here).values(name)[:1]) for name in ("bid", "ask")},
        **{
            name: Subquery(Instrument.objects.filter(**here).values(name)[:1])
            for name in ("tick_size", "step_size", "taker_fee")
        },
        equity=Subquery(newest.values("equity")[:1]),
    )


def _in_time(rows: Iterable[Approval]) -> Iterable[Waiting]:
    clocks: dict[str, datetime] = {}
    for row in rows:
        market = row.market  # type: ignore[attr-defined]
        now = clocks.get(market) or clocks.setdefault(market, market_now(market))
        if now < row.until:
            yield _waiting(row, now)


def _waiting(row: Approval, now: datetime) -> Waiting:
    found = vars(row)
    proposal, account = proposal_of(row.decision), row.decision.bot.account
    touch = found["ask"] if proposal.side.sign > 0 else found["bid"]
    rules = Rules(found["tick_size"] or DEFAULT_TICK, found["step_size"] or Rules().step)
    expected = touch and prospect(
        proposal,
        quantity=row.decision.quantity or Decimal(0),
        touch=touch,
        taker_fee=found["taker_fee"] or Decimal(0),
        slippage=account.limits.max_slippage,
        equity=found["equity"],
    )
    return Waiting(row, account, rules, now, proposal.side.value, expected)
