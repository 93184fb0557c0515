"""The ordinary cycle over recorded candles: simulated clock, recorded market, matching engine, journal in memory."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from statistics import median
from typing import Any

from accounts.domain.limits import DEFAULTS, Limits
from decisions.deciders.base import BotView
from decisions.deciders.registry import decider_for
from decisions.domain.proposal import Verdict
from marketdata.domain.candles import interval_ms
from marketdata.recorded_market import RecordedMarket
from trading.domain.performance import max_drawdown
from trading.domain.risk import Standing
from trading.domain.venue import Bar, IncomeKind
from trading.exchange.simulated import SimulatedExchange
from trading.services.cycle import CycleResult, run_cycle
from trading.services.journal.memory import KeptPosition, MemoryJournal
from trading.services.world import Run, World
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import Rejected

CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class BacktestPlan:
    """What is tested: one bot over a window of recorded candles. The window is [start, end), UTC."""

    symbols: tuple[str, ...]
    start: datetime
    end: datetime
    interval: str = "1h"
    timeframes: tuple[str, ...] = ("1h", "4h")
    model: str = "rules/trend"
    capital: Decimal = Decimal(10_000)
    limits: Limits = field(default=DEFAULTS)

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Rejected(f"--from {self.start:%F %H:%M} is not before --to {self.end:%F %H:%M}: swap them or choose a later end")


@dataclass(slots=True)
class Backtest:
    """A finished run: the plan, the journal and how long the cycles took."""

    plan: BacktestPlan
    journal: MemoryJournal
    cycles: int
    milliseconds: list[float]
    warnings: tuple[str, ...]

    def report(self) -> dict[str, Any]:
        """Return the result as JSON-ready data: the same inputs give the same bytes."""
        return _report(self)

    @property
    def median_ms(self) -> float:
        """Median time of a cycle in milliseconds; not part of the report, since it differs from run to run."""
        return median(self.milliseconds) if self.milliseconds else 0.0


def backtest_run(
    *,
    plan: BacktestPlan,
    market: RecordedMarket,
    on_cycle: Callable[[int, int, CycleResult], None] = lambda *_: None,
) -> Backtest:
    """Run the bot over the window. `on_cycle` is told after each cycle: its number, how many there are, its result.

    Raises Rejected for a plan that the data cannot serve.
    """
    clock, journal = SimulatedClock(plan.start), MemoryJournal()
    exchange = SimulatedExchange(
        instruments={symbol: market.instrument(symbol) for symbol in plan.symbols}, clock=clock, deposit=plan.capital
    )
    world = World(clock, market, decider_for(_bot(plan)), exchange, journal, sleep=lambda _: None)
    step = timedelta(milliseconds=interval_ms(plan.interval))
    moments = _moments(plan.start, plan.end, step)
    milliseconds = []
    for number, at in enumerate(moments, start=1):
        clock.move_to(at)
        exchange.pending(partial(_openings, market, plan.symbols, at))
        result = run_cycle(world, _run(plan, at, at + step, number - 1))
        exchange.pending(None)
        milliseconds.append(sum(result.timings.values()))
        _pass_time(exchange, market, plan.symbols, since=at, until=min(at + step, plan.end))
        on_cycle(number, len(moments), result)
    clock.move_to(plan.end)
    settle(world)
    journal.equity(exchange.account())
    return Backtest(plan, journal, milliseconds, tuple(market.warnings))


def _bot(plan: BacktestPlan) -> BotView:
    return BotView("backtest", plan.model, plan.symbols, plan.interval, plan.timeframes)


def _run(plan: BacktestPlan, at: datetime, following: datetime, invocation: int) -> Run:
    return Run(
        bot=_bot(plan),
        limits=plan.limits,
        standing=Standing(),
        scheduled_for=at,
        next_decision_at=following,
        started_at=plan.start,
        starting_balance=plan.capital,
        invocation=invocation,
        template=ARENA,
    )


def _moments(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Return the closes of candles in [start, end)."""
    first = from_ms(-(-to_ms(start) // (length := step // MILLISECOND)) * length)
    return [first + number * step for number in range(-(-(end - first) // step))]


def _openings(market: RecordedMarket, symbols: Sequence[str], at: datetime) -> list[Opening]:
    """Return the first prices after a decision: an order never meets the close that was decided on."""
    openings = (market.opening(symbol, at=at) for symbol in symbols)
    return [Opening(quote, span) for quote, span in filter(None, openings)]


def _pass_time(
    exchange: SimulatedExchange, market: RecordedMarket, symbols: Sequence[str], *, since: datetime, until: datetime
) -> None:
    """Walk all symbols through (since, until], bars and funding in the order of their times."""
    for symbol in symbols:
        if not exchange.needs(symbol):
            continue
        events: list[tuple[datetime, int, Bar | FundingSettlement]] = []
        events += [(bar.closed_at, 0, bar) for bar in _bars(market, symbol, since, until)]
        events += [(paid.at, 1, paid) for paid in market.funding(symbol, since=since, until=until)]
        for _, _, event in sorted(events, key=lambda entry: entry[:2]):
            if isinstance(event, Bar):
                exchange.bar(event)
            else:
                exchange.funding(symbol, event.rate, event.mark, event.at)
