"""What waits for a person, at the prices of now: size, risk and reward as they would be, and how long is left."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.utils import timezone

from accounts.models import Account
from accounts.selectors import Person, market_name
from decisions.approvals import approvals_of, proposal_of
from decisions.models import Approval, Cycle, Decision
from marketdata.models import Instrument, Ticker
from marketdata.selectors import market_clock
from trading.domain.approval import Prospect, prospect
from trading.models import EquityPoint
from trading.selectors.plans import digest
from trading.selectors.standing import DEFAULT_TICK, Rules
from trading.templatetags.figures import exact
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

    @property
    def version(self) -> str:
        """Mark of what is shown: who approves it approves just that."""
        return _version(self.approval)


def waiting_for(person: Person, *, account: Account | None = None, now: datetime | None = None) -> list[Waiting]:
    """Return what `person` may answer now (on one account, at its market time `now` where the caller knows it), what
    ends first on top."""
    rows = awaiting_of(person)
    if account is not None:
        rows = rows.filter(decision__bot__account=account)
    known = {account.market: now} if account is not None and now is not None else None
    return list(_in_time(rows.order_by("until", "pk"), known))


def awaiting_of(person: Person) -> QuerySet[Approval]:
    """Return the rows of what `person` may answer, with what `waiting_of` reads; some may have ended by their time."""
    rows = approvals_of(person).filter(state=Approval.State.AWAITING, decision__cycle__status__in=ANSWERABLE)
    # None first: who answered, and what was ruled again, nobody asks of what waits.
    rows = rows.select_related(None).select_related("decision__bot__account")
    return _priced(rows.annotate(market=market_name(of="decision__bot__account__")))


def waiting_of(rows: Iterable[Approval], clocks: Mapping[str, datetime] | None = None) -> list[Waiting]:
    """Return rows of `awaiting_of` as a person has to judge them, without those whose time is over.

    `clocks` are the times of markets, as far as they are known already.
    """
    return list(_in_time(rows, clocks))


def approval_changed(decision: Decision, version: str) -> str:
    """Return how an entry that waits stands now, where it is another than `version` showed; "" where it is the same.

    What waits no more has not changed: what became of it is said by who is asked to answer it.
    """
    approval = (
        Approval.objects.filter(decision=decision, state=Approval.State.AWAITING).select_related("decision").first()
    )
    if approval is None or _version(approval) == version:
        return ""
    size, stop = exact(approval.decision.quantity), exact(approval.decision.stop_loss)
    return f"{size} with a stop at {stop}, until {timezone.localtime(approval.until):%H:%M:%S}"


def market_now(market: str) -> datetime:
    """Return the time of a market; that on the wall when there is no such market any more."""
    try:
        return market_clock(market).now()
    except VibexError:
        return datetime.now(UTC)


def _version(approval: Approval) -> str:
    asked = approval.decision
    shown = (f"{value.normalize():f}" if value is not None else "" for value in (asked.quantity, asked.stop_loss))
    return digest(approval.pk, *shown, approval.until.isoformat())


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
        max_slippage=F("decision__bot__account__limits__max_slippage"),
    )


def _in_time(rows: Iterable[Approval], known: Mapping[str, datetime] | None = None) -> Iterable[Waiting]:
    clocks = dict(known or {})
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
        slippage=found["max_slippage"],
        equity=found["equity"],
    )
    return Waiting(row, account, rules, now, proposal.side.value, expected)
