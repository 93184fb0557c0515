"""Doing only what matters: a backtest jumps over the steps at which, provably, nothing can happen.

A step begins with a decision and ends where the next one begins. It is passed over when the rules have said in advance that
they could not act there, and while it lasts no order, no liquidation price and no settlement of funding is met, and no loss
limit can be reached. What is passed over is not lost: the equity of each step is kept, exactly, and losses are watched as if
somebody had looked each time. Where floats cannot tell, the step is not passed over.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from accounts.domain.limits import Limits
from decisions.deciders.rules import Foresighted
from decisions.domain.proposal import Side
from decisions.domain.question import BotView
from marketdata.domain.intervals import interval_ms
from marketdata.domain.pricing import decimal_of
from marketdata.domain.recording import Recording
from marketdata.domain.whole import WholeMarket
from marketdata.recorded_market import RecordedMarket
from trading.domain.losses import DAY, DRAWDOWN, EMPTY, FLOOR, Watch, day_anew
from trading.domain.matching.types import PositionRecord
from trading.exchange.simulated import SimulatedExchange
from trading.services.journal.memory import MemoryJournal
from trading.services.journal.series import Span
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.records import record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    type Floats = NDArray[np.float64]

SHORT: Final = 128
"""So many values are looked through sooner one by one than by NumPy."""
NOTHING: Final = frozenset[str]()
NEAR: Final = 1e-9
"""Shares below this are the rounding of floats: what lies so near a limit is looked at exactly."""


@record()
class Landing:
    """The next step at which something is done: a whole cycle, or only time that passes."""

    step: int
    cycle: bool


@dataclass(frozen=True, slots=True)
class Due:
    """Steps at which rules could act on a symbol, by what is open there."""

    flat: Sequence[int]
    long: Sequence[int]
    short: Sequence[int]

    def after(self, step: int, side: Side | None, last: int) -> int:
        """Return the first of them from `step` on, `last` where there is none."""
        steps = self.flat if side is None else self.long if side is Side.LONG else self.short
        place = bisect_left(steps, step)
        return steps[place] if place < len(steps) else last


class Tape:
    """What was recorded of a symbol, by the steps of a run. For the exchange only: it reaches into the future."""

    def __init__(self, recording: Recording, edges: NDArray[np.int64]) -> None:
        import numpy as np

        candles, mark = recording.candles, recording.mark
        opened, length = candles.open_time, interval_ms(candles.interval)
        self.first: list[int] = opened.searchsorted(edges).tolist()
        """The first bar of each step, and where the last step ends."""
        self.newest: NDArray[np.int64] = opened.searchsorted(edges - length, "right") - 1
        """The newest bar that has closed when each step begins."""
        self.low = candles.low if mark is None else np.fmin(candles.low, mark.low)
        self.high = candles.high if mark is None else np.fmax(candles.high, mark.high)
        close = candles.close if mark is None else np.where(np.isnan(mark.close), candles.close, mark.close)
        self.mark: Floats = close[self.newest.clip(min=0)]
        """The mark price when each step begins."""
        self.pays = (np.searchsorted(edges, recording.funding.at) - 1).tolist()
        """The steps in which funding is settled."""
        self._lows, self._highs, self._marks = (memoryview(values) for values in (self.low, self.high, self.mark))

    def reached(self, start: int, stop: int, floor: float, ceiling: float) -> int | None:
        """Return the first bar of [start, stop) that reaches a floor or a ceiling, None where none does."""
        if stop - start <= SHORT and (
            start >= stop or (min(self._lows[start:stop]) > floor and max(self._highs[start:stop]) < ceiling)
        ):
            return None
        met = (self.low[start:stop] <= floor) | (self.high[start:stop] >= ceiling)
        place = int(met.argmax())
        return start + place if met[place] else None

    def extremes(self, start: int, stop: int) -> tuple[float, float]:
        """Return the lowest and the highest mark price at the steps [start, stop), at least one."""
        if stop - start <= SHORT:
            marks = self._marks[start:stop]
            return min(marks), max(marks)
        values = self.mark[start:stop]
        return float(values.min()), float(values.max())

    def mark_at(self, step: int) -> float:
        """Return the mark price when a step begins."""
        return self._marks[step]


@record()
class Levels:
    """Equity at which a loss limit is reached: `fixed`, or `kept` of the highest so far, of which `peak` is known."""

    fixed: float
    peak: float
    kept: float

    def highest(self, highest: float) -> float:
        """Return the highest of them where equity comes up to `highest`."""
        return max(self.fixed, self.kept * max(self.peak, highest))


class Jump:
    """Where a run goes next. The same fills, the same ledger and the same equity as without it."""

    def __init__(
        self,
        *,
        limits: Limits,
        market: RecordedMarket,
        exchange: SimulatedExchange,
        journal: MemoryJournal,
        due: Mapping[str, Due],
        moments: Sequence[datetime],
        edges: NDArray[np.int64],
    ) -> None:
        self._limits, self._market, self._exchange, self._journal = limits, market, exchange, journal
        self._kept_of_day, self._kept_of_peak = 1 - limits.daily_loss, float(1 - limits.max_drawdown)
        self._due, self._moments, self._last = due, moments, len(moments)
        self._ms: list[int] = edges.tolist()
        self._tapes = {symbol: Tape(market.series(symbol), edges) for symbol in due}
        self._told: tuple[object, ...] = ()
        self._of_told = Levels(0.0, 0.0, 0.0)
        """The levels that were asked for last, and what of a watch they are of."""
        self._day: tuple[datetime | None, int] = (None, 0)
        """When a day ends, and the first step after it."""
        journal.series.moments, journal.series.mark = moments, self._mark

    def leap(self, step: int) -> Landing:
        """Return the next step from `step` on at which something is done; what lies before it is passed over.

        The step after the last one means that nothing is done any more.
        """
        began, held = step, tuple(self._exchange.held())
        while True:
            landing = self._next(step, held)
            until = landing.step if landing.cycle else min(landing.step + 1, self._last)
            stop = min(until, self._day_after(step)) if held else until
            if step < stop:
                lowest, highest = self._extremes(step, stop, held)
                lost = self._lost(step, stop, held, lowest, highest)
                if lost is not None:
                    landing, until, stop = Landing(lost, cycle=True), lost, lost
                if step < stop:
                    self._pass(Span(step, stop, self._exchange.wallet, held), highest)
            if stop == until:
                break
            step = stop
        if landing.step > began:
            self.catch_up(landing.step)
        return landing

    def _next(self, step: int, held: Sequence[PositionRecord]) -> Landing:
        sides = {position.symbol: position.side for position in held}
        acts = self._last
        for symbol, due in self._due.items():
            acts = min(acts, due.after(step, sides.get(symbol), self._last))
        moves = acts
        for symbol, tape in self._tapes.items():
            if symbol in sides:
                moves = min(moves, self._settles(tape, step))
            if self._exchange.needs(symbol):
                moves = min(moves, self._meets(symbol, tape, step, moves))
        return Landing(acts, cycle=True) if acts <= moves else Landing(moves, cycle=False)

    def _settles(self, tape: Tape, step: int) -> int:
        """Return the step in which funding is settled next."""
        place = bisect_left(tape.pays, step)
        return tape.pays[place] if place < len(tape.pays) else self._last

    def _meets(self, symbol: str, tape: Tape, step: int, until: int) -> int:
        """Return the first step before `until` in which a price is met, `until` where none is."""
        floor, ceiling = self._exchange.quiet_range(symbol)
        met = tape.reached(tape.first[step], tape.first[until], float(floor), float(ceiling))
        return until if met is None else bisect_right(tape.first, met, hi=until) - 1

    def _day_after(self, step: int) -> int:
        """Return where a span that begins with `step` has to end: with the day that is watched. The first step of a day is a
        span of its own, for only then is it known what the day began with."""
        watch = self._journal.noted
        if watch is None:
            return self._last
        if self._day[0] != watch.day_ends:
            self._day = watch.day_ends, min(bisect_left(self._ms, to_ms(watch.day_ends)), self._last)
        return max(step + 1, self._day[1])

    def _equity(self, start: int, stop: int, held: Sequence[PositionRecord]) -> Floats:
        """Return the equity at the steps [start, stop), as near as floats come to it; of an account that holds nothing, that
        of the first, for it stays as it is."""
        import numpy as np

        wallet = float(self._exchange.wallet)
        if not held:
            return np.array((wallet,))
        first, *others = held
        equity: Floats = self._tapes[first.symbol].mark[start:stop] * float(first.quantity)
        equity += wallet - float(first.cost)
        for each in others:
            equity += self._tapes[each.symbol].mark[start:stop] * float(each.quantity) - float(each.cost)
        return equity

    def _extremes(self, start: int, stop: int, held: Sequence[PositionRecord]) -> tuple[float, float]:
        """Return the lowest and the highest of `_equity`, to the last bit."""
        if len(held) != 1:
            equity = self._equity(start, stop, held)
            return float(equity.min()), float(equity.max())
        only = held[0]
        quantity, rest = float(only.quantity), float(self._exchange.wallet) - float(only.cost)
        # Neither a product nor a sum turns round what is larger when it is rounded.
        low, high = self._tapes[only.symbol].extremes(start, stop)
        one, other = low * quantity + rest, high * quantity + rest
        return (one, other) if one <= other else (other, one)

    def _lost(self, start: int, stop: int, held: Sequence[PositionRecord], lowest: float, highest: float) -> int | None:
        """Return the first step of [start, stop) at which a loss limit may be reached, None where none can be.

        `lowest` and `highest` are the equity's between them.
        """
        watch, at = self._journal.noted, self._moments[start]
        if watch is None:
            return None
        locks = self._journal.locks
        locked = frozenset([lock.kind for lock in locks if lock.holds(at)]) if locks else NOTHING
        if self._limits.flatten_on_loss and held and not locked.isdisjoint((DAY, DRAWDOWN, FLOOR)):
            return start  # they are to be closed
        if at >= watch.day_ends:
            watch, locked = day_anew(self._journal.watched or watch), locked - {DAY}
        if min(watch.day_equity, watch.equity) < 2 * EMPTY or not watch.unit:
            return start
        levels = self._levels(watch, locked)
        if lowest * (1.0 - NEAR) > levels.highest(highest):
            return None
        return self._first_below(start, self._equity(start, stop, held), levels)

    def _levels(self, watch: Watch, locked: Set[str]) -> Levels:
        """Return the levels of a watch. They stay as they are for a day, or until there is a new high."""
        told = watch.day_equity, watch.transfers, watch.day_transfers, watch.peak, watch.units, locked
        if watch.units is None or told != self._told:
            self._told, self._of_told = told, self._levels_of(watch, locked)
        return self._of_told

    def _levels_of(self, watch: Watch, locked: Set[str]) -> Levels:
        limits, none = self._limits, 2.0 * float(EMPTY)
        day = none if DAY in locked else float(watch.day_equity * self._kept_of_day + watch.day_moved)
        floor = none if FLOOR in locked or limits.equity_floor is None else float(limits.equity_floor)
        kept = 0.0 if DRAWDOWN in locked else self._kept_of_peak
        return Levels(max(day, floor, none), _highest(watch), kept)

    def _first_below(self, start: int, equity: Floats, levels: Levels) -> int | None:
        import numpy as np

        worst, highest = equity * (1.0 - NEAR), np.maximum.accumulate(equity).clip(levels.peak)
        reached = (worst <= levels.fixed) | (worst <= highest * levels.kept)
        place = int(reached.argmax())
        return start + place if reached[place] else None

    def _pass(self, span: Span, highest: float) -> None:
        """Keep the equity of the steps of a span, and watch losses at those of them that make a difference.

        `highest` is the equity's in the span, or above it.
        """
        self._journal.series.passed(span)
        telling = self._telling(span, highest)
        if telling is None:
            last = span.stop - 1
            self._journal.watch_later(lambda: span.wallet + span.unrealised(last, self._mark), self._moments[last])
            return
        for step in telling:
            self._journal.watch_on(span.wallet + span.unrealised(step, self._mark), self._moments[step])

    def _telling(self, span: Span, highest: float) -> list[int] | None:
        """Return the steps that a watch has to know of: those that may be a new high, and the last; None for nothing but
        the last, which is none. Of an account that holds nothing the first as well: the equity that it has kept since then
        is what a new day begins with."""
        watch, last = self._journal.noted, span.stop - 1
        if not span.held or watch is None or not watch.unit:
            return [span.start, last] if span.start < last else [last]
        peak = self._levels(watch, NOTHING).peak
        if highest * (1.0 - NEAR) < peak * (1.0 - 2.0 * NEAR):
            return None
        equity = self._equity(span.start, span.stop, span.held)
        highest = float(equity.max()) * (1.0 - NEAR)
        if highest < peak * (1.0 - 2.0 * NEAR):
            return None
        return sorted({*(span.start + (equity >= highest).nonzero()[0]).tolist(), last})

    def catch_up(self, step: int) -> None:
        """Show the exchange the prices of the moment at which a step begins: nothing was met on the way there."""
        for symbol, tape in self._tapes.items():
            if self._exchange.needs(symbol) and tape.newest[step] >= 0:
                at = self._moments[step] if step < self._last else from_ms(self._ms[step])
                quote = self._market.quote(symbol, at=at)
                self._exchange.close(symbol, last=quote.last, mark=quote.mark)

    def _mark(self, symbol: str, step: int) -> Decimal:
        return decimal_of(self._tapes[symbol].mark_at(step))


def _highest(watch: Watch) -> float:
    """Return the equity at which a unit has its highest value so far."""
    return float(watch.peak * (watch.equity / watch.unit if watch.units is None else watch.units))


def due_of(foresight: Foresighted, bot: BotView, market: RecordedMarket, edges: NDArray[np.int64]) -> dict[str, Due]:
    """Return at which steps rules could act, as they declare it, by symbol. `edges` are those of the plan."""
    whole = WholeMarket(market.frame, edges[:-1])
    acts = {symbol: foresight.acts(bot, symbol, whole) for symbol in bot.symbols}
    return {
        symbol: Due(*(mask.nonzero()[0].tolist() for mask in (each.flat, each.long, each.short)))
        for symbol, each in acts.items()
    }
