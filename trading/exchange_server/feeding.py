"""What the market has done between two moments, in words that a matching engine understands.

Whole base candles are walked as bars with their mark prices; what lies before the first and after the last whole one is
looked at in small steps. So an engine that is looked at four times a second sees quotes, and one that has an hour to
catch up with sees the same prices as the candles that a client can ask for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial

from marketdata.domain.bars import Bar
from marketdata.domain.pricing import decimal_of
from marketdata.domain.snapshot import Quote
from trading.domain.matching import Engine
from trading.exchange_server.bars import LENGTHS, Bars
from trading.exchange_server.markets import Markets
from vibex.lib.clock import from_ms

MOST_LOOKS = 60
LOOK_MS = 1_000
QUOTES, SETTLEMENTS = range(2)
"""What comes first of two things of one moment: prices, then funding."""


@dataclass(frozen=True, slots=True)
class Happening:
    at_ms: int
    kind: int
    symbol: str
    give: Callable[[Engine], None]


def happenings(markets: Markets, since: Mapping[str, int], now: int) -> list[Happening]:
    """Return what happened to each symbol in (since, now] in the order of time; the present price comes last."""
    found = [one for symbol, start in since.items() for one in _of(markets, symbol, start, now)]
    return sorted(found, key=lambda one: (one.at_ms, one.kind, one.symbol))


def quote_of(markets: Markets, symbol: str, at_ms: int) -> Quote | None:
    """Return the prices of a moment, None before the first trade."""
    prices = markets.prices(symbol, at_ms)
    if prices is None:
        return None
    return Quote(symbol, from_ms(at_ms), decimal_of(prices.last), prices.bid, prices.ask, decimal_of(prices.mark))


def _of(markets: Markets, symbol: str, start: int, now: int) -> Iterator[Happening]:
    length = LENGTHS[markets.series[symbol].interval]
    first, last = -(-start // length) * length, now // length * length
    if first < last:
        yield from _looks(markets, symbol, start, first)
        yield from _walks(markets, symbol, first, last, now)
        yield from _looks(markets, symbol, last, now)
    else:
        yield from _looks(markets, symbol, start, now)
    if quote := quote_of(markets, symbol, now):
        yield Happening(now, QUOTES, symbol, partial(_quote, quote=quote))
    yield from _settlements(markets, symbol, start, now)


def _looks(markets: Markets, symbol: str, start: int, end: int) -> Iterator[Happening]:
    """Yield the prices on the way from start to end, neither of them included."""
    count = min(MOST_LOOKS, (end - start) // LOOK_MS)
    for step in range(1, count):
        at = start + (end - start) * step // count
        if quote := quote_of(markets, symbol, at):
            yield Happening(at, QUOTES, symbol, partial(_quote, quote=quote))


def _walks(markets: Markets, symbol: str, first: int, last: int, now: int) -> Iterator[Happening]:
    interval = markets.series[symbol].interval
    length = LENGTHS[interval]
    bars = markets.bars(
        symbol, interval, start_ms=first, end_ms=last - 1, limit=(last - first) // length + 1, at_ms=now
    )
    marks = markets.mark_bars(symbol, bars, interval, now)
    share = markets.mark_offset(symbol)
    known = {opened: mark for opened, *mark in _rows(marks, share)}
    for opened, opening, high, low, close in _rows(bars, 1.0):
        mark = known.get(opened) or (None,) * 4
        ends = from_ms(opened + length)
        bar = Bar(symbol, from_ms(opened), ends, opening, high, low, close, Decimal(0), *mark)
        yield Happening(opened + length, QUOTES, symbol, partial(_bar, bar=bar))


def _rows(bars: Bars, share: float) -> Iterator[tuple[int, Decimal, Decimal, Decimal, Decimal]]:
    columns = (bars.open_time, bars.open, bars.high, bars.low, bars.close)
    for opened, *prices in zip(*(column.tolist() for column in columns), strict=True):
        first, high, low, close = (decimal_of(price if share == 1.0 else round(price * share, 8)) for price in prices)
        yield opened, first, high, low, close


def _settlements(markets: Markets, symbol: str, start: int, now: int) -> Iterator[Happening]:
    if start >= now:
        return
    for one in markets.settlements(symbol, since_ms=start, until_ms=now):
        prices = markets.prices(symbol, one.at_ms)
        mark = None if prices is None else decimal_of(prices.mark)
        give = partial(_funding, symbol=symbol, rate=one.rate, mark=mark, at_ms=one.at_ms)
        yield Happening(one.at_ms, SETTLEMENTS, symbol, give)


def _quote(engine: Engine, *, quote: Quote) -> None:
    engine.on_quote(quote)


def _bar(engine: Engine, *, bar: Bar) -> None:
    engine.on_bar(bar)


def _funding(engine: Engine, *, symbol: str, rate: Decimal, mark: Decimal | None, at_ms: int) -> None:
    engine.on_funding(symbol, rate, mark, from_ms(at_ms))
