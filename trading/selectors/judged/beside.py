"""A subject beside baselines over the same days, on the stored candles of its market."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isfinite, nan
from typing import Final

import numpy as np

from marketdata.domain.intervals import INTERVAL_MS
from marketdata.models import Candle, Instrument
from trading.domain import baselines
from trading.domain.bootstrap import Spread, paired_difference, return_of_rows
from trading.domain.drawdowns import max_fall
from trading.domain.performance import ENOUGH
from trading.domain.ratios import Array, returns_of, sharpe_ratio
from trading.domain.regimes import BEFORE
from trading.selectors.judged.closed import A_DAY as DAY
from trading.selectors.judged.closed import Opened, kept_in, opened_in
from trading.selectors.judged.lived import Lived
from trading.selectors.judged.subject import Subject

EARLIER: Final = max(baselines.LOOK_BACK, BEFORE) + 1
"""Days before the span of which closes are read: what momentum and regimes look back on."""
A_DAY: Final = timedelta(days=1)
FEE: Final = 0.0004
"""Share of the value, where the contract of a symbol is not stored."""
HOW: Final = (
    "Computed on the market's stored candles at the end of each day, at the taker fee of each contract, without slippage and "
    "funding: the days were lived, and no engine ran the baselines beside them. In a backtest they run through the engine."
)
WORDS: Final = {
    "cash": "nothing is ever opened; cash earns nothing",
    "hold": "the decider replaced by hold: nothing new is opened, and what was open when the span began is kept, without its "
    "stops, since a close does not tell whether they were touched",
    "buy and hold": "the first symbol, 99 % of equity, bought once",
    "equal weight": "99 % of equity in equal shares of all symbols, bought once",
    "momentum": f"each symbol an equal share, long after a rise over {baselines.LOOK_BACK} days, short after a fall",
    "random": "the same positions at random times, of each symbol as many, as long, as large and as many of them long, with "
    f"the fees of the same turnover; the middle one of {baselines.SEEDS} draws",
}


@dataclass(frozen=True, slots=True)
class Beside:
    """A baseline. Shares are fractions; `over` is by how much the subject brought more, None below ENOUGH days."""

    name: str
    words: str
    curve: Array
    returned: float
    sharpe: float | None
    drawdown: float
    over: Spread | None

    @property
    def verdict(self) -> str:
        """Whether the days tell the two apart."""
        if self.over is None:
            return "too few days"
        if not self.over.tells:
            return "not told apart"
        return "more than it" if self.over.low > 0 else "less than it"


@dataclass(frozen=True, slots=True)
class Market:
    """Closes of the market of a subject at the points of its days."""

    closes: baselines.Closes
    days: tuple[date, ...]
    """Which day ends at each point."""
    absent: tuple[str, ...]
    """Symbols of which no close is known when the span begins."""

    @property
    def known(self) -> bool:
        """Whether any close lies within the span."""
        return bool((~np.isnan(self.closes.prices[self.closes.start :])).any())

    def daily(self) -> list[tuple[date, float]]:
        """Return the closes of the first symbol, one for each day from the first known one on, gaps filled with the last."""
        found: list[tuple[date, float]] = []
        for day, close in zip(self.days, baselines.filled(self.closes.prices)[:, 0].tolist(), strict=True):
            if close != close:  # NaN: none is known yet
                continue
            while found and day - found[-1][0] > A_DAY:
                found.append((found[-1][0] + A_DAY, found[-1][1]))
            found.append((day, close))
        return found


@dataclass(frozen=True, slots=True)
class BesideAll:
    """A subject beside all baselines."""

    rows: tuple[Beside, ...]
    fan: Array
    """Curves of the random draws, one row for each seed."""
    above: float
    """Share of the random draws that the subject brought more than."""
    market: Market


def beside_of(subject: Subject, lived: Lived) -> BesideAll | None:
    """Return a subject beside its baselines; None where no day is over, or no close is stored. Four queries."""
    market = market_of(subject, lived)
    if market is None or not market.known:
        return None
    fan = fan_of(lived, market, opened_in(subject, lived))
    curves = curves_of(lived, market, kept_in(subject, lived)) | {"random": baselines.middle_of(fan)}
    rows = tuple(_row(name, curve, lived.returns) for name, curve in curves.items())
    return BesideAll(rows, fan, float((fan[:, -1] < lived.unit[-1]).mean()), market)


def curves_of(lived: Lived, market: Market, kept: Mapping[str, float]) -> dict[str, Array]:
    """Return the curves of all baselines but the random ones. `kept` is what was open when the days began, by symbol."""
    closes = market.closes
    quantities = [kept.get(symbol, 0.0) for symbol in closes.symbols]
    return {
        "cash": baselines.cash(len(lived.days)),
        "hold": baselines.held_on(closes, quantities, float(lived.worth[0])),
        "buy and hold": baselines.buy_and_hold(closes),
        "equal weight": baselines.equal_weight(closes),
        "momentum": baselines.momentum(closes),
    }


def fan_of(lived: Lived, market: Market, opened: Sequence[Opened]) -> Array:
    """Return the curves of the same positions at random times, one row for each seed."""
    return baselines.at_random(market.closes, _blocks(lived, opened, market.closes.symbols))


def market_of(subject: Subject, lived: Lived) -> Market | None:
    """Return the closes of the symbols of a subject at the end of each day, and of some days before. Two queries.

    None where no day is over, or no symbol is known.
    """
    symbols = subject.symbols
    if not symbols or not lived.days:
        return None
    before = [lived.days[0] - A_DAY * back for back in range(EARLIER, 0, -1)]
    moments = [*(subject.zones.begin(day) for day in before), *lived.moments]
    prices, venue = _closes(subject, symbols, moments), subject.account.market
    fees = dict(Instrument.objects.filter(venue=venue, symbol__in=symbols).values_list("symbol", "taker_fee"))
    found = np.array([float(fees.get(symbol, FEE)) for symbol in symbols])
    closes = baselines.Closes(symbols, prices, found, start=len(before))
    absent = tuple(symbol for symbol, price in zip(symbols, closes.within[0], strict=True) if np.isnan(price))
    ends = (*(day - A_DAY for day in before), lived.days[0] - A_DAY, *lived.days)
    return Market(closes, ends, absent)


def _closes(subject: Subject, symbols: Sequence[str], moments: Sequence[datetime]) -> Array:
    """Return the close of the last candle that was over at each moment: rows by moment, columns by symbol."""
    interval = subject.feed.interval if subject.feed else "1m"
    length = timedelta(milliseconds=INTERVAL_MS[interval])
    opens = [_floor(moment, length) - length for moment in moments]
    rows = Candle.objects.filter(
        venue=subject.account.market, symbol__in=symbols, interval=interval, open_time__in=opens
    )
    found = {(symbol, at): close for symbol, at, close in rows.values_list("symbol", "open_time", "close")}
    return np.array([[found.get((symbol, at), nan) for symbol in symbols] for at in opens], np.float64)


def _floor(moment: datetime, length: timedelta) -> datetime:
    seconds = length.total_seconds()
    return datetime.fromtimestamp(moment.timestamp() // seconds * seconds, UTC)


def _blocks(lived: Lived, opened: Sequence[Opened], symbols: Sequence[str]) -> baselines.Blocks:
    """Return the positions in these symbols as what is drawn at random."""
    columns = {symbol: place for place, symbol in enumerate(symbols)}
    known = [each for each in opened if each.symbol in columns]
    begins = np.array([moment.timestamp() for moment in lived.moments])
    at = begins[0] + 86_400.0 * np.array([each.place for each in known])
    worth = lived.worth[np.clip(np.searchsorted(begins, at, side="right") - 1, 0, len(lived.days) - 1)]
    own = np.array([each.own > 0 for each in known], np.bool_)
    days = np.array([each.lasted for each in known], np.float64) / DAY
    squares = np.array([each.squares for each in known], np.float64) / DAY
    return baselines.Blocks(
        symbol=np.array([columns[each.symbol] for each in known], np.int64),
        length=np.where(own, np.maximum(days.round(), 1), 1).astype(np.int64),
        weight=np.sqrt(squares / np.where(own, days, 1)) / worth,
        drift=np.array([each.drift for each in known], np.float64) / DAY / worth,
        traded=np.array([each.traded for each in known], np.float64) / worth,
        long=np.array([each.longs / each.many for each in known], np.float64),
    )


def _row(name: str, curve: Array, ours: Array) -> Beside:
    returns = returns_of(curve)
    enough = len(returns) >= ENOUGH
    annual = sharpe_ratio(returns) if enough else nan
    return Beside(
        name, WORDS[name], curve, float(curve[-1]) - 1, annual if isfinite(annual) else None, max_fall(curve),
        paired_difference(ours, returns, return_of_rows) if enough else None,
    )  # fmt: skip
