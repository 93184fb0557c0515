"""rules/cross: a fast average crosses a slow one, and the RSI agrees. Both sides; the opposite cross closes.

Entry       EMA(fast) crosses above (below) EMA(slow) with the RSI above (below) its level.
Stop        `stop` of the price away; target `target` of it.
Exit early  at the cross against the position, whatever the RSI; with the RSI the other side is opened at once.
Size        `stake` quote units, whatever the equity.

The oldest of all trading rules, with every number open to a search: what a search finds is judged by how often it tried.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from math import isfinite
from typing import TYPE_CHECKING, Final

from decisions.domain.foresight import Acts, Whole
from decisions.domain.parameters import searched
from decisions.domain.proposal import Action, Proposal, Side
from decisions.domain.question import BotView, Question
from marketdata.domain.snapshot import SymbolView
from vibex.lib.errors import Rejected

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEVERAGE: Final = 3
CONFIDENCE: Final = 0.6
"""It is no probability: rules are as sure as they were written."""
PLACES: Final = Decimal("0.0001")
ONE: Final = Decimal(1)


@dataclass(frozen=True, slots=True)
class Cross:
    """The rules with their numbers."""

    fast: int = field(default=12, metadata=searched(4, 40))
    slow: int = field(default=26, metadata=searched(10, 120))
    rsi: int = field(default=14, metadata=searched(5, 30))
    level: float = field(default=50.0, metadata=searched(40.0, 60.0))
    """RSI above which longs are opened; shorts below 100 minus it."""
    stop: Decimal = field(default=Decimal("0.02"), metadata=searched("0.005", "0.05"))
    target: Decimal = field(default=Decimal("0.04"), metadata=searched("0.01", "0.10"))
    stake: Decimal = Decimal(10_000)

    def __post_init__(self) -> None:
        if self.fast >= self.slow:
            raise Rejected(f"fast={self.fast} has to be shorter than slow={self.slow}.", code="parameter")

    def decide(self, question: Question) -> tuple[Proposal, ...]:
        """Return closes and entries of the symbols on which the averages have just crossed."""
        wishes = list[Proposal]()
        for symbol in question.bot.symbols:
            self._wish(symbol, question, wishes)
        return tuple(wishes)

    def acts(self, bot: BotView, symbol: str, whole: Whole) -> Acts:
        """Return when these rules could ask for something on a symbol: at crosses, which candles alone decide."""
        fast, slow, rsi = (whole.values(symbol, bot.interval, name) for name in self._names)
        before = [whole.values(symbol, bot.interval, name, back=2) for name in self._names[:2]]
        up, down = _crossed(before[0], before[1], fast, slow)
        return Acts(flat=(up & (rsi > self.level)) | (down & (rsi < 100 - self.level)), long=down, short=up)

    @property
    def _names(self) -> tuple[str, str, str]:
        return _named(self.fast, self.slow, self.rsi)

    def _wish(self, symbol: str, question: Question, wishes: list[Proposal]) -> None:
        """Add what is asked for on a symbol."""
        view = question.snapshot.symbols.get(symbol)
        if view is None or view.problem or (newest := self._newest(view, question.bot.interval)) is None:
            return
        before_fast, before_slow, fast, slow, rsi = newest
        if (fast > slow) == (before_fast > before_slow):
            return
        side = Side.LONG if fast > slow else Side.SHORT
        held = question.portfolio.position(symbol)
        why = f"EMA{self.fast} {fast:.6g} crossed EMA{self.slow} {slow:.6g} to the {side} side, RSI{self.rsi} {rsi:.0f}"
        if held is not None and held.side is side:
            return
        if held is not None:
            wishes.append(Proposal(symbol, Action.CLOSE, justification=why))
        if side.sign * (rsi - 50.0) > self.level - 50.0:
            wishes.append(self._entry(view, side, why))

    def _newest(self, view: SymbolView, interval: str) -> tuple[float, ...] | None:
        """Return the averages one candle ago and now, and the RSI; None while one of them is not known."""
        frame = view.timeframes.get(interval)
        if frame is None or len(frame.candles) < 2:
            return None
        indicators, (fast, slow, rsi) = frame.indicators, self._names
        before_fast, now_fast = indicators[fast][-2:].tolist()
        before_slow, now_slow = indicators[slow][-2:].tolist()
        values = before_fast, before_slow, now_fast, now_slow, indicators[rsi][-1].item()
        return values if all(map(isfinite, values)) else None

    def _entry(self, view: SymbolView, side: Side, why: str) -> Proposal:
        rules, long = view.instrument, side is Side.LONG
        touch = view.quote.ask if long else view.quote.bid
        down, up = rules.price_down, rules.price_up
        stop = (down if long else up)(touch * (ONE - self.stop * side.factor))
        target = (up if long else down)(touch * (ONE + self.target * side.factor))
        quantity = rules.quantity_down(self.stake / touch)
        action, risk = Action.BUY if long else Action.SELL, (quantity * abs(touch - stop)).quantize(PLACES)
        leverage = min(LEVERAGE, rules.max_leverage)
        void = f"EMA{self.fast} crosses EMA{self.slow} against the {side}"
        return Proposal(view.symbol, action, quantity, leverage, stop, target, risk, CONFIDENCE, void, why)


@lru_cache(maxsize=64)
def _named(fast: int, slow: int, rsi: int) -> tuple[str, str, str]:
    return f"ema{fast}", f"ema{slow}", f"rsi{rsi}"


def _crossed(
    before_fast: NDArray[np.float64],
    before_slow: NDArray[np.float64],
    fast: NDArray[np.float64],
    slow: NDArray[np.float64],
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return where the fast one has come above the slow one, and where below. NaN crosses nothing."""
    known = (before_fast == before_fast) & (before_slow == before_slow) & (slow == slow) & (fast == fast)
    above, was = fast > slow, before_fast > before_slow
    return known & above & ~was, known & ~above & was
