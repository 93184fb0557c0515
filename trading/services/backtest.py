"""The ordinary cycle over recorded candles: simulated clock, recorded market, matching engine, journal in memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from statistics import median

from accounts.domain.limits import DEFAULTS, Limits
from decisions.deciders.base import BotView
from decisions.deciders.registry import decider_for
from marketdata.domain.bars import Bar
from marketdata.domain.intervals import interval_ms
from marketdata.domain.snapshot import Quote
from marketdata.market import FundingSettlement
from marketdata.recorded_market import RecordedMarket
from trading.domain.losses import DAY, DRAWDOWN, FLOOR
from trading.domain.risk import Standing
from trading.exchange.simulated import Opening, SimulatedExchange
from trading.services.cycle import CycleResult, run_cycle
from trading.services.invariants import check
from trading.services.journal.memory import MemoryJournal
from trading.services.settle import settle
from trading.services.world import Run, World
from vibex.lib.clock import SimulatedClock, from_ms, to_ms
from vibex.lib.errors import Rejected


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
    approval: bool = False
    """Whether the bot asks a person before it enters."""

    def __post_init__(self) -> None:
        if self.start >= self.end:
            raise Rejected(
                f"--from {self.start:%F %H:%M} is not before --to {self.end:%F %H:%M}: swap them or choose a later end"
            )


@dataclass(slots=True)
class Backtest:
    """A finished run: the plan, the journal and how long the cycles took."""

    plan: BacktestPlan
    journal: MemoryJournal
    milliseconds: list[float]
    market: str
    """What the prices were, in words."""
    notes: tuple[str, ...] = ()

    @property
    def median_ms(self) -> float:
        """Median time of a cycle in milliseconds; not part of the report, since it differs from run to run."""
        return median(self.milliseconds) if self.milliseconds else 0.0


def backtest_run(
    *,
    plan: BacktestPlan,
    market: RecordedMarket,
    notes: Sequence[str] = (),
    on_cycle: Callable[[int, int, CycleResult], None] = lambda *_: None,
) -> Backtest:
    """Run the bot over the window. `on_cycle` is told after each cycle: its number, how many there are, its result.

    `notes` on the data go into the report. Raises Rejected for a plan that the data cannot serve, BrokenPromise when
    something happens that the design rules out.
    """
    _within_the_recording(plan, market)
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
        standing = Standing(blocked=journal.blocked(at=at))
        result = run_cycle(world, _run(plan, at, at + step, number - 1, standing))
        exchange.pending(None)
        milliseconds.append(sum(result.timings.values()))
        _pass_time(exchange, market, plan.symbols, since=at, until=min(at + step, plan.end))
        on_cycle(number, len(moments), result)
        clock.move_to(min(at + step, plan.end))
        settle(world)
        check(exchange.account(), [*journal.ledger.values()], journal.positions(), journal.orders())
    journal.equity(exchange.account())
    told = (*notes, *_notes(market, plan.symbols), *_unasked_told(journal), *_locks_told(journal))
    return Backtest(plan, journal, milliseconds, _words(market), told)


def _within_the_recording(plan: BacktestPlan, market: RecordedMarket) -> None:
    for symbol in plan.symbols:
        first, last = market.span(symbol)
        if plan.start < first or plan.end > last:
            raise Rejected(
                f"{symbol} was recorded from {first:%F %H:%M} to {last:%F %H:%M}: choose --from and --to inside of that"
            )


def _bot(plan: BacktestPlan) -> BotView:
    return BotView("backtest", plan.model, plan.symbols, plan.interval, plan.timeframes)


def _run(plan: BacktestPlan, at: datetime, following: datetime, invocation: int, standing: Standing) -> Run:
    return Run(
        bot=_bot(plan),
        limits=plan.limits,
        approval=plan.approval,
        standing=standing,
        scheduled_for=at,
        next_decision_at=following,
        started_at=plan.start,
        starting_balance=plan.capital,
        invocation=invocation,
    )


def _moments(start: datetime, end: datetime, step: timedelta) -> list[datetime]:
    """Return the closes of candles in [start, end)."""
    length = step // timedelta(milliseconds=1)
    first = from_ms(-(-to_ms(start) // length) * length)
    return [first + number * step for number in range(-(-(end - first) // step))]


def _words(market: RecordedMarket) -> str:
    first, last = market.span(market.symbols[0])
    return f"recorded {market.interval} candles, {first:%F} to {last:%F}, spread and fees of each instrument"


def _notes(market: RecordedMarket, symbols: Sequence[str]) -> tuple[str, ...]:
    unmarked = [symbol for symbol in symbols if not market.has_mark(symbol)]
    if not unmarked:
        return ()
    return (f"no mark price of the base interval was recorded for {', '.join(unmarked)}: stops trigger on last",)


def _unasked_told(journal: MemoryJournal) -> Iterator[str]:
    """Say that nobody was there to be asked."""
    if journal.unasked:
        yield f"{journal.unasked} entries would have waited for a person; they were carried out as if approved at once"


def _locks_told(journal: MemoryJournal) -> Iterator[str]:
    """Say what loss limits did. Nobody is there who could lift a lock."""
    if days := sum(lock.kind == DAY for lock in journal.locks):
        yield f"the limit of the day's loss was reached on {days} days (UTC); each time nothing was opened until the next day"
    for lock in journal.locks:
        if lock.kind in (DRAWDOWN, FLOOR):
            yield f"nothing was opened any more from {lock.since:%F %H:%M} on: {lock.reason}"


def _openings(market: RecordedMarket, symbols: Sequence[str], at: datetime) -> Iterator[Opening]:
    """Yield the first prices after a decision: an order never meets the close that was decided on."""
    for symbol in symbols:
        bar = market.base_bar(symbol, at=at)
        if bar is not None:
            yield Opening(_quote_at_open(market, bar), span=bar.high - bar.low)


def _quote_at_open(market: RecordedMarket, bar: Bar) -> Quote:
    """Return the prices at the open of a bar, the spread around them as the market's own quotes have it."""
    before = market.quote(bar.symbol, at=bar.opened_at)
    mark = bar.open if bar.mark_open is None else bar.mark_open
    shift = bar.open - before.last
    return replace(before, at=bar.opened_at, last=bar.open, bid=before.bid + shift, ask=before.ask + shift, mark=mark)


def _pass_time(
    exchange: SimulatedExchange, market: RecordedMarket, symbols: Sequence[str], *, since: datetime, until: datetime
) -> None:
    """Walk the symbols through (since, until], bars and funding in the order of their times."""
    for symbol in symbols:
        if not exchange.needs(symbol):
            continue
        paid = {settled.at: settled for settled in market.funding(symbol, since=since, until=until)}
        for bar in _bars(market, symbol, since, until):
            exchange.bar(bar)
            for at in [at for at in paid if at <= bar.closed_at]:
                _pay(exchange, symbol, paid.pop(at))
        for settled in paid.values():  # a bar is missing there; what was due was paid all the same
            _pay(exchange, symbol, settled)


def _pay(exchange: SimulatedExchange, symbol: str, settled: FundingSettlement) -> None:
    exchange.funding(symbol, settled.rate, settled.mark, settled.at)


def _bars(market: RecordedMarket, symbol: str, since: datetime, until: datetime) -> Iterator[Bar]:
    step = timedelta(milliseconds=interval_ms(market.interval))
    opened = since
    while opened < until:
        bar = market.base_bar(symbol, at=opened)
        if bar is not None:
            yield bar
        opened += step
