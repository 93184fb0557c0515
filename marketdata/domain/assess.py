"""Whether what is known of a symbol is good enough to open a position on. The same for live, paper and backtest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.snapshot import Quote, SymbolView, Timeframe

MIN_CANDLES: Final = 15
"""A timeframe with fewer closed candles has no ATR14: no stop could be measured."""
WATCHED_BARS: Final = 3
"""A hole in the last so many base candles makes a symbol hold."""
MAX_MARK_DISTANCE: Final = Decimal("0.01")
"""|last − mark| ÷ mark above which one of the two is wrong."""
WALL_SECONDS_QUOTE: Final = 30.0
WALL_SECONDS_CANDLE: Final = 10.0


def quote_age_limit(speed: float) -> timedelta:
    """Return the market time after which a price is stale: 30 wall seconds at `speed`, never below 30 s."""
    return timedelta(seconds=WALL_SECONDS_QUOTE * max(1.0, speed))


def candle_age_limit(interval: str, speed: float) -> timedelta:
    """Return the highest age of the last closed base candle: two intervals and 10 wall seconds at `speed`."""
    return timedelta(milliseconds=2 * interval_ms(interval), seconds=WALL_SECONDS_CANDLE * max(1.0, speed))


def candle_problem(base: Candles, *, at_ms: int, age_limit: timedelta) -> str | None:
    """Return what is wrong with the closed base candles: none, a hole in the last three bars, or too old."""
    count = len(base)
    if not count:
        return f"no closed {base.interval} candle"
    step, last = interval_ms(base.interval), int(base.open_time[-1])
    age = timedelta(milliseconds=at_ms - last - step)
    if age > age_limit:
        return f"the last {base.interval} candle closed {readable(age)} ago"
    if count >= WATCHED_BARS and last - int(base.open_time[-WATCHED_BARS]) != (WATCHED_BARS - 1) * step:
        return f"a {base.interval} candle is missing among the last {WATCHED_BARS}"
    return None


def timeframe_problem(timeframes: Iterable[Timeframe]) -> str | None:
    """Return which timeframe has too few closed candles."""
    for timeframe in timeframes:
        if len(timeframe.candles) < MIN_CANDLES:
            return f"only {len(timeframe.candles)} of {MIN_CANDLES} closed {timeframe.interval} candles"
    return None


def quote_problem(quote: Quote, *, at: datetime, age_limit: timedelta) -> str | None:
    """Return what is wrong with the prices: not above zero, crossed, apart from each other, or too old."""
    prices = (quote.last, quote.bid, quote.ask, quote.mark)
    if not all(price.is_finite() and price > 0 for price in prices):
        return "there is no price"
    if quote.bid >= quote.ask:
        return f"crossed prices: bid {quote.bid} is not below ask {quote.ask}"
    if abs(quote.last - quote.mark) > MAX_MARK_DISTANCE * quote.mark:
        return f"last {quote.last} and mark {quote.mark} are more than 1 % apart"
    if at - quote.at > age_limit:
        return f"the last price is {readable(at - quote.at)} old"
    return None


def no_quote(symbol: str, at: datetime) -> Quote:
    """Return the quote that stands where nothing is known: zeros, which `quote_problem` names."""
    zero = Decimal(0)
    return Quote(symbol, at, zero, zero, zero, zero)


def digest_of(venue: str, at: datetime, views: Mapping[str, SymbolView], fingerprints: Mapping[str, str]) -> str:
    """Return the SHA-256 of everything in a snapshot. Candles enter by their fingerprints, and indicators with them."""
    lines = [f"{venue} {at.astimezone(UTC).isoformat()}"]
    for symbol, view in views.items():
        quote = view.quote
        prices = f"{quote.at.timestamp()} {quote.last:f} {quote.bid:f} {quote.ask:f} {quote.mark:f}"
        more = f"{quote.funding_rate} {quote.next_funding_at} {quote.open_interest}"
        lines.append(f"{symbol} {prices} {more} {fingerprints[symbol]} {view.problem}")
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def summary_of(views: Mapping[str, SymbolView]) -> dict[str, Any]:
    """Return per symbol: last price as text, seconds since the quote, and the problem or None."""
    return {
        symbol: {
            "price": f"{view.quote.last:f}",
            "age": view.ages["quote"].total_seconds(),
            "problem": view.problem,
        }
        for symbol, view in views.items()
    }


def readable(span: timedelta) -> str:
    """Return a span as a person says it: "45 s", "12 min", "3.5 h"."""
    seconds = span.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
