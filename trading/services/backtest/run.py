"""The ordinary cycle over recorded candles: simulated clock, recorded market, matching engine, journal in memory."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from statistics import median
from typing import Any

from decisions.deciders.base import BotView, Decider
from decisions.deciders.registry import decider_for
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.intervals import interval_ms
from marketdata.recorded_market import RecordedMarket
from trading.domain.risk import Standing
from trading.exchange.simulated import Opening
from trading.services.backtest.feedback import asking
from trading.services.backtest.jump import Jump, Landing, due_of
from trading.services.backtest.notes import notes_of, words_of
from trading.services.backtest.passing import openings, pass_time
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.venue import BacktestVenue
from trading.services.cycle import run_cycle
from trading.services.invariants import BrokenPromise, check
from trading.services.journal.memory import MemoryJournal
from trading.services.settle import settle
from trading.services.world import Care, Run, World
from vibex.lib.clock import SimulatedClock
from vibex.lib.errors import Rejected


@dataclass(slots=True)
class Backtest:
    """A finished run: the plan, the journal and how long the cycles took."""

    plan: BacktestPlan
    journal: MemoryJournal
    milliseconds: list[float]
    market: str
    """What the prices were, in words."""
    notes: tuple[str, ...] = ()
    data: Mapping[str, Any] = field(default_factory=dict)
    """What was recorded of each symbol, with digests (`origin.data_of`); empty while nobody has asked."""
    steps: int = 0
    """Moments of decision; as many cycles as `milliseconds` has were really run."""
    seconds: float = 0.0
    """How long it took to go through them, what was made ready before left out; not part of the report."""

    @property
    def median_ms(self) -> float:
        """Median time of a cycle in milliseconds; not part of the report, since it differs from run to run."""
        return median(self.milliseconds) if self.milliseconds else 0.0


def backtest_run(
    *,
    plan: BacktestPlan,
    market: RecordedMarket,
    notes: Sequence[str] = (),
    on_cycle: Callable[[int, int], None] = lambda *_: None,
    decider: Decider | None = None,
) -> Backtest:
    """Run the bot over the window. `on_cycle` is told after each step that was run: its number, how many there are.

    `decider` decides in the place of what the plan's model stands for: a model that is asked once (`deciders`).

    `notes` on the data go into the report. Raises Rejected for a plan that the data cannot serve, BrokenPromise when
    something happens that the design rules out.
    """
    _within_the_recording(plan, market)
    run = _Running(plan, market, decider)
    began = time.perf_counter()
    with uncollected():
        step, count = 0, len(run.moments)
        while step < count:
            landing = run.leap(step)
            if landing.step < count:
                run.carry_out(landing)
                on_cycle(landing.step + 1, count)
            step = landing.step + 1
        run.end()
    seconds = time.perf_counter() - began
    told = (*notes, *notes_of(market, plan, run.journal))
    return Backtest(
        plan, run.journal, run.milliseconds, words_of(market), told, steps=len(run.moments), seconds=seconds
    )


@contextmanager
def uncollected() -> Iterator[None]:
    """Let nobody look for cycles of objects meanwhile: a journal grows, holds none, and would be gone through again and again.

    What has come into being then counts as old: it is gone through with the next look at everything, not at once.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.freeze()
            gc.unfreeze()
            gc.enable()


