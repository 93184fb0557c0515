"""Models against each other on recorded candles: the same prompt, capital, limits and moments for all, several times over.

Nobody is ranked by its best run. Beside each model stand what a rule would have made of the window, whether the model may
know it, and how often the same model asked for something else when it was asked the same again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from itertools import combinations
from typing import Final

from decisions.deciders.once import Tally
from decisions.domain.providers import RULES
from decisions.selectors.cutoff import cutoff_of
from marketdata.domain.masking import VENUE, MaskKey, mask
from marketdata.domain.recording import Recording
from marketdata.recorded_market import RecordedMarket
from trading.domain.repeats import Acts, Agreement, agreement_of
from trading.services.backtest.baselines import Baselines, baselines_run
from trading.services.backtest.deciders import Asked, decider_of, is_model, worded_plan
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.repeats import Repeats, repeated, repeats_of
from trading.services.backtest.run import backtest_run
from trading.services.backtest.runs import ModelRun, Tell, Unfinished, runs_of
from trading.services.backtest.stamp import Stamp, stamp_of

FEWEST: Final = 5
"""Repeats of a model below which a mean says little: more would be asked of an honest comparison."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What all of them see: the plan without a model, the recordings it runs over, and how they are hidden."""

    plan: BacktestPlan
    """In the terms of the recordings: masked where they are."""
    recordings: tuple[Recording, ...]
    true: BacktestPlan
    """With the true symbols and times."""
    known: tuple[Recording, ...]
    """The recordings as they were, for what nobody is asked about."""
    key: MaskKey | None = None

    def market(self) -> RecordedMarket:
        """Return a market of its own for a run."""
        return self._market(self.recordings, VENUE if self.key else "recorded")

    def true_market(self) -> RecordedMarket:
        """Return the market as it was."""
        return self._market(self.known, "recorded")

    def _market(self, recordings: Sequence[Recording], venue: str) -> RecordedMarket:
        plan = self.plan
        return RecordedMarket(recordings, timeframes=plan.timeframes, spread=plan.fills.spread, venue=venue)


@dataclass(frozen=True, slots=True)
class Entrant:
    """One model of an arena with all of its runs."""

    model: str
    stamp: Stamp
    cutoff: date | None
    repeats: Repeats

    def beyond(self, baselines: Baselines | None) -> Mapping[str, float]:
        """Return its mean return less that of each baseline, by name; nothing while no run is finished."""
        returned = self.repeats.returned
        if returned is None or baselines is None:
            return {}
        return {each.kind.name: returned.mean - each.ran.returned for each in baselines.runs}


@dataclass(frozen=True, slots=True)
class Pair:
    """How often two models asked for the same, repeat by repeat."""

    first: str
    second: str
    agreement: Agreement


@dataclass(frozen=True, slots=True)
class Arena:
    """What came of it. Entrants stand in the order of their mean returns, those without a finished run last."""

    stage: Stage
    times: int
    entrants: tuple[Entrant, ...]
    pairs: tuple[Pair, ...]
    baselines: Baselines | None
    """None while no run is finished."""
    paid: Decimal
    """US dollars paid now."""

    @property
    def tally(self) -> Tally:
        """What the finished runs asked, all together."""
        total = Tally()
        for entrant in self.entrants:
            for run in entrant.repeats.runs:
                total.asked += run.tally.asked
                total.found += run.tally.found
                total.unanswered += run.tally.unanswered
                total.worth += run.tally.worth
        return total

    @property
    def unfinished(self) -> tuple[Unfinished, ...]:
        return tuple(run for entrant in self.entrants for run in entrant.repeats.unfinished)


