"""Figures of closed trades. Money stays Decimal, shares are floats. Pure.

A trade won when it brought more than its fees and funding, the same as everywhere else. What a model cost is kept beside it:
it is paid in another currency, and not by the exchange.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import nan
from statistics import median
from typing import Final

import numpy as np
from numpy.typing import ArrayLike

from decisions.domain.shares import Share
from trading.domain.calibration import Calibration, calibration_of
from trading.domain.performance import ratio
from trading.domain.ratios import series

ZERO: Final = Decimal(0)


@dataclass(frozen=True, slots=True)
class ClosedTrade:
    """A position from its opening to its end. Times are aware, amounts in the quote asset."""

    symbol: str
    side: str
    opened_at: datetime
    closed_at: datetime
    entry_value: Decimal
    """Quantity × price of all that was opened."""
    exit_value: Decimal
    realised: Decimal
    """Before fees and funding."""
    fees: Decimal = ZERO
    """Paid: positive."""
    funding: Decimal = ZERO
    """Received: positive."""
    cost: Decimal = ZERO
    """What the models cost that decided it, in US dollars."""
    model: str = ""
    exit_reason: str = ""
    """Stop, target, close, liquidation …"""
    signal: str = ""
    """What spoke for it, or the action that was decided."""
    confidence: float | None = None
    """As stated when it was opened, from 0 to 1."""

    @property
    def net(self) -> Decimal:
        """Result after fees and funding."""
        return self.realised - self.fees + self.funding

    @property
    def net_after_cost(self) -> Decimal:
        return self.net - self.cost

    @property
    def won(self) -> bool:
        return self.net > 0

    @property
    def held(self) -> timedelta:
        return self.closed_at - self.opened_at


@dataclass(frozen=True, slots=True)
class TradeFigures:
    """What trades came to. None is what nothing was divided by."""

    hits: Share
    """How many won of how many, with the Wilson interval."""
    net: Decimal
    gain: Decimal
    """Net results of those that won, together."""
    loss: Decimal
    """Net results of those that lost, together: 0 or below."""
    lost: int
    gross_profit: Decimal
    """What trades brought before fees and funding, of those that brought something."""
    fees: Decimal
    funding: Decimal
    traded: Decimal
    """Value of all that was opened and closed."""
    losing_streak: int
    """Most losses one after the other, in the order of closing."""
    held_mean: timedelta | None
    held_median: timedelta | None
    calibration: Calibration
    """Stated confidence beside what came of it, with the Brier score."""

    @property
    def count(self) -> int:
        return self.hits.whole

    @property
    def profit_factor(self) -> float | None:
        """Gains ÷ losses, both net."""
        return ratio(self.gain, -self.loss)

    @property
    def expectancy(self) -> Decimal | None:
        """Net result of a trade on average."""
        return self.net / self.count if self.count else None

    @property
    def average_win(self) -> Decimal | None:
        return self.gain / self.hits.part if self.hits.part else None

    @property
    def average_loss(self) -> Decimal | None:
        """Of those that lost: below 0."""
        return self.loss / self.lost if self.lost else None

    @property
    def expectancy_ratio(self) -> float | None:
        """Expectancy ÷ average loss: what is won for each unit that is lost when a trade loses (V. K. Tharp, 1998)."""
        expected, loss = self.expectancy, self.average_loss
        return None if expected is None or loss is None else float(expected / -loss)

    @property
    def fees_share(self) -> float | None:
        """Fees ÷ gross profit."""
        return ratio(self.fees, self.gross_profit)

    @property
    def funding_share(self) -> float | None:
        """Funding paid ÷ gross profit; below 0 where more was received."""
        return ratio(-self.funding, self.gross_profit)


def figures_of(trades: Iterable[ClosedTrade]) -> TradeFigures:
    """Return what trades came to. One that brought exactly nothing neither won nor lost."""
    known = sorted(trades, key=lambda trade: trade.closed_at)
    nets = [trade.net for trade in known]
    held = [trade.held for trade in known]
    losses = [net for net in nets if net < 0]
    return TradeFigures(
        hits=Share(sum(net > 0 for net in nets), len(nets)),
        net=sum(nets, ZERO),
        gain=sum((net for net in nets if net > 0), ZERO),
        loss=sum(losses, ZERO),
        lost=len(losses),
        gross_profit=sum((trade.realised for trade in known if trade.realised > 0), ZERO),
        fees=sum((trade.fees for trade in known), ZERO),
        funding=sum((trade.funding for trade in known), ZERO),
        traded=sum((trade.entry_value + trade.exit_value for trade in known), ZERO),
        losing_streak=_streak(nets),
        held_mean=sum(held, timedelta()) / len(held) if held else None,
        held_median=timedelta(seconds=median(map(timedelta.total_seconds, held))) if held else None,
        calibration=calibration_of((trade.confidence, trade.won) for trade in known if trade.confidence is not None),
    )


def turnover(traded: Decimal, equity: ArrayLike) -> float:
    """Return value traded, both ways, ÷ mean equity: how often the money was turned over. NaN without equity."""
    values = series(equity)
    mean = float(values.mean()) if values.size else 0.0
    return float(traded) / mean if mean > 0 else nan


def exposure(notional: ArrayLike, equity: ArrayLike) -> float:
    """Return the mean of |notional| ÷ equity over the points at which there is equity; 1 is all of it once. NaN without.

    Raises ValueError for series of different lengths.
    """
    held, values = series(notional), series(equity)
    if held.size != values.size:
        raise ValueError(f"Notional has {held.size} points, equity {values.size}: they have to be the same.")
    there = values > 0
    return float((np.abs(held[there]) / values[there]).mean()) if there.any() else nan


def time_in_market(trades: Iterable[ClosedTrade], since: datetime, until: datetime) -> float:
    """Return the share of a span in which at least one trade was open, 0 to 1. Raises ValueError for an empty span."""
    if until <= since:
        raise ValueError("A span ends after it begins.")
    covered, end = timedelta(), since
    for trade in sorted(trades, key=lambda trade: trade.opened_at):
        begin, close = max(trade.opened_at, end), min(trade.closed_at, until)
        if close > begin:
            covered, end = covered + (close - begin), close
    return covered / (until - since)


def _streak(nets: Sequence[Decimal]) -> int:
    longest = current = 0
    for net in nets:
        current = current + 1 if net < 0 else 0
        longest = max(longest, current)
    return longest
