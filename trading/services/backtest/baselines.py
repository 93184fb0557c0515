"""What a backtest is held against: baselines through the same engine, over the same window, with the same costs and capital.

Cash, the bot with its decider replaced by hold, buy and hold, equal weight, momentum, and entries at random with the
turnover of the bot. All of them run under limits of their own (`wide`), so that a rule meant for the bot holds none of them
back; only the bot replaced by hold keeps the bot's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import accumulate
from math import ceil
from typing import Final

import numpy as np

from accounts.domain.limits import DEFAULTS, Limits
from decisions.domain.baselines import INVESTED, Move, shuffled
from marketdata.domain.intervals import interval_ms
from marketdata.recorded_market import RecordedMarket
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.ran import Ran, rans_of
from trading.services.backtest.run import Backtest
from trading.services.backtest.sampled import Grid, daily_closes, every_equity, grid_of
from trading.services.backtest.source import Source
from trading.services.journal.kept import KeptPosition

SEEDS: Final = 100
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95)
SHARE_PLACES: Final = Decimal("0.0001")
LEAST_SHARE: Final = Decimal("0.0001")
FARTHEST: Final = Decimal("0.75")
"""Of stops, as a share of the price. The engine wants them within 80 % of the way to liquidation: without leverage that is
to nothing for a long, and to twice the price for a short."""
LEVERED_STOP: Final = Decimal("0.6")
"""The same × leverage: larger positions have a larger maintenance margin."""

type OnRun = Callable[[int, int], None]
"""Told after each run: how many are done, how many there are."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A baseline: its name, what it is in words, who decides, and whether under the limits of the bot."""

    name: str
    words: str
    model: str
    as_bot: bool = False


KINDS: Final = (
    Kind("cash", "nothing is ever opened; cash earns nothing", "rules/hold"),
    Kind("hold", "the same bot under its own limits, its decider replaced by hold", "rules/hold", as_bot=True),
    Kind("buy and hold", "the first symbol, 99 % of equity, bought once", "rules/buy-and-hold"),
    Kind("equal weight", "99 % of equity in equal shares of all symbols, bought once", "rules/equal-weight"),
    Kind(
        "momentum",
        "each symbol an equal share, long after a rise over 30 candles of the longest timeframe, short after a fall",
        "rules/momentum",
    ),
)
RANDOM: Final = (
    "the positions of the bot at random times: on each symbol as many, as long and as large, as many of them long; with the "
    "least leverage that holds as much at once as the bot did"
)


@dataclass(frozen=True, slots=True)
class Baseline:
    kind: Kind
    ran: Ran


