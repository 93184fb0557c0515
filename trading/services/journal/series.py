"""Equity over the moments of a backtest. What was passed over is kept as spans and worked out when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from trading.domain.matching.types import PositionRecord
from trading.domain.venue import ZERO, AccountState
from vibex.lib.records import record

type MarkAt = Callable[[str, int], Decimal]
"""Return the mark price of a symbol at a step."""


class Point(NamedTuple):
    """What an account had at a moment."""

    at: datetime
    wallet: Decimal
    unrealised: Decimal

    @property
    def equity(self) -> Decimal:
        return self.wallet + self.unrealised


@record()
class Span:
    """Steps [start, stop) in which nothing happened but that prices moved: wallet and positions stayed as they were."""

    start: int
    stop: int
    wallet: Decimal
    held: tuple[PositionRecord, ...]

    def unrealised(self, step: int, mark: MarkAt) -> Decimal:
        """Return the unrealised result at a step, exactly as the venue counts it."""
        total = ZERO
        for position in self.held:
            total += position.unrealised(mark(position.symbol, step))
        return total


@dataclass(slots=True)
class Equity:
    """Points in the order of time."""

    moments: Sequence[datetime] = ()
    """When each step begins: what spans count in."""
    mark: MarkAt | None = None
    _kept: list[Point | Span] = field(default_factory=list)
    _points: list[Point] | None = None

    def add(self, state: AccountState) -> None:
        """Add a statement; one of the same moment takes the place of the one before."""
        if self._kept and isinstance(last := self._kept[-1], Point) and last.at == state.at:
            self._kept.pop()
        self._kept.append(Point(state.at, state.wallet, state.unrealised))
        self._points = None

    def passed(self, span: Span) -> None:
        """Add what was passed over."""
        self._kept.append(span)
        self._points = None

    def points(self) -> list[Point]:
        """Return all points, those that were passed over as well."""
        if self._points is None:
            points: list[Point] = []
            for kept in self._kept:
                if isinstance(kept, Point):
                    points.append(kept)
                else:
                    points.extend(self._of(kept))
            self._points = points
        return self._points

    def settle(self) -> None:
        """Work everything out that was passed over, and let the prices go: for what is sent to another process."""
        self._kept, self.mark, self.moments = list(self.points()), None, ()

    def _of(self, span: Span) -> list[Point]:
        mark, wallet = self.mark, span.wallet
        if mark is None:
            raise ValueError("spans were passed over, and nobody knows the prices")
        steps, moments = range(span.start, span.stop), self.moments[span.start : span.stop]
        if not span.held:
            return [Point(at, wallet, ZERO) for at in moments]
        if len(span.held) == 1:
            position, symbol = span.held[0], span.held[0].symbol
            return [
                Point(at, wallet, position.unrealised(mark(symbol, step)))
                for step, at in zip(steps, moments, strict=True)
            ]
        return [Point(at, wallet, span.unrealised(step, mark)) for step, at in zip(steps, moments, strict=True)]
