"""What a finished run is measured by: its equity at the marks of a grid, what it traded, and its trades.

Days begin at midnight UTC. A window of fewer than 30 days is measured by hours, where the bot decides that often: below so
many periods nothing can be said of a distribution. Every run of a window has the same marks.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from typing import Final

import numpy as np

from decisions.deciders.base import Answer
from marketdata.domain.intervals import interval_ms
from marketdata.recorded_market import RecordedMarket
from trading.domain.performance import ENOUGH, PER_YEAR
from trading.domain.trades import ClosedTrade
from trading.domain.venue import ZERO
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest
from trading.services.journal.kept import KeptPosition
from vibex.lib.clock import from_ms, to_ms

DAY: Final = timedelta(days=1)
HOUR: Final = timedelta(hours=1)
MILLISECOND: Final = timedelta(milliseconds=1)
CENT: Final = Decimal("0.00000001")

type Costs = Sequence[tuple[datetime, Decimal]]
"""What asking models cost, in US dollars: when, and how much. Oldest first."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Moments at which equity is looked at: the start, every full period after it, and the end."""

    period: timedelta
    marks: tuple[datetime, ...]

    @property
    def per_year(self) -> float:
        return PER_YEAR * (DAY / self.period)

    @property
    def named(self) -> str:
        return "days" if self.period == DAY else "hours"


def grid_of(plan: BacktestPlan, period: timedelta | None = None) -> Grid:
    """Return the marks of a window. The first and the last period are shorter where it begins or ends within one."""
    if period is None:
        hourly = plan.end - plan.start < ENOUGH * DAY and interval_ms(plan.interval) <= HOUR / MILLISECOND
        period = HOUR if hourly else DAY
    step = period // MILLISECOND
    first = from_ms((to_ms(plan.start) // step + 1) * step)
    count = max(0, -(-(plan.end - first) // period))
    return Grid(period, (plan.start, *(first + number * period for number in range(count)), plan.end))


def equity_at(backtest: Backtest, grid: Grid, costs: Costs = ()) -> tuple[float, ...]:
    """Return the equity at each mark, as it was stated last, less what models had cost by then.

    It begins with the capital: what is stated of the first moment knows what was done at it. A dollar is taken as one unit
    of the quote asset.
    """
    points = backtest.journal.points
    times, spent = [point.at for point in points], _spent(grid.marks, costs)
    found = []
    for mark, cost in zip(grid.marks, spent, strict=True):
        place = bisect_right(times, mark) if mark > grid.marks[0] else 0
        found.append(float(points[place - 1].equity if place else backtest.plan.capital) - cost)
    return tuple(found)


def every_equity(backtest: Backtest, costs: Costs = ()) -> tuple[list[datetime], list[float]]:
    """Return all moments at which the account was stated, with its equity, the capital before them."""
    plan, points = backtest.plan, backtest.journal.points
    times = [plan.start, *(point.at for point in points)]
    equity = [float(plan.capital), *(float(point.equity) for point in points)]
    return times, [value - cost for value, cost in zip(equity, _spent(times, costs), strict=True)]


def _spent(moments: Sequence[datetime], costs: Costs) -> list[float]:
    """Return what models had cost by each moment; nothing by the first, which is that before all of them."""
    asked_at, sums = [at for at, _ in costs], [0.0, *accumulate(float(amount) for _, amount in costs)]
    return [0.0, *(sums[bisect_right(asked_at, moment)] for moment in moments[1:])]


def costs_of(backtest: Backtest) -> list[tuple[datetime, Decimal]]:
    """Return what was paid for each question, in US dollars: every request counts, those of no use too.

    What nobody stated counts as it was estimated.
    """
    found = [(said.at, _cost(said.answer)) for said in backtest.journal.said]
    return [(at, cost) for at, cost in found if cost]


def _cost(answer: Answer) -> Decimal:
    if answer.members:
        return sum((_cost(member.answer) for member in answer.members), ZERO)
    if not answer.attempts:
        return answer.usage.cost or ZERO
    paid = (attempt.estimate if attempt.usage.cost is None else attempt.usage.cost for attempt in answer.attempts)
    return sum((cost or ZERO for cost in paid), ZERO)


def traded(backtest: Backtest) -> Decimal:
    """Return the value of all that was filled, in the quote asset."""
    return sum((fill.price * fill.quantity for fill in backtest.journal.fills.values()), ZERO)


def closed_trades(backtest: Backtest, costs: Costs = ()) -> list[ClosedTrade]:
    """Return the positions that ended, in the order of their ends.

    A trade costs what the last question before it cost; where several were opened by one answer, each its part of that.
    """
    journal = backtest.journal
    asked_at = [at for at, _ in costs]
    asks = [bisect_right(asked_at, kept.booked.opened_at) - 1 for kept in journal.closed]
    opened = Counter(asks) + Counter(
        bisect_right(asked_at, kept.booked.opened_at) - 1 for kept in journal.open.values()
    )
    return [
        _trade(kept, backtest.plan.model, costs[ask][1] / opened[ask] if ask >= 0 else ZERO)
        for kept, ask in zip(journal.closed, asks, strict=True)
    ]


def spans_held(backtest: Backtest) -> list[ClosedTrade]:
    """Return all positions as trades, those still open as if they had ended with the window: for how long money was in the
    market, and how much."""
    still = [_trade(kept, "", ZERO, until=backtest.plan.end) for kept in backtest.journal.open.values()]
    return [*closed_trades(backtest), *still]


def daily_closes(market: RecordedMarket, symbol: str, until: datetime) -> tuple[tuple[date, float], ...]:
    """Return the last price of each UTC day before `until`, as far back as was recorded; a day without one has the one before."""
    candles = market.series(symbol).candles
    length = interval_ms(candles.interval)
    before = int(candles.open_time.searchsorted(to_ms(until) - length, "right"))
    days = candles.open_time[:before] // (DAY // MILLISECOND)
    last = np.flatnonzero(np.diff(days, append=days[-1:] + 1)) if before else days
    known = dict(zip(days[last].tolist(), candles.close[:before][last].tolist(), strict=True))
    found, price = [], 0.0
    for day in range(min(known, default=0), max(known, default=-1) + 1):
        price = known.get(day, price)
        found.append((datetime.fromtimestamp(day * DAY.total_seconds(), UTC).date(), price))
    return tuple(found)


def _trade(kept: KeptPosition, model: str, cost: Decimal, *, until: datetime | None = None) -> ClosedTrade:
    booked, proposal = kept.booked, kept.ruling.proposal if kept.ruling else None
    return ClosedTrade(
        symbol=booked.symbol,
        side=booked.side.value,
        opened_at=booked.opened_at,
        closed_at=booked.closed_at or until or booked.opened_at,
        entry_value=booked.bought_value,
        exit_value=booked.sold_value,
        realised=booked.realised,
        fees=booked.fees,
        funding=booked.funding,
        cost=cost.quantize(CENT),
        model=model,
        exit_reason=kept.exit_reason,
        signal=proposal.action.value if proposal else "",
        confidence=proposal.confidence if proposal else None,
    )
