"""All accounts of a person at a glance. Everything is read for all of them together: the queries do not grow with them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

from django.db.models import Count, QuerySet, Subquery

from accounts.models import Account, Alert, Bot
from accounts.selectors import Person, alerts_of
from trading.selectors.approvals import Waiting, awaiting_of, waiting_of
from trading.selectors.leaderboard import LOOKED_BACK, Score, days_by_market, equity_known, hours_by_market, scores_of
from trading.selectors.market import view_of
from trading.selectors.overview_cards import Card, Held, accounts_looked_at, card_of, held_by
from trading.selectors.overview_feed import Said, bots_with_newest, said_by
from trading.selectors.overview_totals import BADGES, Total, totals_of
from trading.selectors.system import Light, System, lights_of, system_known

SAME_TIME: Final = timedelta(seconds=5)
"""A market whose time is nearer to that on the wall follows it."""
SPARK: Final = timedelta(days=1)
"""What the small picture of a card shows."""
ALERTS: Final = 6
CARDS: Final = 12
BOARD: Final = 30
"""Bots on the leaderboard."""
HELD: Final = 40
"""Positions that are shown: those without a stop first, then the largest."""


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
    accounts = list(accounts_looked_at(person))
    if not accounts:  # they are shown how to get one, and nothing of this
        return Overview(now, (), (), (), (), (), 0, (), (), ())
    known = system_known(person, now=now)
    views = {one.market: view_of(known.feeds.get(one.market), one.market) for one in accounts}
    of_market = [(one.pk, views[one.market].now) for one in accounts]
    bots = list(bots_with_newest(person, accounts=len(accounts)))
    _know_accounts(bots, accounts)
    equity = equity_known(days_by_market(of_market, LOOKED_BACK), hours_by_market(of_market, SPARK))
    clocks = {name: "wall" if abs(view.now - now) < SAME_TIME else "market" for name, view in views.items()}
    held = held_by(accounts, views, clocks)
    cards = [
        card_of(one, views[one.market], clocks[one.market], _of(bots, one), held[one.pk], equity) for one in accounts
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


def markets_of(bots: Iterable[Bot], accounts: Sequence[Account]) -> tuple[str, ...]:
    """Return the markets of accounts, the one on which most bots run first."""
    running: defaultdict[str, int] = defaultdict(int)
    for bot in bots:
        running[bot.account.market] += bot.status == Bot.Status.RUNNING
    return tuple(sorted({one.market for one in accounts}, key=lambda name: (-running[name], name)))


def _know_accounts(bots: Iterable[Bot], accounts: Iterable[Account]) -> None:
    by_key = {one.pk: one for one in accounts}
    for bot in bots:
        bot.account = by_key[bot.account_id]


def _of(bots: Iterable[Bot], account: Account) -> list[Bot]:
    """Return the bots of an account, the running one first."""
    mine = [bot for bot in bots if bot.account_id == account.pk]
    return sorted(mine, key=lambda bot: bot.status != Bot.Status.RUNNING)


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
