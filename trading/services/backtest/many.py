"""Several backtests of one market, side by side in processes of their own. Each reads the candles for itself."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from trading.services.backtest.origin import data_of
from trading.services.backtest.plan import BacktestPlan
from trading.services.backtest.run import Backtest, backtest_run
from trading.services.backtest.source import Source
from vibex.lib.processes import pool

if TYPE_CHECKING:
    from marketdata.recorded_market import RecordedMarket

type Told = Callable[[int, float], None]
"""Called with the place of a plan and the share of it that is done, from 0 to 1."""

LOOK_EVERY: Final = 0.2
TELL_EVERY: Final = 0.05
"""Seconds between two times that a run says how far it is."""


def backtests_run(
    source: Source, plans: Sequence[BacktestPlan], *, jobs: int = 1, tell: Told = lambda *_: None
) -> list[Backtest]:
    """Run the plans over one market, up to `jobs` at a time, and return what came of each, in the order of the plans.

    The results do not depend on `jobs`. Errors are those of `Source.read` and of `backtest_run`; the first ends all.
    """
    if jobs < 2 or len(plans) < 2:
        market, notes = source.read()
        return [_run(market, notes, plan, partial(tell, place)) for place, plan in enumerate(plans)]
    return _side_by_side(source, plans, min(jobs, len(plans)), tell)


def _run(market: RecordedMarket, notes: Sequence[str], plan: BacktestPlan, tell: Callable[[float], None]) -> Backtest:
    told = 0.0

    def on_cycle(number: int, count: int) -> None:
        nonlocal told
        if (now := time.monotonic()) - told >= TELL_EVERY:
            told = now
            tell(number / count)

    backtest = backtest_run(plan=plan, market=market, notes=notes, on_cycle=on_cycle)
    tell(1.0)
    return replace(backtest, data=data_of(market, plan.symbols))


def _side_by_side(source: Source, plans: Sequence[BacktestPlan], jobs: int, tell: Told) -> list[Backtest]:
    context = multiprocessing.get_context("spawn")
    shares = context.Array("d", len(plans), lock=False)
    workers = pool(jobs, context, _begin, source, shared=shares)
    try:
        waiting = {workers.submit(_work, place, plan): place for place, plan in enumerate(plans)}
        for _ in _ended(waiting):
            for place, share in enumerate(shares):
                tell(place, share)
        return [future.result() for future in waiting]
    finally:
        workers.shutdown(cancel_futures=True)


def _ended(waiting: dict[Future[Backtest], int]) -> Iterator[None]:
    """Yield until all have ended. The error of one is raised at once."""
    left = set(waiting)
    while left:
        done, left = wait(left, LOOK_EVERY, FIRST_COMPLETED)
        for future in done:
            future.result()
        yield


_here: dict[str, Any] = {}
"""Of a process that runs backtests: its market, and where it says how far it is."""


def _begin(source: Source, shares: Any) -> None:
    """Make a process ready: it reads the candles once."""
    _here["market"], _here["shares"] = source.read(), shares


def _work(place: int, plan: BacktestPlan) -> Backtest:
    (market, notes), shares = _here["market"], _here["shares"]

    def tell(share: float) -> None:
        shares[place] = share

    return packed(_run(market, notes, plan, tell))


def packed(backtest: Backtest) -> Backtest:
    """Return a finished run in a form that another process can take: without the market it ran on."""
    backtest.journal.series.settle()
    return replace(backtest)
