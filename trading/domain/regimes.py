"""What kind of market a day was in, known before it began, and what was earned in each kind. Pure.

The rule: the log return of a market over the 20 days before, divided by what those days would vary over 20 days if they were
independent (standard deviation × √20). At most half of that either way is sideways, above is up, below is down. Dividing a
trend by its volatility is as in time series momentum (T. J. Moskowitz, Y. H. Ooi and L. H. Pedersen, 2012); a half because a
market without any trend is then in each of the three about equally often (38 % sideways, 31 % up, 31 % down by the normal
distribution), so that a label is neither rare nor the rule. The day itself is not looked at: a label that knew it would sort
good days from bad ones and call that a finding.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from itertools import pairwise
from math import isfinite, sqrt
from typing import Final

import numpy as np

from decisions.domain.shares import Share
from trading.domain.drawdowns import max_fall
from trading.domain.performance import ENOUGH, PER_YEAR
from trading.domain.ratios import STILL, series, sharpe_ratio, total_return, wealth

BEFORE: Final = 20
"""Days that are looked at, without the day that is labelled."""
WIDTH: Final = 0.5
"""Deviations of a return over as many days, up to which it is no trend."""
A_DAY: Final = timedelta(days=1)
RULE: Final = (
    f"By the market's log return over the {BEFORE} days before: within ± {WIDTH:g} × its own deviation over as many days "
    "it is sideways, above it is up, below it is down."
)


class Regime(StrEnum):
    UP = "up"
    DOWN = "down"
    SIDEWAYS = "sideways"
    UNKNOWN = "unknown"
    """Too few days are known before it."""


@dataclass(frozen=True, slots=True)
class OfRegime:
    """What was earned on the days of one regime, one after the other as if there were no others."""

    regime: Regime
    days: int
    returned: float
    """Compounded."""
    sharpe: float | None
    """Of a year; None below ENOUGH days, or where nothing moved."""
    drawdown: float
    """Deepest fall, 0 to 1."""
    hits: Share
    """Trades that won, of those that were opened on these days."""


def regimes(closes: Sequence[tuple[date, float]], *, before: int = BEFORE, width: float = WIDTH) -> dict[date, Regime]:
    """Return the regime of each day, and of the day after the last one, by daily closes of a market.

    Days follow one another without a gap and closes are above 0; raises ValueError otherwise.
    """
    days = [day for day, _ in closes]
    if any(later - earlier != A_DAY for earlier, later in pairwise(days)):
        raise ValueError("Days of a regime follow one another without a gap: fill in what is missing.")
    prices = series([close for _, close in closes])
    if prices.size and prices.min() <= 0:
        raise ValueError("A close is above 0.")
    if before < 2 or width < 0:
        raise ValueError("A regime is told by two days at least, and by a width of 0 or more.")
    if not days:
        return {}
    told = [Regime.UNKNOWN] * min(before + 1, len(days) + 1)
    if len(days) > before:
        moves = np.diff(np.log(prices))
        windows = np.lib.stride_tricks.sliding_window_view(moves, before)
        trend, deviation = windows.sum(axis=1), windows.std(axis=1, ddof=1) * sqrt(before)
        reach = width * deviation + STILL
        told += [_of(above, within) for above, within in zip(trend.tolist(), reach.tolist(), strict=True)]
    return dict(zip([*days, days[-1] + A_DAY], told, strict=True))


def by_regime(
    returns: Iterable[tuple[date, float]],
    labels: Mapping[date, Regime],
    trades: Iterable[tuple[date, bool]] = (),
) -> list[OfRegime]:
    """Return what was earned in each regime that occurred: up, down, sideways, then what is not known.

    `returns` are of days, `trades` the day on which one was opened and whether it won.
    """
    earned: defaultdict[Regime, list[float]] = defaultdict(list)
    for day, returned in sorted(returns):
        earned[labels.get(day, Regime.UNKNOWN)].append(returned)
    won: defaultdict[Regime, list[bool]] = defaultdict(list)
    for day, good in trades:
        won[labels.get(day, Regime.UNKNOWN)].append(good)
    return [_row(regime, earned[regime], won[regime]) for regime in Regime if earned[regime] or won[regime]]


def _of(trend: float, reach: float) -> Regime:
    if abs(trend) <= reach:
        return Regime.SIDEWAYS
    return Regime.UP if trend > 0 else Regime.DOWN


def _row(regime: Regime, returns: list[float], won: list[bool]) -> OfRegime:
    annual = sharpe_ratio(returns, periods_per_year=PER_YEAR)
    return OfRegime(
        regime,
        len(returns),
        total_return(returns) if returns else 0.0,
        annual if len(returns) >= ENOUGH and isfinite(annual) else None,
        max_fall(wealth(returns)),
        Share(sum(won), len(won)),
    )
