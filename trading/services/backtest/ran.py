"""What a run came to, as far as runs are compared; and many runs, one after the other or side by side."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from trading.domain.drawdowns import max_fall
from trading.domain.ratios import Array, returns_of, sharpe_ratio
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, backtest_run
from trading.services.backtest.sampled import Grid, equity_at, every_equity, traded
from vibex.lib.processes import pool

if TYPE_CHECKING:
    from marketdata.recorded_market import RecordedMarket
    from trading.services.backtest.source import Source

AT_ONCE: Final = 4
"""Runs that a process is given at a time."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run came to. Shares are fractions; `equity` has one value for each mark of the grid."""

    equity: tuple[float, ...]
    returned: float
    sharpe: float | None
    """Of a year, from the periods of the grid; None where nothing moved."""
    drawdown: float
    """Deepest fall over all moments at which the bot decides, 0 to 1."""
    trades: int
    """Positions opened, those still open among them."""
    turnover: float
    """Value traded ÷ mean equity."""
    fees: Decimal
    funding: Decimal
    incidents: tuple[str, ...] = ()


def rans_of(
    plans: Sequence[BacktestPlan],
    grid: Grid,
    market: RecordedMarket,
    *,
    source: Source | None = None,
    jobs: int = 1,
    on_run: Callable[[int], None] = lambda _: None,
) -> list[Ran]:
    """Run the plans and return what came of each, in their order; it does not depend on `jobs`.

    With more than one job they run in processes of their own, each of which reads the market from its `source`. `on_run` is
    told how many are done. Errors as those of `backtest_run`; the first ends all.
    """
    if jobs < 2 or source is None or len(plans) < 2:
        return list(_counted((ran_of(backtest_run(plan=plan, market=market), grid) for plan in plans), on_run))
    workers = pool(min(jobs, len(plans)), multiprocessing.get_context("spawn"), _begin, source, grid)
    try:
        return list(_counted(workers.map(_work, plans, chunksize=AT_ONCE), on_run))
    finally:
        workers.shutdown(cancel_futures=True)


def ran_of(backtest: Backtest, grid: Grid) -> Ran:
    """Return what a run came to."""
    journal, equity = backtest.journal, equity_at(backtest, grid)
    positions = [*journal.closed, *journal.open.values()]
    return Ran(
        equity=equity,
        returned=max(0.0, equity[-1] / equity[0]) - 1,
        sharpe=sharpe_of(returns_of(equity), grid),
        drawdown=max_fall(every_equity(backtest)[1]),
        trades=len(positions),
        turnover=float(traded(backtest)) / float(np.mean(equity)),
        fees=sum((kept.booked.fees for kept in positions), Decimal(0)),
        funding=sum((kept.booked.funding for kept in positions), Decimal(0)),
        incidents=tuple(sorted(f"{kind}: {text}" for kind, text in journal.incidents)),
    )


def sharpe_of(returns: Array, grid: Grid) -> float | None:
    """Return the Sharpe ratio of a year, None where there is none."""
    value = sharpe_ratio(returns, periods_per_year=grid.per_year)
    return value if isfinite(value) else None


def _counted(rans: Iterator[Ran], on_run: Callable[[int], None]) -> Iterator[Ran]:
    for number, ran in enumerate(rans, 1):
        on_run(number)
        yield ran


_here: dict[str, Any] = {}
"""Of a process that runs backtests: its market and the grid they are looked at by."""


def _begin(source: Source, grid: Grid, _shared: Any) -> None:
    """Make a process ready: it reads the candles once."""
    _here["market"], _here["grid"] = source.read()[0], grid


def _work(plan: BacktestPlan) -> Ran:
    return ran_of(backtest_run(plan=plan, market=_here["market"]), _here["grid"])