class _Running:
    """A run under way: the world of its bot, and where it is."""

    def __init__(self, plan: BacktestPlan, market: RecordedMarket, decider: Decider | None = None) -> None:
        self.plan, self.market, self.journal = plan, market, MemoryJournal()
        self.length = plan.step
        self._bar = timedelta(milliseconds=interval_ms(market.interval))
        self.moments = plan.moments()
        self.milliseconds: list[float] = []
        self.clock = SimulatedClock(plan.start)
        self.exchange = BacktestVenue(
            instruments={symbol: _charged(market.instrument(symbol), plan.fee) for symbol in plan.symbols},
            clock=self.clock,
            deposit=plan.capital,
            settings=plan.fills,
            volume=self._volume,
            share=plan.volume_share,
        )
        self._bot = bot_of(plan)
        decider = decider or decider_for(self._bot)
        care = Care(trailing_stop=plan.limits.trailing_stop)
        self.world = World(self.clock, market, decider, self.exchange, self.journal, care=care, sleep=lambda _: None)
        self._jump = self._jump_of(decider)

    def leap(self, step: int) -> Landing:
        """Return what is done next: the step itself, where nothing may be passed over."""
        if self._jump is None or step == 0:
            return Landing(step, cycle=True)
        return self._jump.leap(step)

    def carry_out(self, landing: Landing) -> None:
        """Run a step: the cycle that begins it, where there is one, and the time until the next."""
        plan, at = self.plan, self.moments[landing.step]
        until = min(at + self.length, plan.end)
        if landing.cycle:
            self.clock.move_to(at)
            self._cycle(at, landing.step)
        pass_time(self.exchange, self.market, plan.symbols, since=at, until=until)
        self.clock.move_to(until)
        if self.exchange.unread or self._jump is None:
            settle(self.world)
            self._check()

    def end(self) -> None:
        """State the account when the window ends."""
        if self._jump is not None:
            self._jump.catch_up(len(self.moments))
        self.clock.move_to(self.plan.end)
        settle(self.world)
        self._check()
        self.journal.equity(self.exchange.account())
        wrong = sum((line.amount for line in self.journal.ledger.values()), Decimal(0)) - self.exchange.wallet
        if wrong:
            raise BrokenPromise(f"the lines of the ledger and the wallet are {wrong} apart")

    def _cycle(self, at: datetime, number: int) -> None:
        self.exchange.pending(partial(self._met, at))
        standing = Standing(blocked=self.journal.blocked(at=at))
        run = _run(self.plan, self._bot, at, at + self.length, number, standing)
        if self.world.decider.wants_prompt:
            run = asking(run, self.plan.asks, self.journal)
        result = run_cycle(self.world, run)
        self.exchange.pending(None)
        self.milliseconds.append(sum(result.timings.values()))

    def _met(self, at: datetime) -> Iterator[Opening]:
        """Yield the prices that an order meets which is sent at a moment."""
        plan, market = self.plan, self.market
        if plan.latency == timedelta(0):
            yield from (Opening(market.quote(symbol, at=at)) for symbol in plan.symbols)
            return
        share = Decimal(0) if plan.latency is None else Decimal(str(plan.latency / self._bar))
        for opening in openings(market, plan.symbols, at):
            yield _later(opening, min(share, Decimal(1)))

    def _volume(self, symbol: str, at: datetime) -> Decimal | None:
        bar = self.market.base_bar(symbol, at=at)
        return None if bar is None else bar.volume

    def _check(self) -> None:
        journal = self.journal
        check(self.exchange.account(), journal.total, journal.positions(), journal.orders())

    def _jump_of(self, decider: Decider) -> Jump | None:
        """Return what passes over steps; None where every step has to be run: nobody said when there is nothing to do."""
        foresight = getattr(decider, "foresight", None)
        if not self.plan.jump or foresight is None or self.plan.limits.trailing_stop is not None:
            return None
        edges = self.plan.edges()
        return Jump(
            limits=self.plan.limits,
            market=self.market,
            exchange=self.exchange,
            journal=self.journal,
            due=due_of(foresight, self._bot, self.market, edges),
            moments=self.moments,
            edges=edges,
        )


def _later(opening: Opening, share: Decimal) -> Opening:
    """Return prices that have moved against whoever trades by a share of the bar's range."""
    if not share:
        return opening
    quote, worse = opening.quote, opening.span * share
    least = min(quote.bid, Decimal("1e-9"))  # a price stays above zero, whatever the range was
    return replace(opening, quote=replace(quote, bid=max(least, quote.bid - worse), ask=quote.ask + worse))


def _charged(spec: InstrumentSpec, fee: Decimal | None) -> InstrumentSpec:
    """Return the rules of a contract with a fee of the plan."""
    return spec if fee is None else replace(spec, taker_fee=fee, maker_fee=fee)


def _within_the_recording(plan: BacktestPlan, market: RecordedMarket) -> None:
    for symbol in plan.symbols:
        first, last = market.span(symbol)
        if plan.start < first or plan.end > last:
            raise Rejected(
                f"{symbol} was recorded from {first:%F %H:%M} to {last:%F %H:%M}: choose --from and --to inside of that"
            )


def bot_of(plan: BacktestPlan) -> BotView:
    """Return the bot that is tested."""
    return BotView(
        "backtest",
        plan.model,
        plan.symbols,
        plan.interval,
        plan.timeframes,
        prompt_template=plan.asks.prompt_template,
        asking=plan.asks.asking,
    )


def _run(
    plan: BacktestPlan, bot: BotView, at: datetime, following: datetime, invocation: int, standing: Standing
) -> Run:
    return Run(
        decision_id=str(invocation),  # rules read none
        bot=bot,
        limits=plan.limits,
        approval=plan.approval,
        standing=standing,
        scheduled_for=at,
        next_decision_at=following,
        started_at=plan.start,
        starting_balance=plan.capital,
        invocation=invocation,
    )
