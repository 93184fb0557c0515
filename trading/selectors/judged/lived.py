"""The days of a subject: what each brought, net of fees, funding and the cost of models. From stored days, whole ones only.

Slippage is in the prices of the fills, so that what is booked is net of it too. Equity belongs to an account: a bot or a model
has it where nobody else traded there. Else its booked results stand for it, as a share of the equity of the account.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, Final

import numpy as np
from django.db.models import FloatField, Q
from django.db.models.functions import Cast

from trading.domain.performance import EMPTY, EquityOfDay, daily_returns
from trading.domain.ratios import Array, wealth
from trading.models import PerformanceDay
from trading.selectors.judged.subject import ACCOUNT, MODEL, Asked, Subject, moments_of
from trading.selectors.leaderboard import Plain
from vibex.lib.money import booked

SUMMED: Final = ("realised", "fees", "funding", "cost", "turnover", "closed", "won", "fills")
EQUITY: Final = ("equity_first", "equity_last", "transfers")
WHOLE: Final = "Of the account's equity, net of deposits, fees, funding, slippage and the cost of models."
BOOKED: Final = (
    "Others traded on the account too: these are booked results after fees, funding and the cost of models, as a share of "
    "the account's equity. What is open counts once it is closed."
)


@dataclass(frozen=True, slots=True)
class Booked:
    """What days come to. Money in the quote asset, the cost of models in US dollars."""

    realised: Decimal
    fees: Decimal
    funding: Decimal
    cost: Decimal
    turnover: Decimal
    closed: int
    won: int
    fills: int

    @property
    def net(self) -> Decimal:
        return self.realised - self.fees + self.funding

    @property
    def net_after_cost(self) -> Decimal:
        return self.net - self.cost


@dataclass(frozen=True, slots=True)
class Lived:
    """Days that were lived, in the order of time."""

    days: tuple[date, ...]
    moments: tuple[datetime, ...]
    """When the first day begins, and when each of them ends: one more than days."""
    returns: Array
    """Of each day."""
    worth: Array
    """Equity in the quote asset when each day begins."""
    booked: Booked
    alone: bool
    """Whether returns are those of equity; else of booked results."""
    gaps: int
    """Days between the first and the last one of which no equity is known: a return spans them."""

    @property
    def unit(self) -> Array:
        """What a unit came to: one value more than days."""
        return wealth(self.returns)

    @property
    def basis(self) -> str:
        """By what returns are computed, in words."""
        return WHOLE if self.alone else BOOKED

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        return (self.moments[0], self.moments[-1]) if self.days else None


@dataclass(slots=True)
class _Day:
    """A day, all accounts together, in floats."""

    first: float = 0.0
    last: float = 0.0
    transfers: float = 0.0
    cost: float = 0.0
    fills: float = 0.0
    mine: Array | None = None
    """SUMMED, of whom is judged."""


def lived_by(subject: Subject, asked: Asked) -> Lived:
    """Return the days of a subject that are over. One query."""
    keys = [account.pk for account in subject.accounts]
    until = min(asked.until or subject.today, subject.today)
    rows = PerformanceDay.objects.filter(account__in=keys, day__lt=until).filter(_mine(subject) | Q(bot=None))
    if asked.since:
        rows = rows.filter(day__gte=asked.since)
    columns = [Plain(name) for name in EQUITY] + [Cast(name, FloatField()) for name in SUMMED]
    return _lived(subject, rows.order_by("day").values_list("day", "bot_id", *columns))


def _mine(subject: Subject) -> Q:
    if subject.kind == ACCOUNT:
        return Q(bot=None)
    mine = Q(bot__in=[bot.pk for bot in subject.bots])
    return mine & Q(model=subject.model) if subject.kind == MODEL else mine


def _lived(subject: Subject, rows: Iterable[Any]) -> Lived:
    whole = subject.kind == ACCOUNT
    found: defaultdict[date, _Day] = defaultdict(_Day)
    for day, bot, first, last, transfers, *sums in rows:
        one = found[day]
        if bot is None and last is not None:
            one.first, one.last, one.transfers = one.first + first, one.last + last, one.transfers + transfers
            one.cost += sums[SUMMED.index("cost")]
        if bot is None:
            one.fills += sums[-1]
        if bot is not None or whole:
            one.mine = np.array(sums) + (0.0 if one.mine is None else one.mine)
    began = min((day for day, one in found.items() if one.mine is not None), default=date.max)
    days = [day for day in sorted(found) if day >= began and found[day].first >= EMPTY]
    known = [found[day] for day in days]
    mine = [np.zeros(len(SUMMED)) if one.mine is None else one.mine for one in known]
    alone = whole or round(sum(one.fills for one in known)) == round(sum(each[-1] for each in mine))
    return Lived(
        tuple(days),
        tuple(moments_of(subject, days)) if days else (),
        np.array(_returns(known, mine, alone=alone)),
        np.array([one.first for one in known]),
        _booked(mine),
        alone,
        (days[-1] - days[0]).days + 1 - len(days) if days else 0,
    )


def _returns(days: Sequence[_Day], mine: Sequence[Array], *, alone: bool) -> list[float]:
    if alone:
        low_high = 0.0  # of a day only its ends are looked at here
        return daily_returns(
            (EquityOfDay(one.first, one.last, low_high, low_high, one.transfers), one.cost) for one in days
        )
    nets = (each[0] - each[1] + each[2] - each[3] for each in mine)
    return [max(-1.0, float(net) / one.first) for net, one in zip(nets, days, strict=True)]


def _booked(mine: Sequence[Array]) -> Booked:
    total = sum(mine, np.zeros(len(SUMMED)))
    realised, fees, funding, cost, turnover = (booked(Decimal(repr(float(amount)))) for amount in total[:5])
    closed, won, fills = (round(float(count)) for count in total[5:])
    return Booked(realised, fees, funding, cost, turnover, closed, won, fills)
