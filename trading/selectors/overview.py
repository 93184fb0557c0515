"""All accounts of a person at a glance. Everything is read for all of them together: the queries do not grow with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Count, Exists, OuterRef, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Coalesce

from accounts.models import Account, Alert, Bot
from accounts.selectors import Person, accounts_of, alerts_of, bots_of, market_name
from decisions.domain.proposal import Action
from decisions.models import Cycle, Decision
from marketdata.models import Instrument, Ticker
from trading.domain.losses import day_anew
from trading.domain.venue import MOVED, SETTLED_IN
from trading.models import EquityPoint, IncomeEntry, Position
from trading.selectors.approvals import Waiting, awaiting_of, waiting_of
from trading.selectors.curve import polyline_of
from trading.selectors.gauges import Gauge, day_gauge
from trading.selectors.leaderboard import (
    LOOKED_BACK,
    Known,
    Score,
    days_by_market,
    equity_known,
    hours_by_market,
    scores_of,
)
from trading.selectors.losses import losses_from, watch_from
from trading.selectors.market import MarketView, next_decision, view_of
from trading.selectors.standing import DEFAULT_TICK, PositionLine, Rules, line_of
from trading.selectors.system import Light, System, lights_of, system_known, with_looks

ZERO: Final = Decimal(0)
SAME_TIME: Final = timedelta(seconds=5)
"""A market whose time is nearer to that on the wall follows it."""
SPARK: Final = timedelta(days=1)
"""What the small picture of a card shows."""
SAID_OF_EACH: Final = 6
"""Cycles of each bot, with a decision in them, that may be among the latest."""
SAID_OF_ALL: Final = 240
"""Of many accounts fewer are looked for on each, so that a hundred of them cost about what forty do."""
SAID: Final = 8
"""Cycles that are shown."""
ALERTS: Final = 6
CARDS: Final = 12
BOARD: Final = 30
"""Bots on the leaderboard."""
HELD: Final = 40
"""Positions that are shown: those without a stop first, then the largest."""
BADGES: Final = ("live", "testnet", "paper")
"""Real money first. Sums are made within a kind, never across."""


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


@dataclass(frozen=True, slots=True)
class Total:
    """Accounts of one kind together."""

    badge: str
    count: int
    equity: Decimal
    day: Decimal
    before: Decimal
    """What the day began with."""
    exposure: Decimal
    unknown: int
    """Accounts of which nothing is known yet: they are in no sum."""

    @property
    def known(self) -> bool:
        return self.unknown < self.count

    @property
    def day_share(self) -> Decimal | None:
        return share_of(self.day, self.before)


@dataclass(frozen=True, slots=True)
class Said:
    """What a bot asked for in one cycle, for the feed."""

    bot: Bot
    cycle_id: int
    at: datetime
    """Market time."""
    acts: tuple[Decision, ...]
    """What it wanted to open or close."""
    holds: tuple[Decision, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    """Everything on the overview. `now` is wall time."""

    now: datetime
    cards: tuple[Card, ...]
    totals: tuple[Total, ...]
    scores: tuple[Score, ...]
    said: tuple[Said, ...]
    alerts: tuple[Alert, ...]
    unseen: int
    waiting: tuple[Waiting, ...]
    lights: tuple[Light, ...]
    markets: tuple[str, ...]
    """Those of the accounts, the one with most running bots first."""

    @property
    def first(self) -> tuple[Card, ...]:
        """Cards that are shown whole; the others are lines of a table."""
        return self.cards[:CARDS]

    @property
    def others(self) -> tuple[Card, ...]:
        return self.cards[CARDS:]

    @property
    def board(self) -> tuple[Score, ...]:
        return self.scores[:BOARD]

    @property
    def held(self) -> list[Held]:
        """The positions that are shown."""
        every = (each for card in self.cards for each in card.held)
        return sorted(every, key=lambda each: (each.line.position.stop is not None, -each.line.notional))[:HELD]

    @property
    def held_besides(self) -> int:
        """How many more are open."""
        return sum(len(card.held) for card in self.cards) - len(self.held)


def overview_of(person: Person, *, now: datetime) -> Overview:
    """Return what a person sees of all accounts at the wall time `now`. Nine queries, eight where nothing was decided."""
    accounts = list(_accounts(person))
    if not accounts:  # they are shown how to get one, and nothing of this
        return Overview(now, (), (), (), (), (), 0, (), (), ())
    known = system_known(person, now=now)
    views = {one.market: view_of(known.feeds.get(one.market), one.market) for one in accounts}
    of_market = [(one.pk, views[one.market].now) for one in accounts]
    bots = list(_bots(person, of_each=min(SAID_OF_EACH, max(1, SAID_OF_ALL // max(1, len(accounts))))))
    _know_accounts(bots, accounts)
    equity = equity_known(days_by_market(of_market, LOOKED_BACK), hours_by_market(of_market, SPARK))
    clocks = {name: "wall" if abs(view.now - now) < SAME_TIME else "market" for name, view in views.items()}
    held = _held(accounts, views, clocks)
    cards = [
        _card(one, views[one.market], clocks[one.market], _of(bots, one), held[one.pk], equity) for one in accounts
    ]
    alerts = list(_alerts(person))
    return Overview(
        now=now,
        cards=tuple(sorted(cards, key=_place)),
        totals=totals_of(cards),
        scores=tuple(sorted(scores_of(bots, equity), key=_by_net)),
        said=said_by(bots),
        alerts=tuple(alerts),
        unseen=alerts[0].unseen if alerts else 0,  # type: ignore[attr-defined]
        waiting=tuple(
            waiting_of(awaiting_of(person).order_by("until", "pk"), {name: view.now for name, view in views.items()})
        ),
        lights=_lights(known, accounts, bots, held, now),
        markets=markets_of(bots, accounts),
    )


def share_of(day: Decimal | None, before: Decimal) -> Decimal | None:
    """Return the result of a day as a share of what it began with; None of nothing."""
    return day / before if day is not None and before > 0 else None


def totals_of(cards: Iterable[Card]) -> tuple[Total, ...]:
    """Return the sums of each kind of account that there is, real money first."""
    return tuple(
        _total(badge, some) for badge in BADGES if (some := [each for each in cards if each.account.badge == badge])
    )


def markets_of(bots: Iterable[Bot], accounts: Sequence[Account]) -> tuple[str, ...]:
    """Return the markets of accounts, the one on which most bots run first."""
    running: defaultdict[str, int] = defaultdict(int)
    for bot in bots:
        running[bot.account.market] += bot.status == Bot.Status.RUNNING
    return tuple(sorted({one.market for one in accounts}, key=lambda name: (-running[name], name)))


def said_by(bots: Iterable[Bot]) -> tuple[Said, ...]:
    """Return what the bots (of `_bots`) asked for last, newest first. One query, none where nothing was decided."""
    mine = {bot.pk: bot for bot in bots}
    cycles = sorted({key for bot in mine.values() for key in _newest(bot)}, reverse=True)[:SAID]
    if not cycles:
        return ()
    rows = Decision.objects.filter(cycle_id__in=cycles, kind=Decision.Kind.LIVE).order_by(
        "-at", "-cycle_id", "sequence"
    )
    by_cycle: dict[int, list[Decision]] = {}
    for row in rows.defer("hits", "invalidation_condition"):
        by_cycle.setdefault(row.cycle_id, []).append(row)
    return tuple(_said(mine[some[0].bot_id], key, some) for key, some in by_cycle.items())


def _said(bot: Bot, cycle_id: int, decisions: Sequence[Decision]) -> Said:
    holds = tuple(each for each in decisions if each.action == Action.HOLD.value)
    acts = tuple(each for each in decisions if each.action != Action.HOLD.value)
    return Said(bot, cycle_id, decisions[0].at, acts, holds)


def _accounts(person: Person) -> QuerySet[Account]:
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


def _bots(person: Person, *, of_each: int) -> QuerySet[Bot]:
    """Return the bots with the keys of the newest cycles in which they decided something."""
    live = Decision.objects.filter(kind=Decision.Kind.LIVE)
    # A bot that was skipped or failed ever since is looked through from its newest decision on, not from now on.
    last = live.filter(bot=OuterRef(OuterRef("pk"))).order_by("-at", "-id").values("at")[:1]
    told = Cycle.objects.filter(Exists(live.filter(cycle=OuterRef("pk"))), scheduled_for__lte=Subquery(last))
    newest = told.filter(bot=OuterRef("pk")).order_by("-scheduled_for").values("pk")
    keys = {f"cycle_{place}": Subquery(newest[place : place + 1]) for place in range(of_each)}
    return bots_of(person).select_related(None).annotate(**keys).order_by("pk")


def _newest(bot: Bot) -> list[int]:
    keys = (getattr(bot, f"cycle_{place}", None) for place in range(SAID_OF_EACH))
    return [key for key in keys if key is not None]


def _know_accounts(bots: Iterable[Bot], accounts: Iterable[Account]) -> None:
    by_key = {one.pk: one for one in accounts}
    for bot in bots:
        bot.account = by_key[bot.account_id]


def _of(bots: Iterable[Bot], account: Account) -> list[Bot]:
    """Return the bots of an account, the running one first."""
    mine = [bot for bot in bots if bot.account_id == account.pk]
    return sorted(mine, key=lambda bot: bot.status != Bot.Status.RUNNING)


def _held(
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


def _card(
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


def _total(badge: str, cards: Sequence[Card]) -> Total:
    stated = [(card, card.equity) for card in cards if card.equity is not None]
    known = [(card.day, card.before) for card in cards if card.day is not None]
    return Total(
        badge=badge,
        count=len(cards),
        equity=sum((equity for _, equity in stated), ZERO),
        day=sum((day for day, _ in known), ZERO),
        before=sum((before for _, before in known), ZERO),
        exposure=sum((card.exposure for card in cards), ZERO),
        unknown=len(cards) - len(stated),
    )


def _alerts(person: Person) -> QuerySet[Alert]:
    """Return the newest alerts that are not acknowledged, each with how many there are."""
    rows = alerts_of(person).select_related(None).select_related("account").filter(acknowledged__isnull=True)
    many = Alert.objects.filter(user_id=person.pk or 0, acknowledged__isnull=True).order_by().values("user_id")
    return rows.annotate(unseen=Subquery(many.annotate(count=Count("pk")).values("count")))[:ALERTS]


def _lights(
    known: System, accounts: Sequence[Account], bots: Sequence[Bot], held: Mapping[int, Sequence[Held]], now: datetime
) -> tuple[Light, ...]:
    return lights_of(known, accounts, bots, [key for key, some in held.items() if some], now=now)


def _place(card: Card) -> tuple[int, bool, bool, str]:
    """Order cards: real money first, then what runs, then by name."""
    return BADGES.index(card.account.badge), not card.in_use, not card.troubled, card.account.name


def _by_net(score: Score) -> tuple[int, Decimal, str]:
    return BADGES.index(score.bot.account.badge), -score.net, score.bot.name
