"""What a judgement says, as JSON-ready data and as lines for a person. The same judgement gives the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Any, Final

import numpy as np

from decisions.domain.funnel import Step
from trading.domain.attribution import Attribution, Line
from trading.domain.bootstrap import Spread
from trading.domain.calibration import Calibration
from trading.domain.measured_words import NOTHING, convention, number, percent, share
from trading.domain.regimes import RULE, OfRegime
from trading.services.backtest.baselines import RANDOM, Random
from trading.services.backtest.judged import Against, Judged, Luck, Repeats
from trading.services.backtest.plain import plain
from trading.services.backtest.ran import Ran

SAID: Final = (
    "Everything is net of fees, funding, slippage and what models cost, a dollar being one unit of the quote asset.",
    "Baselines run in the same engine over the same candles with the same costs and capital, under limits of their own.",
    "Intervals are drawn from blocks of the series (stationary bootstrap), differences to a baseline from the same blocks of both. They hold for this window and for no other market.",
    "Turnover is the value of all fills ÷ mean equity. Exposure counts positions at their entry value. Hours are UTC.",
)
FEW: Final = 30
"""Trades below which their figures say little."""


def as_data(judged: Judged) -> dict[str, Any]:
    """Return the judgement as JSON-ready data. Shares are fractions, money is text, times are UTC, what is unknown is null."""
    grid, random = judged.grid, judged.baselines.random
    return {
        "stamp": {"kind": judged.stamp.kind.value, "text": judged.stamp.text},
        "period": grid.named,
        "periods_per_year": plain(grid.per_year),
        "trials": judged.trials,
        "seed": judged.seed,
        "model_cost": str(judged.cost),
        "figures": plain(judged.measured),
        "days_needed": plain(judged.days_needed),
        "run": _ran(judged.ran),
        "drawdown": plain(judged.drawdown),
        "baselines": [_against(each) for each in judged.against],
        "random": _random(random, judged.luck),
        "limits_of_baselines": {each.name: str(getattr(judged.baselines.limits, each.name)) for each in fields(judged.baselines.limits)},
        "attribution": {by.value: _attribution(each) for by, each in judged.attribution.items()},
        "calibration": _calibration(judged.measured.trades.calibration),
        "regimes": {"rule": RULE, "market": judged.plan.symbols[0], "rows": [_regime(each) for each in judged.regimes]},
        "funnel": {
            "replies": [_step(each) for each in judged.decided.funnel.replies],
            "symbols": [_step(each) for each in judged.decided.funnel.symbols],
            "reduced": dict(judged.decided.reduced),
            "holds_counted": judged.decided.holds_counted,
        },
        "repeats": None if judged.repeats is None else _repeats(judged.repeats),
        "conventions": conventions(judged),
        "series": [
            [mark.isoformat(), plain(equity)] for mark, equity in zip(grid.marks, judged.equity, strict=True)
        ],
    }  # fmt: skip


def lines_of_judged(judged: Judged) -> Iterator[str]:
    """Yield the judgement in short for a person at a terminal."""
    m, luck = judged.measured, judged.luck
    yield f"stamp         {judged.stamp.kind.value}: {judged.stamp.text}"
    yield f"net return    {percent(judged.ran.returned)} after fees, funding, slippage and {judged.cost:.2f} for models"
    if m.drawn is not None and m.drawn.sharpe is not None:
        yield f"Sharpe        {number(m.drawn.sharpe.value)}, 95 % interval {_within(m.drawn.sharpe, number)}"
    if m.proof is not None:
        yield f"proof         PSR {share(m.proof.psr)}, DSR {share(m.proof.dsr)} with {_trials(judged.trials)}; {needed(judged)}"
    else:
        yield f"proof         none: {m.missing['proof']}"
    for each in judged.against:
        yield f"{each.baseline.kind.name:13} {percent(each.baseline.ran.returned):>10}  {over(each)}"
    if luck.returned.whole:
        yield f"random        beats {luck.returned.part} of {luck.returned.whole} seeds; by chance as good: {share(luck.chance or 0.0)}"
    if judged.repeats is not None:
        yield f"repeats       {repeats(judged.repeats)}"


def conventions(judged: Judged) -> list[str]:
    """Return by what the figures are computed, in sentences."""
    told = [convention(judged.measured), *SAID]
    told.append(f"Equity is looked at by {judged.grid.named}, drawdown at every decision. {RULE}")
    if not judged.decided.holds_counted:
        told.append("Of written rules the funnel counts entries and closes; a hold asks for nothing.")
    if judged.measured.trades.count < FEW:
        told.append(f"Fewer than {FEW} trades were closed: figures of trades say little.")
    return told


def needed(judged: Judged) -> str:
    """Return how many days are still needed to tell skill from luck, in words."""
    days = judged.days_needed
    if judged.measured.proof is None:
        return "nothing can be told yet"
    if days is None:
        return "no number of days would prove a ratio that is not above 0"
    return (
        "the days prove a ratio above 0 at 95 %"
        if not days
        else f"{days:,.0f} more days are needed to tell, if it goes on like this"
    )


def over(against: Against) -> str:
    """Return by how much the run is above a baseline, in words."""
    if against.returned is None:
        return NOTHING
    told = f"difference {percent(against.returned.value)}, {_within(against.returned, percent)}"
    return told if against.returned.tells else f"{told}: no difference is shown"


def repeats(told: Repeats) -> str:
    """Return how far repeats lie apart, in words."""
    spread = told.spread
    if spread is None or spread.error is None:
        return NOTHING
    return (
        f"{spread.count} runs of the same: {percent(spread.mean)} on average, standard error {share(spread.error)}, "
        f"from {percent(spread.low)} to {percent(spread.high)}"
    )


def _ran(ran: Ran) -> dict[str, Any]:
    return {each.name: plain(getattr(ran, each.name)) for each in fields(ran) if each.name != "equity"}


def _against(against: Against) -> dict[str, Any]:
    kind, ran = against.baseline.kind, against.baseline.ran
    return {
        "name": kind.name,
        "words": kind.words,
        "decider": kind.model,
        **_ran(ran),
        "return_over": plain(against.returned),
        "sharpe_over": plain(against.sharpe),
        "series": [plain(value) for value in ran.equity],
    }


def _random(random: Random, luck: Luck) -> dict[str, Any]:
    ratios = [each for each in random.sharpe if each is not None]
    return {
        "words": RANDOM,
        "seeds": random.seeds,
        "leverage": random.leverage,
        "beaten_by_return": plain(luck.returned),
        "beaten_by_sharpe": plain(luck.sharpe),
        "chance": plain(luck.chance),
        "return": plain(dict(random.quantiles(random.returned))),
        "sharpe": plain(dict(random.quantiles(ratios))),
        "drawdown": plain(dict(random.quantiles(random.drawdown))),
        "turnover": plain(float(np.mean(random.turnover)) if random.seeds else None),
        "trades": plain(float(np.mean(random.trades)) if random.seeds else None),
        "fan": {str(at): plain(line) for at, line in random.fan},
    }


def _attribution(told: Attribution) -> dict[str, Any]:
    return {"lines": [_line(line) for line in told.lines], "total": _line(told.total)}


def _line(line: Line) -> dict[str, Any]:
    return {**plain(line), "net": plain(line.net), "net_after_cost": plain(line.net_after_cost)}


def _calibration(told: Calibration) -> dict[str, Any]:
    buckets = [{**plain(each), "verdict": each.verdict} for each in told.buckets]
    return {**plain(told), "buckets": buckets, "few": told.few}


def _regime(row: OfRegime) -> dict[str, Any]:
    told: dict[str, Any] = plain(row)
    return told


def _step(step: Step) -> dict[str, Any]:
    return {"name": step.name, "count": step.count, "ended": dict(step.ended)}


def _repeats(told: Repeats) -> dict[str, Any]:
    return {**plain(told), "spread": plain(told.spread)}


def _within(spread: Spread, write: Any) -> str:
    return f"{write(spread.low)} to {write(spread.high)}"


def _trials(trials: int) -> str:
    return f"{trials:,} trial{'s' if trials != 1 else ''}"