def stage_of(plan: BacktestPlan, recordings: Sequence[Recording], *, masked: int | None = None) -> Stage:
    """Return what a plan is run on, hidden by the seed `masked` where there is one. Raises Rejected where it cannot be."""
    if masked is None:
        return Stage(plan, tuple(recordings), plan, tuple(recordings))
    hidden = mask(recordings, seed=masked)
    key = hidden.key
    own = replace(plan, symbols=hidden.symbols, start=key.hidden(plan.start), end=key.hidden(plan.end))
    return Stage(own, hidden.recordings, plan, tuple(recordings), key)


def arena_run(
    *,
    stage: Stage,
    models: Sequence[str],
    times: int,
    asked: Asked | None = None,
    jobs: int = 1,
    notes: Sequence[str] = (),
    tell: Tell = lambda *_: None,
) -> Arena:
    """Let the models run over the stage, each so many times, at most `jobs` runs at once. Rules run once: they repeat.

    Raises Rejected, before anybody is asked, for a model that cannot be asked and a template that is missing. Runs that
    could not go on are told in the result.
    """
    asked = asked or Asked()
    plans = [_own(stage.plan, model) for model in models]
    for plan in plans:
        decider_of(plan, asked)
    runs = [run for plan in plans for run in repeated(plan, times if is_model(plan.model) else 1)]
    # First each model once, then each a second time: when the money ends, they have got equally far.
    order = sorted(range(len(runs)), key=lambda place: runs[place].asks.repeat)
    came = runs_of([runs[place] for place in order], stage.market, asked, jobs=jobs, notes=notes, tell=tell)
    by_model: dict[str, list[ModelRun | Unfinished]] = {model: [] for model in models}
    for run in came:
        by_model[run.plan.model].append(run)
    entrants = [_entrant(stage, plan, by_model[plan.model]) for plan in plans]
    return Arena(
        stage,
        times,
        tuple(sorted(entrants, key=_rank)),
        tuple(_pairs(stage, entrants, times)),
        _baselines(stage, entrants),
        asked.allowance.paid,
    )


def _own(plan: BacktestPlan, model: str) -> BacktestPlan:
    own = replace(plan, model=model)
    return worded_plan(own, version=plan.asks.template_version) if is_model(model) and not plan.asks.template else own


def _entrant(stage: Stage, plan: BacktestPlan, came: Sequence[ModelRun | Unfinished]) -> Entrant:
    cutoff = cutoff_of(plan.model)
    stamp = stamp_of(replace(stage.true, model=plan.model), cutoff, masked=stage.key is not None)
    return Entrant(plan.model, stamp, cutoff, repeats_of(plan, came))


def _rank(entrant: Entrant) -> tuple[bool, float]:
    returned = entrant.repeats.returned
    return returned is None, -(returned.mean if returned else 0.0)


def _pairs(stage: Stage, entrants: Sequence[Entrant], times: int) -> Iterator[Pair]:
    """Compare every two models, the first repeat of one with the first of the other, and so on."""
    for first, second in combinations([each for each in entrants if each.repeats.runs], 2):
        both = [(_acts(first, number), _acts(second, number)) for number in range(1, times + 1)]
        acts = [(one, other) for one, other in both if one is not None and other is not None]
        agreement = agreement_of(acts, symbols=stage.plan.symbols, moments=first.repeats.moments)
        yield Pair(first.model, second.model, agreement)


def _acts(entrant: Entrant, number: int) -> Acts | None:
    """Return what was asked for in a repeat, None where it is not finished. Rules ask for the same in each."""
    number = number if is_model(entrant.model) else 1
    return next((run.acts for run in entrant.repeats.runs if run.plan.asks.repeat == number), None)


def _baselines(stage: Stage, entrants: Sequence[Entrant]) -> Baselines | None:
    """Return the baselines of the window, on the market as it was: its first symbol is the one that was named first.

    Entries at random are left out: they belong to a run with its turnover.
    """
    if not any(entrant.repeats.runs for entrant in entrants):
        return None
    market = stage.true_market()
    idle = backtest_run(plan=replace(stage.true, model=f"{RULES}/hold"), market=market)
    return baselines_run(idle, market=market, seeds=0)
