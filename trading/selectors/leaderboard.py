"""What bots brought, side by side, from stored days. Equity belongs to an account: a bot has it only where it traded alone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final, NamedTuple

from django.db.models import CharField, F, Field, FloatField, Func, Q, Sum, Value
from django.db.models.functions import Cast

from accounts.models import Bot
from decisions.domain.shares import Share
from trading.domain.performance import (
    ENOUGH,
    EquityOfDay,
    Sharpe,
    compounded,
    daily_returns,
    falls,
    sharpe,
)
from trading.domain.performance_days import A_DAY
from trading.models import EquityHour, PerformanceDay
from vibex.lib.money import booked

LOOKED_BACK: Final = timedelta(days=90)
"""What the overview compares: as much of the past as says something, and no more than can be read in a moment."""
ZERO: Final = Decimal(0)
SUMMED: Final = ("realised", "fees", "funding", "cost", "closed", "won", "fills")
OF_DAY: Final = ("equity_first", "equity_last", "equity_lowest", "equity_highest", "transfers", "cost", "fills")
OF_BOT: Final = "bot"
"""Stands in place of the day where a row is what a bot did on all of them."""
DAY_LENGTH: Final = 10
"""Characters of a day as text; a moment has more."""

type Spans[T: date] = Mapping[tuple[T | None, T], Sequence[int]]
"""Keys of accounts by the first and the last day (or hour) that are looked at. None: from the first that there is."""


class Plain(Func):
    """A number as a float, just as the database gives it: ten thousand of them need no converting one by one."""

    template = "CAST(%(expressions)s AS double precision)"
    output_field: Field[Any, Any] = Field()


class Stored(NamedTuple):
    """A day of an account, or an hour of it, in floats. `at` is the day or the hour as text."""

    account: int
    at: str
    first: float
    last: float
    lowest: float
    highest: float
    transfers: float
    cost: float
    fills: float


@dataclass(frozen=True, slots=True)
class Done:
    """What the days of one bot come to. Money in the quote asset, the cost of models in US dollars."""

    realised: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    cost: Decimal = ZERO
    closed: int = 0
    won: int = 0
    fills: int = 0


@dataclass(frozen=True, slots=True)
class Known:
    """Stored equity by account, days for figures and the last hours for a small picture, and what bots did by bot."""

    days: dict[int, list[Stored]] = field(default_factory=dict)
    hours: dict[int, list[Stored]] = field(default_factory=dict)
    done: dict[int, Done] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Score:
    """What a bot brought. Money in the quote asset, costs in US dollars; shares as fractions."""

    bot: Bot
    net: Decimal
    """Booked result after fees and funding, less what the models cost."""
    cost: Decimal
    closed: int
    won: int
    days: int
    """Days of equity that are known."""
    alone: bool
    """Whether all that its account did was this bot's; else return, fall and Sharpe are nobody's."""
    returned: float | None = None
    """Compounded days, net of transfers and of the cost of models."""
    drawdown: float | None = None
    """Deepest fall from an earlier peak that days prove."""
    sharpe: Sharpe | None = None

    @property
    def hits(self) -> Share:
        """Positions that were closed with a gain, net, of all that were closed."""
        return Share(self.won, self.closed)

    @property
    def short(self) -> bool:
        """Whether there are too few days for a Sharpe ratio to say anything."""
        return self.days < ENOUGH

    @property
    def returned_percent(self) -> float | None:
        return None if self.returned is None else self.returned * 100


def days_by_market(accounts: Iterable[tuple[int, datetime]], back: timedelta | None) -> Spans[date]:
    """Return which days of accounts are looked at: from `back` before the time of their market up to it."""
    # A day of another time zone may have begun already.
    spans = ((key, ((now - back).date() if back else None, (now + A_DAY).date())) for key, now in accounts)
    return _grouped(spans)


def hours_by_market(accounts: Iterable[tuple[int, datetime]], back: timedelta) -> Spans[datetime]:
    """Return the same of full hours."""
    return _grouped((key, ((now - back).replace(minute=0, second=0, microsecond=0), now)) for key, now in accounts)


def equity_known(days: Spans[date], hours: Spans[datetime] | None = None) -> Known:
    """Return the stored days of accounts, what their bots did on them, and the hours of some. One query."""
    if not days:
        return Known()
    floats = [Plain(name) for name in OF_DAY]
    stored = PerformanceDay.objects.filter(_within(days, "day")).order_by()
    whole = stored.filter(bot=None, equity_last__isnull=False)
    sums = {f"sum_{name}": Sum(Cast(name, FloatField())) for name in SUMMED}
    of_bots = stored.filter(bot__isnull=False).values("bot_id").annotate(what=Value(OF_BOT, CharField()), **sums)
    rows: Any = whole.values_list("account_id", Cast("day", CharField()), *floats)
    parts: list[Any] = [of_bots.values_list("bot_id", "what", *sums)]
    if hours:
        nothing = [Value(0.0, FloatField())] * 3
        small = EquityHour.objects.filter(_within(hours, "hour")).order_by()
        named = ("account_id", Cast("hour", CharField()), F("first"), F("last"), F("lowest"), F("highest"))
        parts.append(small.values_list(*named, *nothing))
    return _sorted(map(Stored._make, rows.union(*parts, all=True)))


def scores_of(bots: Iterable[Bot], known: Known) -> list[Score]:
    """Return what bots brought. No order says who is better: that is for the reader, and the intervals."""
    return [_score(bot, known.days.get(bot.account_id, []), known.done.get(bot.pk)) for bot in bots]


def equity_of(day: Stored) -> EquityOfDay:
    return EquityOfDay(day.first, day.last, day.lowest, day.highest, day.transfers)


def _score(bot: Bot, days: Sequence[Stored], done: Done | None) -> Score:
    did = done or Done()
    score = Score(
        bot,
        net=did.realised - did.fees + did.funding - did.cost,
        cost=did.cost,
        closed=did.closed,
        won=did.won,
        days=len(days),
        alone=sum(day.fills for day in days) == did.fills,
    )
    return _with_equity(score, days) if days and done and score.alone else score


def _with_equity(score: Score, days: Sequence[Stored]) -> Score:
    paired = [(equity_of(day), day.cost) for day in days]
    returns = daily_returns(paired)
    return replace(
        score,
        returned=compounded(returns),
        drawdown=falls([day for day, _ in paired])[0],
        sharpe=sharpe(returns),
    )


def _grouped[T](rows: Iterable[tuple[int, T]]) -> dict[T, list[int]]:
    found: defaultdict[T, list[int]] = defaultdict(list)
    for key, what in rows:
        found[what].append(key)
    return dict(found)


def _within(spans: Mapping[Any, Sequence[int]], column: str) -> Q:
    within = Q(pk__in=[])
    for (first, last), keys in spans.items():
        mine = Q(**{"account__in": keys, f"{column}__lte": last})
        within |= mine & Q(**{f"{column}__gte": first}) if first else mine
    return within


def _sorted(rows: Iterable[Stored]) -> Known:
    known = Known({}, {}, {})
    for row in rows:
        if row.at == OF_BOT:
            known.done[row.account] = _done(row)
        else:
            (known.days if len(row.at) == DAY_LENGTH else known.hours).setdefault(row.account, []).append(row)
    for some in (*known.days.values(), *known.hours.values()):
        some.sort(key=lambda row: row.at)
    return known


def _done(row: Stored) -> Done:
    realised, fees, funding, cost = (booked(Decimal(repr(float(amount)))) for amount in row[2:6])
    closed, won, fills = map(int, row[6:])
    return Done(realised, fees, funding, cost, closed, won, fills)
