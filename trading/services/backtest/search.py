"""Searching the numbers of written rules: learn on one time, judge on the next, and count every try.

The best of many tries is good by luck alone. So what is told is what the chosen numbers did on the time after the one they
were chosen on, and the deflated Sharpe ratio takes all tries into account (`trading.domain.significance`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from decisions.deciders.rules import Strategy, strategy_of
from decisions.domain.parameters import Number, Range, ranges, with_numbers, written
from marketdata.recorded_market import RecordedMarket
from trading.domain import ratios
from trading.domain.significance import PerPeriod, dsr, psr, variance_of
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, backtest_run
from trading.services.backtest.sampled import equity_at, grid_of
from trading.services.backtest.windows import Fold
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    import optuna

FEWEST_TRADES: Final = 10
"""With fewer trades a try is not worth a figure: it is counted, and never chosen."""
PLACES: Final = Decimal("0.0001")
SHARPE: Final = "sharpe"
RETURN: Final = "return"
OBJECTIVES: Final = (SHARPE, RETURN)
"""What is searched for: the Sharpe ratio of a year, or the return."""

type Tried = Callable[[int, int], None]
"""Called after each try with the number of tries done and the number wanted."""


@dataclass(frozen=True, slots=True)
class Figures:
    """What one run came to. `sharpe` is of a year; None where nothing moved or the time is too short."""

    returned: float
    sharpe: float | None
    trades: int
    per_period: PerPeriod | None = None
    equity: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Learned:
    """What one fold came to: the numbers that were best where it learned, and what they did on the time after."""

    fold: Fold
    model: str
    tries: int
    worth: tuple[float, ...]
    """Sharpe ratios per period of all tries that have one."""
    learned: Figures
    judged: Figures


@dataclass(frozen=True, slots=True)
class Found:
    """A finished search."""

    model: str
    """The rules as they were before."""
    searched: dict[str, Range]
    folds: tuple[Learned, ...]
    objective: str

    @property
    def tries(self) -> int:
        return sum(fold.tries for fold in self.folds)

    @property
    def returns(self) -> Any:
        """Returns per period of the times that were judged, one after the other."""
        import numpy as np

        return np.concatenate([ratios.returns_of(fold.judged.equity) for fold in self.folds])

    @property
    def per_year(self) -> float:
        return grid_of(self.folds[0].fold.judge).per_year

    @property
    def chances(self) -> tuple[float | None, float | None]:
        """Return the probabilistic and the deflated Sharpe ratio of what was judged; None where nothing can be said.

        The variance of the tries' Sharpe ratios is that of all of them together.
        """
        sample = ratios.sample_of(self.returns)
        if sample is None:
            return None, None
        worth = [PerPeriod(value) for fold in self.folds for value in fold.worth]
        spread = variance_of(worth) if len(worth) > 1 else None
        return psr(sample), dsr(sample, max(1, self.tries), spread)


def search(
    *,
    plan: BacktestPlan,
    folds: Sequence[Fold],
    market: RecordedMarket,
    tries: int,
    objective: str = SHARPE,
    seed: int = 0,
    kept: Path | None = None,
    tell: Callable[[int, int, int], None] = lambda *_: None,
) -> Found:
    """Search the numbers of the plan's rules, fold by fold. `tell(fold, tries done, tries wanted)`.

    With `kept`, a file, what was tried before is known and only what is missing is tried. Raises Rejected for rules without
    numbers to search, and where no try of a fold has enough trades.
    """
    strategy = _strategy(plan.model)
    learned = tuple(
        learn(
            plan=plan, fold=fold, place=place, strategy=strategy, market=market, tries=tries, objective=objective,
            seed=seed, kept=kept, tell=partial(tell, place),
        )
        for place, fold in enumerate(folds)
    )  # fmt: skip
    return Found(plan.model, ranges(strategy), learned, objective)


def learn(
    *,
    plan: BacktestPlan,
    fold: Fold,
    place: int,
    strategy: Strategy,
    market: RecordedMarket,
    tries: int,
    objective: str,
    seed: int,
    kept: Path | None,
    tell: Tried,
) -> Learned:
    """Search on the time of a fold that is learned on, and judge the best numbers on the time after. Errors as `search`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=_name(plan, fold, objective, seed),
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed + place),
        storage=None if kept is None else _storage(kept),
        load_if_exists=True,
    )
    done = _finished(study)

    def objective_of(trial: optuna.Trial) -> float:
        figures = _tried(trial, fold.learn, strategy, market)
        trial.set_user_attr("per_period", figures.per_period)
        if figures.trades < FEWEST_TRADES:
            raise optuna.TrialPruned(f"{figures.trades} trades")
        worth = figures.sharpe if objective == SHARPE else figures.returned
        if worth is None:
            raise optuna.TrialPruned("nothing moved")
        return worth

    def told(study: optuna.Study, _: optuna.trial.FrozenTrial) -> None:
        tell(len(_finished(study)), tries)

    tell(len(done), tries)
    if len(done) < tries:
        study.optimize(objective_of, n_trials=tries - len(done), callbacks=[told])
    return _judged(study, plan, fold, strategy, market)


