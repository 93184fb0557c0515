"""What a backtest is worth: its figures net of everything, beside baselines, with intervals, trials counted.

`judge` looks at a finished run and at its baselines; `judged_words` writes what it says as data and as lines.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import isfinite

import numpy as np

from decisions.domain.shares import Share
from trading.domain.attribution import Attribution, By, attributions
from trading.domain.bootstrap import Spread, Statistic, paired_difference, return_of_rows, sharpe_of_rows
from trading.domain.drawdowns import falls_of
from trading.domain.measured import Measured, measure
from trading.domain.ratios import Array, returns_of
from trading.domain.regimes import OfRegime, by_regime, regimes
from trading.domain.repeats import Range, range_of
from trading.domain.trades import ClosedTrade, time_in_market
from trading.domain.venue import ZERO
from trading.services.backtest.baselines import Baseline, Baselines
from trading.services.backtest.decided import Decided, decided_of
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.ran import Ran, ran_of, sharpe_of
from trading.services.backtest.run import Backtest
from trading.services.backtest.sampled import (
    DAY,
    Costs,
    Grid,
    closed_trades,
    costs_of,
    equity_at,
    every_equity,
    grid_of,
    spans_held,
    traded,
)
from trading.services.backtest.stamp import Stamp, stamp_of

BENCHMARK = "buy and hold"


@dataclass(frozen=True, slots=True)
class Drawdown:
    """The deepest fall and the longest time under water, over all moments at which the account was stated."""

    depth: float
    """Share of the peak, 0 to 1."""
    peak_at: datetime | None
    """None where equity never fell."""
    trough_at: datetime | None
    recovered_at: datetime | None
    """None where it has not recovered."""
    under_water: float
    """Share of the moments."""
    longest: timedelta
    """From one peak until equity was there again, or until the end."""


@dataclass(frozen=True, slots=True)
class Against:
    """The run beside one baseline: by how much it is above it, with intervals from the same blocks of time."""

    baseline: Baseline
    returned: Spread | None
    """None below two periods."""
    sharpe: Spread | None
    """None where one of the two does not move: cash has no Sharpe ratio."""


@dataclass(frozen=True, slots=True)
class Luck:
    """The run beside entries at random: how many of the seeds it beats."""

    returned: Share
    sharpe: Share
    """Of the seeds that have a ratio; of none where the run has none."""
    chance: float | None
    """Share of runs by chance that do at least as well, this one counted: (1 + seeds that do) ÷ (1 + seeds)."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """The same asked again: all runs, this one first."""

    returned: tuple[float, ...]
    sharpe: tuple[float | None, ...]

    @property
    def spread(self) -> Range | None:
        """Mean of the returns, its standard error, and from where to where they go."""
        return range_of(self.returned)


@dataclass(frozen=True, slots=True)
class Judged:
    """What a run is worth. Equity is net of fees, funding, slippage and what models cost; shares are fractions."""

    plan: BacktestPlan
    grid: Grid
    equity: tuple[float, ...]
    """At each mark of the grid."""
    cost: Decimal
    """What the models cost, in US dollars; one is taken as one unit of the quote asset."""
    stamp: Stamp
    measured: Measured
    """Its baseline is buy and hold."""
    days_needed: float | None
    """Days still missing until a Sharpe ratio above 0 is proven; None where no number of them would do."""
    ran: Ran
    drawdown: Drawdown
    against: tuple[Against, ...]
    luck: Luck
    baselines: Baselines
    attribution: Mapping[By, Attribution]
    regimes: tuple[OfRegime, ...]
    decided: Decided
    repeats: Repeats | None
    trials: int
    seed: int


def judge(
    backtest: Backtest,
    *,
    baselines: Baselines,
    trials: int = 1,
    repeats: Sequence[Backtest] = (),
    cutoff: date | None = None,
    masked: bool = False,
    seed: int = 0,
    costs: Costs | None = None,
) -> Judged:
    """Return what a finished run is worth. The same inputs give the same values.

    `trials` are all configurations that were tried before this one was chosen, itself among them; `repeats` are further
    runs of the same; `cutoff` is the last day that the model can know of, `masked` says that symbols, dates and prices
    were hidden from it; `seed` is that of the bootstrap. `costs` take the place of what the journal says that models cost.
    """
    grid, plan = baselines.grid, backtest.plan
    paid = costs_of(backtest) if costs is None else costs
    trades, equity = closed_trades(backtest, paid), equity_at(backtest, grid, paid)
    measured = _measured(backtest, trades, equity, baselines, trials=trials, seed=seed)
    ran = _net(ran_of(backtest, grid), equity, grid, every_equity(backtest, paid)[1])
    return Judged(
        plan=plan,
        grid=grid,
        equity=equity,
        cost=sum((cost for _, cost in paid), ZERO),
        stamp=stamp_of(plan, cutoff, masked=masked),
        measured=measured,
        days_needed=_days_needed(measured, grid),
        ran=ran,
        drawdown=_drawdown(*every_equity(backtest, paid)),
        against=tuple(_against(each, returns_of(equity), grid, seed) for each in baselines.runs),
        luck=_luck(ran, baselines),
        baselines=baselines,
        attribution=attributions(trades),
        regimes=_regimes(backtest, trades, baselines, paid),
        decided=decided_of(backtest),
        repeats=_repeats(ran, repeats, grid) if repeats else None,
        trials=trials,
        seed=seed,
    )


def _measured(
    backtest: Backtest,
    trades: Sequence[ClosedTrade],
    equity: Sequence[float],
    baselines: Baselines,
    *,
    trials: int,
    seed: int,
) -> Measured:
    """Return all figures; turnover and time in market with what is still open counted too."""
    plan, grid, spans = backtest.plan, baselines.grid, spans_held(backtest)
    measured = measure(
        equity,
        periods_per_year=grid.per_year,
        trades=trades,
        baseline=baselines.of(BENCHMARK).equity,
        notional=_held_at(spans, grid),
        span=(plan.start, plan.end),
        trials=trials,
        seed=seed,
    )
    mean = float(np.mean(equity))
    return replace(
        measured,
        turnover=float(traded(backtest)) / mean if mean > 0 else None,
        time_in_market=time_in_market(spans, plan.start, plan.end),
    )


def _held_at(spans: Sequence[ClosedTrade], grid: Grid) -> list[float]:
    """Return the value of what was held at each mark, as it was when it was opened."""
    held = np.zeros(len(grid.marks))
    marks = [mark.timestamp() for mark in grid.marks]
    for span in spans:
        first, last = np.searchsorted(marks, (span.opened_at.timestamp(), span.closed_at.timestamp()), "right")
        held[first:last] += float(span.entry_value)
    return [float(value) for value in held]


def _net(ran: Ran, equity: tuple[float, ...], grid: Grid, every: Sequence[float]) -> Ran:
    """Return what a run came to with the cost of models taken off."""
    returned = max(0.0, equity[-1] / equity[0]) - 1
    return replace(
        ran,
        equity=equity,
        returned=returned,
        sharpe=sharpe_of(returns_of(equity), grid),
        drawdown=falls_of(every).depth,
    )


def _days_needed(measured: Measured, grid: Grid) -> float | None:
    if measured.proof is None or measured.proof.needed is None:
        return None
    return measured.proof.needed * (grid.period / DAY)


def _drawdown(times: Sequence[datetime], equity: Sequence[float]) -> Drawdown:
    falls, deepest = falls_of(equity), falls_of(equity).deepest
    longest = _longest_under_water(times, equity)
    if deepest is None:
        return Drawdown(0.0, None, None, None, falls.under_water, longest)
    back = None if deepest.recovery is None else times[deepest.recovery]
    return Drawdown(deepest.depth, times[deepest.peak], times[deepest.trough], back, falls.under_water, longest)


def _longest_under_water(times: Sequence[datetime], equity: Sequence[float]) -> timedelta:
    longest, peak, since, under = timedelta(), equity[0], times[0], False
    for at, value in zip(times, equity, strict=True):
        under = under or value < peak
        if under:
            longest = max(longest, at - since)
        if value >= peak:
            peak, since, under = value, at, False
    return longest


def _against(baseline: Baseline, ours: Array, grid: Grid, seed: int) -> Against:
    theirs = returns_of(baseline.ran.equity)

    def over(statistic: Statistic) -> Spread | None:
        if ours.size < 2:
            return None
        spread = paired_difference(ours, theirs, statistic, seed=seed)
        return spread if isfinite(spread.value) and isfinite(spread.low) else None

    return Against(baseline, over(return_of_rows), over(sharpe_of_rows(grid.per_year)))


def _luck(ran: Ran, baselines: Baselines) -> Luck:
    drawn = baselines.random
    beaten = sum(ran.returned > each for each in drawn.returned)
    mine = ran.sharpe
    ratios = [each for each in drawn.sharpe if each is not None and mine is not None]
    worse = sum(mine > each for each in ratios) if mine is not None else 0
    chance = (1 + drawn.seeds - beaten) / (1 + drawn.seeds) if drawn.seeds else None
    return Luck(Share(beaten, drawn.seeds), Share(worse, len(ratios)), chance)


def _regimes(
    backtest: Backtest, trades: Sequence[ClosedTrade], baselines: Baselines, costs: Costs
) -> tuple[OfRegime, ...]:
    """Return what was earned by the kind of market the first symbol was in, day by day."""
    days = grid_of(backtest.plan, DAY)
    returns = returns_of(equity_at(backtest, days, costs)).tolist()
    dated = [(mark.astimezone(UTC).date(), value) for mark, value in zip(days.marks, returns, strict=False)]
    labels = regimes(baselines.closes)
    return tuple(by_regime(dated, labels, [(each.opened_at.astimezone(UTC).date(), each.won) for each in trades]))


def _repeats(ran: Ran, others: Sequence[Backtest], grid: Grid) -> Repeats:
    runs = [ran]
    for other in others:
        paid = costs_of(other)
        runs.append(_net(ran_of(other, grid), equity_at(other, grid, paid), grid, every_equity(other, paid)[1]))
    return Repeats(tuple(each.returned for each in runs), tuple(each.sharpe for each in runs))
