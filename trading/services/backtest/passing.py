"""How time passes in a backtest: bars and funding reach the exchange in the order of their times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache

from marketdata.domain.bars import Bar
from marketdata.domain.intervals import interval_ms
from marketdata.domain.snapshot import Quote
from marketdata.market import FundingSettlement
from marketdata.recorded_market import RecordedMarket
from trading.exchange.simulated import Opening, SimulatedExchange


def openings(market: RecordedMarket, symbols: Sequence[str], at: datetime) -> Iterator[Opening]:
    """Yield the first prices after a decision: an order never meets the close that was decided on.

    Where no bar follows, the prices that were seen last stand.
    """
    for symbol in symbols:
        bar = market.base_bar(symbol, at=at)
        if bar is None:
            yield Opening(market.quote(symbol, at=at))
        else:
            yield Opening(_quote_at_open(market, bar), span=bar.high - bar.low)


def pass_time(
    exchange: SimulatedExchange, market: RecordedMarket, symbols: Sequence[str], *, since: datetime, until: datetime
) -> None:
    """Walk the symbols through (since, until], bars and funding in the order of their times."""
    for symbol in symbols:
        if not exchange.needs(symbol):
            continue
        paid = {}
        if len(market.series(symbol).funding.at):
            paid = {settled.at: settled for settled in market.funding(symbol, since=since, until=until)}
        for bar in _bars(market, symbol, since, until):
            exchange.bar(bar)
            for at in [at for at in paid if at <= bar.closed_at] if paid else ():
                _pay(exchange, symbol, paid.pop(at))
        for settled in paid.values():  # a bar is missing there; what was due was paid all the same
            _pay(exchange, symbol, settled)


def _quote_at_open(market: RecordedMarket, bar: Bar) -> Quote:
    """Return the prices at the open of a bar, the spread around them as the market's own quotes have it."""
    before = market.quote(bar.symbol, at=bar.opened_at)
    mark = bar.open if bar.mark_open is None else bar.mark_open
    shift = bar.open - before.last
    bid, ask = before.bid + shift, before.ask + shift
    return Quote(bar.symbol, bar.opened_at, bar.open, bid, ask, mark, before.funding_rate, before.next_funding_at)


def _pay(exchange: SimulatedExchange, symbol: str, settled: FundingSettlement) -> None:
    exchange.funding(symbol, settled.rate, settled.mark, settled.at)


def _bars(market: RecordedMarket, symbol: str, since: datetime, until: datetime) -> Iterator[Bar]:
    step = _length(market.interval)
    opened = since
    while opened < until:
        bar = market.base_bar(symbol, at=opened)
        if bar is not None:
            yield bar
        opened += step


@cache
def _length(interval: str) -> timedelta:
    return timedelta(milliseconds=interval_ms(interval))
