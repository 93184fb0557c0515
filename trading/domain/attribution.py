"""Where a result came from: closed trades by one of their properties, each group with all that makes up its net. Pure.

Groups are disjoint and every trade is in one of them, so that each column adds up to the total to the last digit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from decisions.domain.shares import Share
from trading.domain.performance import ratio
from trading.domain.trades import ZERO, ClosedTrade

UNKNOWN: Final = "not stated"
HELD: Final = (
    (timedelta(minutes=15), "under 15 min"),
    (timedelta(hours=1), "15 min to 1 h"),
    (timedelta(hours=4), "1 h to 4 h"),
    (timedelta(hours=12), "4 h to 12 h"),
    (timedelta(days=1), "12 h to 1 d"),
    (timedelta(days=3), "1 d to 3 d"),
    (timedelta(days=7), "3 d to 7 d"),
)
"""Upper ends of how long a trade was held, which are not in the bucket themselves."""
LONGEST: Final = "7 d and more"


class By(StrEnum):
    """What trades are grouped by."""

    SYMBOL = "symbol"
    SIDE = "side"
    HOUR = "hour"
    HELD = "held"
    SIGNAL = "signal"
    MODEL = "model"
    EXIT = "exit"


@dataclass(frozen=True, slots=True)
class Line:
    """One group. Money in the quote asset, `cost` in US dollars."""

    key: str
    hits: Share
    gross: Decimal
    """Realised, before fees and funding."""
    fees: Decimal
    """Paid: positive."""
    funding: Decimal
    """Received: positive."""
    cost: Decimal
    share: float | None = None
    """Of the total's net after cost: negative where they have different signs, None where that is nothing."""

    @property
    def count(self) -> int:
        return self.hits.whole

    @property
    def net(self) -> Decimal:
        return self.gross - self.fees + self.funding

    @property
    def net_after_cost(self) -> Decimal:
        return self.net - self.cost


@dataclass(frozen=True, slots=True)
class Attribution:
    """A result by one property. Hours and holding times are in their own order, everything else the best first."""

    by: By
    lines: tuple[Line, ...]
    total: Line


def attribution(trades: Iterable[ClosedTrade], by: By) -> Attribution:
    """Return the trades by one of their properties."""
    known = list(trades)
    groups: defaultdict[str, list[ClosedTrade]] = defaultdict(list)
    for trade in known:
        groups[KEYS[by](trade) or UNKNOWN].append(trade)
    total = _line("total", known, None)
    lines = [_line(key, group, total) for key, group in groups.items()]
    order = ORDERS.get(by)
    lines.sort(key=lambda line: (order.index(line.key) if order else -line.net_after_cost, line.key))
    return Attribution(by, tuple(lines), total)


def attributions(trades: Iterable[ClosedTrade]) -> Mapping[By, Attribution]:
    """Return the trades by each of their properties."""
    known = list(trades)
    return {by: attribution(known, by) for by in By}


def held_bucket(held: timedelta) -> str:
    """Return the name of the bucket of a holding time."""
    return next((name for end, name in HELD if held < end), LONGEST)


def _hour(trade: ClosedTrade) -> str:
    return f"{trade.opened_at.astimezone(UTC).hour:02}"


KEYS: Final[Mapping[By, Callable[[ClosedTrade], str]]] = {
    By.SYMBOL: lambda trade: trade.symbol,
    By.SIDE: lambda trade: trade.side,
    By.HOUR: _hour,
    By.HELD: lambda trade: held_bucket(trade.held),
    By.SIGNAL: lambda trade: trade.signal,
    By.MODEL: lambda trade: trade.model,
    By.EXIT: lambda trade: trade.exit_reason,
}
"""The hour is that of opening, in UTC."""
ORDERS: Final[Mapping[By, Sequence[str]]] = {
    By.HOUR: [f"{hour:02}" for hour in range(24)],
    By.HELD: [*(name for _, name in HELD), LONGEST],
}


def _line(key: str, trades: Sequence[ClosedTrade], total: Line | None) -> Line:
    hits = Share(sum(trade.won for trade in trades), len(trades))
    after_cost = sum((trade.net_after_cost for trade in trades), ZERO)
    return Line(
        key,
        hits,
        gross=sum((trade.realised for trade in trades), ZERO),
        fees=sum((trade.fees for trade in trades), ZERO),
        funding=sum((trade.funding for trade in trades), ZERO),
        cost=sum((trade.cost for trade in trades), ZERO),
        share=ratio(after_cost, after_cost if total is None else total.net_after_cost),
    )