@dataclass(frozen=True, slots=True)
class Random:
    """What came of entries at random, one value for each seed, from 0 on."""

    seeds: int
    returned: tuple[float, ...]
    sharpe: tuple[float | None, ...]
    drawdown: tuple[float, ...]
    turnover: tuple[float, ...]
    trades: tuple[int, ...]
    leverage: int
    fan: tuple[tuple[float, tuple[float, ...]], ...]
    """Quantiles of equity at each mark: the quantile, and its line."""

    def quantiles(self, values: Sequence[float]) -> tuple[tuple[float, float], ...]:
        """Return the quantiles of values of the seeds; none without one."""
        if not values:
            return ()
        return tuple(zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class Baselines:
    """All baselines of a backtest. `closes` are the daily ones of the first symbol, from before the window too."""

    grid: Grid
    limits: Limits
    runs: tuple[Baseline, ...]
    random: Random
    closes: tuple[tuple[date, float], ...]

    def of(self, name: str) -> Ran:
        """Return the run of a name. Raises KeyError for one that is none."""
        for baseline in self.runs:
            if baseline.kind.name == name:
                return baseline.ran
        raise KeyError(name)


def baselines_run(
    backtest: Backtest,
    *,
    market: RecordedMarket,
    seeds: int = SEEDS,
    on_run: OnRun = lambda *_: None,
    source: Source | None = None,
    jobs: int = 1,
) -> Baselines:
    """Run every baseline of a finished backtest over the market that it ran on. The same inputs give the same results.

    Entries at random are drawn once for each of the seeds 0, 1, 2 …; not at all where the bot opened nothing. With `source`,
    from which the market was read, up to `jobs` of them run side by side. Errors as those of `backtest_run`.
    """
    plan, grid, limits = backtest.plan, grid_of(backtest.plan), wide(backtest.plan)
    moves = moves_of(backtest)
    leverage = leverage_of(moves, plan)
    plans = [replace(plan, model=kind.model) if kind.as_bot else _own(plan, kind.model, limits) for kind in KINDS]
    for seed in range(seeds if moves else 0):
        timetable = shuffled(moves, backtest.steps, seed, leverage)
        plans.append(_own(plan, f"rules/timetable:{timetable}", wide(plan, leverage)))
    rans = rans_of(plans, grid, market, source=source, jobs=jobs, on_run=lambda done: on_run(done, len(plans)))
    runs = tuple(Baseline(kind, ran) for kind, ran in zip(KINDS, rans, strict=False))
    closes = daily_closes(market, plan.symbols[0], plan.end)
    return Baselines(grid, limits, runs, _together(rans[len(KINDS) :], leverage), closes)


def wide(plan: BacktestPlan, leverage: int = 1) -> Limits:
    """Return the limits of baselines: no leverage, stops up to 75 % away, and nothing else that holds an entry back.

    With leverage stops lie nearer, because they have to come before the liquidation price.
    """
    whole, held, most = Decimal(1), Decimal(leverage), 1_000_000
    return Limits(
        max_leverage=leverage,
        risk_per_trade=whole,
        max_position=held,
        max_group=held,
        max_net=held,
        max_gross=held,
        max_positions=max(DEFAULTS.max_positions, len(plan.symbols)),
        max_stop_distance=FARTHEST if leverage == 1 else LEVERED_STOP / leverage,
        max_slippage=max(plan.limits.max_slippage, DEFAULTS.max_slippage),
        max_margin_use=whole,
        margin_buffer=DEFAULTS.margin_buffer * leverage,
        traditional=True,
        min_reward_risk=Decimal(0),
        min_confidence=Decimal(0),
        max_spread=whole,
        min_depth=Decimal(0),
        max_mark_gap=whole,
        max_funding=whole,
        opens_per_hour=most,
        opens_per_day=most,
        min_hold_minutes=0,
        cooldown_minutes=0,
        losing_streak=0,
        daily_loss=whole,
        max_drawdown=whole,
    )


def moves_of(backtest: Backtest) -> tuple[Move, ...]:
    """Return the positions of a bot by the numbers of the decisions at which they began and ended, at least one apart."""
    length = timedelta(milliseconds=interval_ms(backtest.plan.interval))
    kept = [*backtest.journal.closed, *backtest.journal.open.values()]
    times, equity = every_equity(backtest)
    found = [_move(each, backtest, length, times, equity) for each in kept]
    return tuple(sorted(move for move in found if move is not None))


def leverage_of(moves: Sequence[Move], plan: BacktestPlan) -> int:
    """Return the least leverage that carries all that a bot held at once, at most that of its limits."""
    changes = sorted(
        (at, share) for move in moves for at, share in ((move.opens, move.share), (move.closes, -move.share))
    )
    most = max(accumulate((share for _, share in changes), initial=Decimal(0)))
    return max(1, min(plan.limits.max_leverage, ceil(most / INVESTED)))


def _own(plan: BacktestPlan, model: str, limits: Limits) -> BacktestPlan:
    return replace(plan, model=model, limits=limits, approval=False)


def _move(
    kept: KeptPosition, backtest: Backtest, length: timedelta, times: Sequence[datetime], equity: Sequence[float]
) -> Move | None:
    booked, plan = kept.booked, backtest.plan
    before = equity[max(0, bisect_right(times, booked.opened_at) - 1)]
    share = Decimal(float(booked.bought_value) / before if before > 0 else 0).quantize(SHARE_PLACES)
    if share < LEAST_SHARE:
        return None
    opens = min(backtest.steps - 1, max(0, (booked.opened_at - plan.start) // length))
    held = ((booked.closed_at or plan.end) - booked.opened_at) / length
    return Move(booked.symbol, opens, opens + max(1, round(held)), booked.side, share)


def _together(drawn: Sequence[Ran], leverage: int) -> Random:
    lines: Iterator[tuple[float, tuple[float, ...]]] = iter(())
    if drawn:
        at_each = np.quantile(np.array([ran.equity for ran in drawn]), QUANTILES, axis=0)
        lines = ((share, tuple(line)) for share, line in zip(QUANTILES, at_each.tolist(), strict=True))
    return Random(
        len(drawn),
        tuple(ran.returned for ran in drawn),
        tuple(ran.sharpe for ran in drawn),
        tuple(ran.drawdown for ran in drawn),
        tuple(ran.turnover for ran in drawn),
        tuple(ran.trades for ran in drawn),
        leverage,
        tuple(lines),
    )
