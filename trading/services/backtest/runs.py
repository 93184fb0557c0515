"""Several backtests at once, each in a thread of its own: models are waited for, and that can be done together.

A run that cannot go on (no money left, nobody answers, somebody ended it) is no result, and no fault of the others. What
was answered is kept, so that the same call goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal

from django.db import connections

from decisions.deciders.allowance import MoneyUsed
from decisions.deciders.once import NobodyAnswers, Stopped, Tally
from decisions.domain.question import Outcome
from decisions.domain.shares import Share
from marketdata.recorded_market import RecordedMarket
from trading.domain.measured import Measured, measure
from trading.domain.repeats import Acts
from trading.services.backtest.deciders import Asked, decider_of, notes_of, tally_of
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, backtest_run
from trading.services.backtest.sampled import costs_of, equity_at, grid_of

type Tell = Callable[[BacktestPlan, int, int], None]
"""Told after each step of a run: the plan of it, its number, how many there are."""


@dataclass(frozen=True, slots=True)
class ModelRun:
    """A finished run, with what it asked and what came of it."""

    backtest: Backtest
    tally: Tally
    measured: Measured
    """Of the equity net of everything, what the model cost too, at the marks of the window's grid."""
    cost: Decimal
    """US dollars that all its questions cost, whenever they were paid."""

    @property
    def plan(self) -> BacktestPlan:
        return self.backtest.plan

    @property
    def acts(self) -> Acts:
        """What was asked for; questions without a usable answer held."""
        return {said.at: said.actions for said in self.backtest.journal.said}

    @property
    def returned(self) -> float:
        """Return net of fees, funding, slippage and what the model cost: a dollar is taken as one of the account."""
        end = self.backtest.journal.points[-1].equity
        return float((end - self.cost) / self.plan.capital - 1)

    @property
    def hits(self) -> Share:
        """Closed positions that brought more than their fees and funding."""
        closed = self.backtest.journal.closed
        return Share(sum(position.booked.net > 0 for position in closed), len(closed))

    @property
    def useless(self) -> int:
        """Replies that could not be used as a whole."""
        return sum(said.reading.outcome is Outcome.REJECTED for said in self.backtest.journal.said)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A run that ended before its window did."""

    plan: BacktestPlan
    why: str


def runs_of(
    plans: Sequence[BacktestPlan],
    market_of: Callable[[], RecordedMarket],
    asked: Asked,
    *,
    jobs: int = 1,
    notes: Sequence[str] = (),
    tell: Tell = lambda *_: None,
) -> list[ModelRun | Unfinished]:
    """Run the plans, at most `jobs` at a time, and return what came of each, in their order.

    `market_of` gives each run a market of its own: two threads must not share one. Whatever else goes wrong in a run ends
    all of them and is raised.
    """

    def one(plan: BacktestPlan) -> ModelRun | Unfinished:
        try:
            return _run(plan, market_of(), asked, notes, tell)
        except (MoneyUsed, NobodyAnswers, Stopped) as ended:
            return Unfinished(plan, str(ended))
        except BaseException:
            asked.stop.set()
            raise

    if jobs == 1:
        return [one(plan) for plan in plans]
    with ThreadPoolExecutor(jobs, thread_name_prefix="backtest") as pool:
        futures = [pool.submit(_letting_go, one, plan) for plan in plans]
        try:
            return [future.result() for future in futures]
        except BaseException:
            asked.stop.set()
            pool.shutdown(cancel_futures=True)
            raise


def _letting_go[Plan, Came](work: Callable[[Plan], Came], plan: Plan) -> Came:
    """Do the work and close what its thread opened of the database."""
    try:
        return work(plan)
    finally:
        connections.close_all()


def _run(
    plan: BacktestPlan, market: RecordedMarket, asked: Asked, notes: Sequence[str], tell: Tell
) -> ModelRun | Unfinished:
    if asked.stop.is_set():
        return Unfinished(plan, f"{plan.model}: the run was ended before it began.")
    decider = decider_of(plan, asked)
    backtest = backtest_run(
        plan=plan,
        market=market,
        notes=notes,
        on_cycle=lambda number, count: tell(plan, number, count),
        decider=decider,
    )
    backtest.notes = (*backtest.notes, *notes_of(decider, asked.replies))
    return model_run_of(backtest, tally_of(decider))


def model_run_of(backtest: Backtest, tally: Tally) -> ModelRun:
    """Return a finished backtest with its figures."""
    grid, costs = grid_of(backtest.plan), costs_of(backtest)
    measured = measure(equity_at(backtest, grid, costs), periods_per_year=grid.per_year)
    return ModelRun(backtest, tally, measured, sum((cost for _, cost in costs), Decimal(0)))
