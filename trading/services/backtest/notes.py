"""What has to be said about a backtest beside its figures."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from marketdata.domain.indicators import WARM_UP
from marketdata.domain.intervals import interval_ms
from marketdata.recorded_market import RecordedMarket
from trading.domain.losses import DAY, DRAWDOWN, FLOOR
from trading.services.backtest.plan import BacktestPlan
from trading.services.journal.memory import MemoryJournal
from vibex.lib.clock import from_ms


def words_of(market: RecordedMarket) -> str:
    first, last = market.span(market.symbols[0])
    return f"recorded {market.interval} candles, {first:%F} to {last:%F}, spread and fees of each instrument"


def notes_of(market: RecordedMarket, plan: BacktestPlan, journal: MemoryJournal) -> Iterator[str]:
    """Yield what a reader of the figures has to know."""
    if unmarked := [symbol for symbol in plan.symbols if not market.has_mark(symbol)]:
        yield f"no mark price of the base interval was recorded for {', '.join(unmarked)}: stops trigger on last"
    yield from _warm_up(market, plan)
    yield from unasked_told(journal)
    yield from locks_told(journal)


def _warm_up(market: RecordedMarket, plan: BacktestPlan) -> Iterator[str]:
    """Say until when not all indicators could be known."""
    last = {name: _known_from(market, plan.symbols, name) for name in plan.timeframes}
    name = max(last, key=lambda each: last[each], default="")
    if name and last[name] > plan.start:
        until = "the end of it" if last[name] >= plan.end else f"{last[name]:%F %H:%M}"
        yield f"up to {until} not every indicator of {name} was known: {WARM_UP} candles are needed before it"


def _known_from(market: RecordedMarket, symbols: Sequence[str], interval: str) -> datetime:
    """Return when every indicator of an interval is known of all symbols."""
    frames = [market.frame(symbol, interval) for symbol in symbols]
    if any(len(frame.candles) < WARM_UP for frame in frames):
        return datetime.max.replace(tzinfo=UTC)
    return from_ms(max(int(frame.candles.open_time[WARM_UP - 1]) for frame in frames) + interval_ms(interval))


def unasked_told(journal: MemoryJournal) -> Iterator[str]:
    """Say that nobody was there to be asked."""
    if journal.unasked:
        yield f"{journal.unasked} entries would have waited for a person; they were carried out as if approved at once"


def locks_told(journal: MemoryJournal) -> Iterator[str]:
    """Say what loss limits did. Nobody is there who could lift a lock."""
    if days := sum(lock.kind == DAY for lock in journal.locks):
        yield f"the limit of the day's loss was reached on {days} days (UTC); each time nothing was opened until the next day"
    for lock in journal.locks:
        if lock.kind in (DRAWDOWN, FLOOR):
            yield f"nothing was opened any more from {lock.since:%F %H:%M} on: {lock.reason}"
