"""The cards of the overview: each account with its bots, what it holds, its day and its equity. Two queries for all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from accounts.models import Account, Bot
from accounts.selectors import Person, accounts_of, market_name
from marketdata.models import Instrument, Ticker
from trading.domain.losses import day_anew
from trading.domain.venue import MOVED, SETTLED_IN
from trading.models import EquityPoint, IncomeEntry, Position
from trading.selectors.curve import polyline_of
from trading.selectors.gauges import Gauge, day_gauge
from trading.selectors.leaderboard import Known
from trading.selectors.losses import losses_from, watch_from
from trading.selectors.market import MarketView, next_decision
from trading.selectors.standing import DEFAULT_TICK, PositionLine, Rules, line_of
from trading.selectors.system import with_looks

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class Held:
    """An open position and whose it is."""

    account: Account
    line: PositionLine
    now: datetime
    """Market time."""
    clock: str
    """By which clock a page lets times pass: `wall`, or `market` where that has a time of its own."""


@dataclass(frozen=True, slots=True)
class Card:
    """An account at a glance. Amounts in quote units, shares as fractions; None where nobody stated anything yet."""

    account: Account
    market: MarketView
    bots: tuple[tuple[Bot, datetime | None], ...]
    """Each with its next decision (market time)."""
    held: tuple[Held, ...]
    clock: str
    equity: Decimal | None = None
    unrealised: Decimal = ZERO
    day: Decimal | None = None
    before: Decimal = ZERO
    """What the day began with, of which its result is a share."""
    gauge: Gauge | None = None
    """Of the day's loss; None for an account without limits."""
    spark: str = ""
    """Equity of the last day as the points of an SVG polyline."""

    @property
    def day_share(self) -> Decimal | None:
        return share_of(self.day, self.before)

    @property
    def exposure(self) -> Decimal:
        return sum((each.line.notional for each in self.held), ZERO)

    @property
    def exposure_share(self) -> Decimal | None:
        return self.exposure / self.equity if self.equity else None

    @property
    def in_use(self) -> bool:
        """Whether it matters if its market stands still."""
        return bool(self.held) or any(bot.status == Bot.Status.RUNNING for bot, _ in self.bots)

    @property
    def troubled(self) -> bool:
        """Whether the account may not do what it usually may."""
        return self.account.state != Account.State.ACTIVE


def share_of(day: Decimal | None, before: Decimal) -> Decimal | None:
    """Return the result of a day as a share of what it began with; None of nothing."""
    return day / before if day is not None and before > 0 else None


def accounts_looked_at(person: Person) -> QuerySet[Account]:
    """Return the accounts with what was stated last and booked since. One query for all of them."""
    newest = EquityPoint.objects.filter(account=OuterRef("pk")).order_by("-at")
    later = IncomeEntry.objects.filter(account=OuterRef("pk"), asset=SETTLED_IN, at__gt=OuterRef("stated_at"))
    moved = later.filter(kind__in=[kind.value for kind in MOVED])
    rows = with_looks(accounts_of(person)).select_related("limits", "loss_watch", "guard", "user_stream")
    rows = rows.annotate(stated_at=Subquery(newest.values("at")[:1]), wallet=Subquery(newest.values("wallet")[:1]))
    return rows.annotate(booked_since=_sum(later), moved_since=_sum(moved)).order_by("pk")


def _sum(lines: QuerySet[IncomeEntry]) -> Any:
    of_account = lines.order_by().values("account").annotate(total=Sum("amount"))
    return Coalesce(Subquery(of_account.values("total")), Value(ZERO))


def held_by(
    accounts: Sequence[Account], views: Mapping[str, MarketView], clocks: Mapping[str, str]
) -> defaultdict[int, list[Held]]:
    """Return the open positions of each account at the present mark. One query for all of them."""
    here = {"venue": OuterRef("market_of"), "symbol": OuterRef("symbol")}
    rules = Instrument.objects.filter(**here)
    rows = Position.objects.filter(account__in=[one.pk for one in accounts], closed__isnull=True)
    rows = rows.annotate(market_of=market_name(of="account__")).annotate(
        mark=Subquery(Ticker.objects.filter(**here).values("mark")[:1]),
        tick=Subquery(rules.values("tick_size")[:1]),
        step=Subquery(rules.values("step_size")[:1]),
    )
    by_key = {one.pk: one for one in accounts}
    found: defaultdict[int, list[Held]] = defaultdict(list)
    for row in rows.order_by("account_id", "symbol"):
        account, told = by_key[row.account_id], vars(row)
        written = Rules(told["tick"] or DEFAULT_TICK, told["step"] or Rules().step)
        line, market = line_of(row, written, told["mark"]), account.market
        found[account.pk].append(Held(account, line, views[market].now, clocks[market]))
    return found


def card_of(
    account: Account, view: MarketView, clock: str, bots: Iterable[Bot], held: Sequence[Held], equity: Known
) -> Card:
    bots_told = tuple((bot, next_decision(bot, view)) for bot in bots)
    told, limits = vars(account), getattr(account, "limits", None)
    row = getattr(account, "loss_watch", None)
    watch = watch_from(row) if row else None
    if watch and view.now >= watch.day_ends:
        watch = day_anew(watch)  # nothing was stated in the new day yet: it begins with what was known last
    gauge = day_gauge(losses_from(watch, limits) if watch else None, limits) if limits else None
    if told["wallet"] is None:
        return Card(account, view, bots_told, tuple(held), clock, gauge=gauge)
    unrealised = sum((each.line.unrealised or ZERO for each in held), ZERO)
    now = told["wallet"] + told["booked_since"] + unrealised
    day, before = None, ZERO
    if watch is not None:
        before = watch.day_base
        day = now - told["moved_since"] - watch.day_equity - watch.day_moved
    return Card(
        account,
        view,
        bots_told,
        tuple(held),
        clock,
        equity=now,
        unrealised=unrealised,
        day=day,
        before=before,
        gauge=gauge,
        spark=_spark(equity, account.pk, view.now, now),
    )


def _spark(known: Known, account: int, at: datetime, equity: Decimal) -> str:
    hours = known.hours.get(account, [])
    points: list[tuple[datetime, float]] = []
    for hour in hours:
        moment = datetime.fromisoformat(hour.at)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        points += [(moment, hour.first)] if not points else []
        points.append((min(at, moment + timedelta(hours=1)), hour.last))
    return polyline_of([*points, (at, float(equity))]) if points and points[0][0] < at else ""
