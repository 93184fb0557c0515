"""All that the desk of an account shows, read together: what is there costs two queries, however much it is."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery, Sum
from django.db.models.functions import Coalesce

from accounts.models import Account, Bot, Incident
from accounts.selectors import Person, open_incidents
from decisions.models import Cycle, DiaryEntry
from trading.domain.losses import KINDS
from trading.domain.orders import FINAL
from trading.domain.venue import SETTLED_IN
from trading.models import EquityPoint, Fill, IncomeEntry, Lock, Order, Position
from trading.selectors.approvals import Waiting, awaiting_of, waiting_of
from trading.selectors.books import ClosedLine, FillLine, OrderLine, closed_line
from trading.selectors.gauges import Gauge, gauges_from
from trading.selectors.losses import losses_from, watch_from
from trading.selectors.opening import Opening
from trading.selectors.standing import (
    ZERO,
    Standing,
    Stored,
    day_start,
    line_from,
    rules_from,
    standing_from,
    transfers_of,
    with_market,
    with_rules,
)
from vibex.lib.together import read_together

ENTRIES, ORDERS, NEWEST, INCIDENTS = 14, 40, 10, 10
"""How many of each the desk has room for."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What stands on the desk of an account."""

    standing: Standing
    gauges: tuple[Gauge, ...]
    locks: tuple[Lock, ...]
    """Those that bar entries now, oldest first."""
    bots: tuple[Bot, ...]
    """The running one first."""
    last: Cycle | None
    orders: tuple[OrderLine, ...]
    fills: tuple[FillLine, ...]
    closed: tuple[ClosedLine, ...]
    incidents: tuple[Incident, ...]
    entries: tuple[DiaryEntry, ...]
    first: datetime | None
    """Market time of the first statement of equity."""
    opening: Opening


def desk_of(account: Account, *, market_now: datetime, now: datetime) -> Desk:
    """Return the desk of an account that was read with its limits and its watch of losses. `now` is wall time. One query."""
    found = read_together(**_asked(account, market_now))
    bots = _bots(account, found["bots"])
    opening = _opening(account, found["points"])
    lines = tuple(line_from(position) for position in found["held"])
    stored = _stored(account, found, opening, market_now)
    standing = standing_from(account, lines, stored, now=market_now)
    return Desk(
        standing=standing,
        gauges=_gauges(account, standing, found["locks"]),
        locks=tuple(lock for lock in found["locks"] if lock.until is None or lock.until >= now),
        bots=bots,
        last=found["cycles"][0] if found["cycles"] else None,
        orders=tuple(OrderLine(row, rules_from(row)) for row in found["orders"]),
        fills=tuple(FillLine(row, rules_from(row), row.realised - row.fee, row.role) for row in found["fills"]),
        closed=tuple(closed_line(row, rules_from(row)) for row in found["closed"]),
        incidents=tuple(found["incidents"]),
        entries=tuple(_with_bot(entry, bots) for entry in found["entries"]),
        first=found["points"][0].at if found["points"] else None,
        opening=opening,
    )


def waiting_on(account: Account, person: Person, *, market_now: datetime) -> list[Waiting]:
    """Return what waits for `person` on an account, what ends first on top. One query."""
    rows = awaiting_of(person).filter(decision__bot__account=account).order_by("until", "pk")
    return waiting_of(rows, {account.market: market_now})


def _asked(account: Account, market_now: datetime) -> dict[str, QuerySet[Any]]:
    market, began = account.market, day_start(market_now, account.time_zone)
    own: dict[str, Account] = {"account": account}
    positions, points = Position.objects.filter(**own), EquityPoint.objects.filter(**own)
    working = Order.objects.filter(**own).exclude(state__in=FINAL).order_by("symbol", "role", "-created")
    fills = Fill.objects.filter(**own).annotate(role=F("order__role")).order_by("-at", "-id")
    closed = positions.filter(closed__isnull=False).order_by("-closed", "-id")
    kept = (
        Q(pk__in=points.order_by("at").values("pk")[:1])
        | Q(pk__in=points.order_by("-at").values("pk")[:1])
        | Q(pk__in=points.filter(at__lte=began).order_by("-at").values("pk")[:1])
    )
    return {
        "bots": Bot.objects.filter(**own).order_by("pk"),
        "cycles": Cycle.objects.filter(**own).defer("kept").order_by("-began")[:1],
        "locks": Lock.objects.filter(**own, lifted__isnull=True).order_by("since", "pk"),
        "incidents": open_incidents(account).order_by("-opened", "-pk")[:INCIDENTS],
        "entries": DiaryEntry.objects.filter(bot__account=account).order_by("-at", "-id")[:ENTRIES],
        "held": with_market(positions.filter(closed__isnull=True), account).order_by("symbol"),
        "closed": with_rules(closed, market)[:NEWEST],
        "orders": with_rules(working, market)[:ORDERS],
        "fills": with_rules(fills, market)[:NEWEST],
        "points": points.filter(kept).order_by("at"),
        "moved": transfers_of(account),
        "ledger": _ledger(account),
    }


def _ledger(account: Account) -> QuerySet[Account]:
    """Return the account with the sum of its ledger, and of when the newest line is."""
    lines = IncomeEntry.objects.filter(account=OuterRef("pk"), asset=SETTLED_IN).order_by().values("account")
    return Account.objects.filter(pk=account.pk).only("pk").annotate(
        ledger_sum=Coalesce(Subquery(lines.annotate(sum=Sum("amount")).values("sum")), ZERO),
        ledger_at=Subquery(lines.annotate(at_last=Max("at")).values("at_last")),
    )  # fmt: skip


def _bots(account: Account, bots: list[Bot]) -> tuple[Bot, ...]:
    for each in bots:
        each.account = account
    return tuple(sorted(bots, key=lambda each: each.status != Bot.Status.RUNNING))


def _with_bot(entry: DiaryEntry, bots: tuple[Bot, ...]) -> DiaryEntry:
    entry.bot = next(each for each in bots if each.pk == entry.bot_id)
    return entry


def _opening(account: Account, points: list[EquityPoint]) -> Opening:
    """Return what the account began with, as `opening_of` does."""
    return Opening(points[0].equity, points[0].at) if account.live and points else Opening(account.starting_balance)


def _stored(account: Account, found: dict[str, list[Any]], opening: Opening, now: datetime) -> Stored:
    points, began = found["points"], day_start(now, account.time_zone)
    before: list[Decimal] = [point.equity for point in points if point.at <= began]
    (ledger,) = found["ledger"]
    return Stored(
        opening=opening,
        moved=[(line.at, line.amount) for line in found["moved"]],
        newest=(points[-1].at, points[-1].wallet) if points else None,
        before=before[-1] if before else opening.equity,
        ledger_at=ledger.ledger_at,
        ledger_sum=ledger.ledger_sum,
    )


def _gauges(account: Account, standing: Standing, locks: list[Lock]) -> tuple[Gauge, ...]:
    limits, watch = getattr(account, "limits", None), getattr(account, "loss_watch", None)
    if limits is None:
        return ()
    of_losses = tuple(lock for lock in locks if lock.kind in KINDS)
    losses = losses_from(watch_from(watch), limits, of_losses) if watch is not None else None
    return gauges_from(losses, standing, limits)