def _judged(study: optuna.Study, plan: BacktestPlan, fold: Fold, strategy: Strategy, market: RecordedMarket) -> Learned:
    finished = _finished(study)
    if not any(trial.value is not None for trial in finished):
        text = f"none of {len(finished)} tries made {FEWEST_TRADES} trades from {fold.learn.start:%F} to {fold.learn.end:%F}"
        raise Rejected(f"{text}: choose a longer time, fewer folds or wider limits.", code="search")
    best = with_numbers(strategy, _spelled(study.best_trial.params, strategy))
    model = _named(plan.model, best)
    worth = [trial.user_attrs.get("per_period") for trial in finished]
    return Learned(
        fold,
        model,
        len(finished),
        tuple(float(value) for value in worth if value is not None),
        figures_of(_run(fold.learn, model, market)),
        figures_of(_run(fold.judge, model, market)),
    )


def figures_of(backtest: Backtest) -> Figures:
    """Return what a run came to, by the marks of its window (`sampled`)."""
    grid = grid_of(backtest.plan)
    equity = equity_at(backtest, grid)
    sample = ratios.sample_of(ratios.returns_of(equity))
    return Figures(
        returned=equity[-1] / equity[0] - 1,
        sharpe=None if sample is None else sample.annual(grid.per_year),
        trades=len(backtest.journal.closed),
        per_period=None if sample is None else sample.sharpe,
        equity=equity,
    )


def _tried(trial: optuna.Trial, plan: BacktestPlan, strategy: Strategy, market: RecordedMarket) -> Figures:
    import optuna

    for name, within in ranges(strategy).items():
        if isinstance(within.low, int):
            trial.suggest_int(name, int(within.low), int(within.high))
        else:
            trial.suggest_float(name, float(within.low), float(within.high))
    try:
        tried = with_numbers(strategy, _spelled(trial.params, strategy))
    except Rejected as fault:  # numbers that do not fit together
        raise optuna.TrialPruned(str(fault)) from None
    return figures_of(_run(plan, _named(plan.model, tried), market))


def _run(plan: BacktestPlan, model: str, market: RecordedMarket) -> Backtest:
    return backtest_run(plan=replace(plan, model=model), market=market)


def _spelled(numbers: dict[str, Number], strategy: Strategy) -> str:
    """Return numbers as a name has them. Fractions have four decimals: what lies between is the same rule."""
    within = ranges(strategy)
    return ",".join(
        f"{name}={value}" if isinstance(within[name].low, int) else f"{name}={Decimal(str(value)).quantize(PLACES):f}"
        for name, value in numbers.items()
    )


def _named(model: str, strategy: Strategy) -> str:
    name, numbers = model.partition(":")[0], written(strategy)
    return f"{name}:{numbers}" if numbers else name


def _strategy(model: str) -> Strategy:
    prefix, _, name = model.partition("/")
    strategy = strategy_of(name) if prefix == "rules" else None
    if not isinstance(strategy, Strategy) or not ranges(strategy):
        raise Rejected(f"{model} has no numbers to search: use rules/trend or rules/cross.", code="search")
    return strategy


def _finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    """Return the tries that ran to their end, those that were worth nothing among them."""
    return [trial for trial in study.get_trials(deepcopy=False) if trial.state.is_finished()]


def _name(plan: BacktestPlan, fold: Fold, objective: str, seed: int) -> str:
    """Return what tells one search from another: everything that a try depends on."""
    from hashlib import sha256

    said = repr((replace(fold.learn, model=plan.model), objective, seed))
    return f"{plan.model} {fold.learn.start:%F} {sha256(said.encode()).hexdigest()[:16]}"


def _storage(path: Path) -> optuna.storages.BaseStorage:
    """Return tries kept in a file: lines that are only ever added."""
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend

    path.parent.mkdir(parents=True, exist_ok=True)
    return JournalStorage(JournalFileBackend(str(path)))
