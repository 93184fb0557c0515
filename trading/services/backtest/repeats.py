"""One plan several times over: how much of a result is the model, and how much is the throw of its dice.

The repeats are never chosen from: what is told is their mean, with its error and their range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from decisions.domain.shares import Share
from marketdata.recorded_market import RecordedMarket
from trading.domain.repeats import Agreement, Range, agreement_among, held_share, range_of
from trading.services.backtest.deciders import Asked
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.runs import ModelRun, Tell, Unfinished, runs_of


@dataclass(frozen=True, slots=True)
class Repeats:
    """The finished runs of one plan, and what they have in common. Ranges are None while no run is finished."""

    plan: BacktestPlan
    runs: tuple[ModelRun, ...]
    unfinished: tuple[Unfinished, ...] = ()

    @property
    def moments(self) -> int:
        return self.runs[0].backtest.steps if self.runs else 0

    @property
    def returned(self) -> Range | None:
        """Returns net of everything, the model's cost too."""
        return range_of(run.returned for run in self.runs)

    @property
    def sharpe(self) -> Range | None:
        """Sharpe ratios of a year, of those runs in which it is known."""
        return range_of(run.measured.sharpe for run in self.runs)

    @property
    def sharpe_interval(self) -> tuple[float, float] | None:
        """Mean of the 95 % intervals of the single runs, by bootstrap; None where no run is long enough for one."""
        drawn = [run.measured.drawn.sharpe for run in self.runs if run.measured.drawn and run.measured.drawn.sharpe]
        if not drawn:
            return None
        return sum(each.low for each in drawn) / len(drawn), sum(each.high for each in drawn) / len(drawn)

    @property
    def drawdown(self) -> Range | None:
        return range_of(run.measured.max_drawdown for run in self.runs)

    @property
    def trades(self) -> Range | None:
        return range_of(float(run.hits.whole) for run in self.runs)

    @property
    def hits(self) -> Share:
        return Share(sum(run.hits.part for run in self.runs), sum(run.hits.whole for run in self.runs))

    @property
    def cost(self) -> Range | None:
        """US dollars of a run, whenever they were paid."""
        return range_of(float(run.cost) for run in self.runs)

    @property
    def held(self) -> Share:
        """Cases, symbol by moment, in which nothing was asked for."""
        return held_share([run.acts for run in self.runs], symbols=self.plan.symbols, moments=self.moments)

    @property
    def agreement(self) -> Agreement | None:
        """How often two of the runs asked for the same; None of a single one."""
        if len(self.runs) < 2:
            return None
        return agreement_among([run.acts for run in self.runs], symbols=self.plan.symbols, moments=self.moments)


def repeated(plan: BacktestPlan, times: int) -> list[BacktestPlan]:
    """Return the plan for each repeat, numbered from 1: each has replies of its own."""
    return [replace(plan, asks=replace(plan.asks, repeat=number)) for number in range(1, times + 1)]


def repeats_run(
    *,
    plan: BacktestPlan,
    market_of: Callable[[], RecordedMarket],
    times: int,
    asked: Asked | None = None,
    jobs: int = 1,
    notes: Sequence[str] = (),
    tell: Tell = lambda *_: None,
) -> Repeats:
    """Run a plan so many times, at most `jobs` of them at once, each on a market of its own. Errors as `runs_of`."""
    came = runs_of(repeated(plan, times), market_of, asked or Asked(), jobs=jobs, notes=notes, tell=tell)
    return repeats_of(plan, came)


def repeats_of(plan: BacktestPlan, came: Sequence[ModelRun | Unfinished]) -> Repeats:
    """Put together what came of the runs of one plan."""
    return Repeats(
        plan,
        tuple(run for run in came if isinstance(run, ModelRun)),
        tuple(run for run in came if isinstance(run, Unfinished)),
    )
