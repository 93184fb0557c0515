"""Bring an engine up to date with candles, funding and quotes, each price used once and none from the future.

A cursor per symbol says how far its prices were used. It follows the data, not the clock: it stays inside the last
candle that is known, because that one may still grow, also when its time is over and the feed is late. Of a candle that
was looked at before only what is new counts: a high above the highest seen, a low below the lowest seen, and its close.
What is new is dated after the look. Candles may come late: the engine lets them meet nothing that is younger.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata.domain.candles import Candles
from marketdata.domain.intervals import interval_ms
from marketdata.domain.pricing import decimal_of
from marketdata.domain.snapshot import Quote
from trading.domain.matching.engine import Engine
from trading.domain.matching.types import Prices
from trading.domain.venue import ZERO, Bar

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
BAR, SETTLEMENT = range(2)
"""What comes first of two events of one moment: the candle that ends there, then the funding."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Candles of a symbol were used up to `at` and funding up to `paid`; last, mark, bid, ask are the newest prices.

    `candle` is the open time (ms) of the candle in which `at` lies, None when none was known; high, low and close are
    what has been seen of it.
    """

    at: datetime
    paid: datetime
    last: Decimal
    mark: Decimal
    bid: Decimal | None = None
    ask: Decimal | None = None
    candle: int | None = None
    high: Decimal = ZERO
    low: Decimal = ZERO
    close: Decimal = ZERO

    @property
    def prices(self) -> Prices:
        return Prices(self.last, self.mark, self.bid, self.ask)

    def has_seen(self, bar: Bar) -> bool:
        """Return whether the candle has nothing new."""
        return self.low <= bar.low and bar.high <= self.high and bar.close == self.close


@dataclass(frozen=True, slots=True)
class Settlement:
    """Longs pay `rate` × notional to shorts at `at`. `mark` is None where nobody recorded it."""

    at: datetime
    rate: Decimal
    mark: Decimal | None


@dataclass(frozen=True, slots=True)
class Tape:
    """What became known of a symbol: candles that overlap (cursor, until], settlements in it, and the newest quote.

    Without a cursor the symbol is looked at for the first time: nothing of the past counts.
    """

    symbol: str
    candles: Candles
    settlements: Sequence[Settlement]
    quote: Quote | None
    cursor: Cursor | None


def replay(engine: Engine, tapes: Sequence[Tape], *, until: datetime) -> dict[str, Cursor]:
    """Give the engine everything of the tapes up to `until` in the order of time; return where each symbol now stands."""
    for *_, symbol, event in sorted(_events(tapes, until), key=lambda entry: entry[:3]):
        if isinstance(event, Bar):
            engine.on_bar(event)
        else:
            engine.on_funding(symbol, event.rate, event.mark, event.at)
    return {tape.symbol: _finish(engine, tape, until) for tape in tapes}


def bars(tape: Tape, *, until: datetime) -> Iterator[Bar]:
    """Yield what the candles of a tape still have to say up to `until`, oldest first."""
    cursor = tape.cursor
    if cursor is None:
        return
    for opened, bar in _bars(tape, until):
        if bar.opened_at >= until or bar.closed_at <= cursor.at:
            continue
        if opened != cursor.candle:
            yield bar
        elif not cursor.has_seen(bar):
            yield _unseen(bar, cursor)


def _bars(tape: Tape, until: datetime) -> Iterator[tuple[int, Bar]]:
    length = interval_ms(tape.candles.interval)
    columns = (tape.candles.open_time, tape.candles.open, tape.candles.high, tape.candles.low, tape.candles.close)
    for opened, *ohlc in zip(*(column.tolist() for column in columns), strict=True):
        closed_at = min(_at(opened + length), until)
        yield opened, Bar(tape.symbol, _at(opened), closed_at, *(decimal_of(price) for price in ohlc))


def _events(tapes: Sequence[Tape], until: datetime) -> Iterator[tuple[datetime, int, str, Bar | Settlement]]:
    for tape in tapes:
        for bar in bars(tape, until=until):
            yield bar.closed_at, BAR, tape.symbol, bar
        for settlement in tape.settlements:
            if tape.cursor is not None and tape.cursor.paid < settlement.at <= until:
                yield settlement.at, SETTLEMENT, tape.symbol, settlement


def _unseen(bar: Bar, cursor: Cursor) -> Bar:
    """Return what is new in a candle since it was looked at: from the last price to its close, by new extremes."""
    high = bar.high if bar.high > cursor.high else cursor.last
    low = bar.low if bar.low < cursor.low else cursor.last
    high, low = max(high, cursor.last, bar.close), min(low, cursor.last, bar.close)
    return replace(bar, opened_at=cursor.at, open=cursor.last, high=high, low=low)


def _finish(engine: Engine, tape: Tape, until: datetime) -> Cursor:
    """Give the engine the newest quote, unless a closed candle is newer, and return the new cursor."""
    if tape.quote is not None and tape.quote.at >= _last_close(tape, until):
        engine.on_quote(tape.quote, at=until)
    prices, before = engine.prices(tape.symbol), tape.cursor
    settled = (settlement.at for settlement in tape.settlements if settlement.at <= until)
    here = Cursor(
        at=before.at if before else until,
        paid=max(settled, default=before.paid) if before else until,
        last=prices.last,
        mark=prices.mark,
        bid=prices.bid,
        ask=prices.ask,
    )
    known = [bar for bar in _bars(tape, until) if bar[1].opened_at < until]
    if not known:
        return here
    opened, bar = known[-1]
    end = _at(opened + interval_ms(tape.candles.interval)) - MILLISECOND
    return replace(here, at=min(until, end), candle=opened, high=bar.high, low=bar.low, close=bar.close)


def _last_close(tape: Tape, until: datetime) -> datetime:
    """Return the close of the last closed candle: a quote from before it is older news than the candles."""
    length = interval_ms(tape.candles.interval)
    closes = [_at(opened + length) for opened in tape.candles.open_time.tolist()[-2:]]
    return max([close for close in closes if close <= until], default=EPOCH)


def _at(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND
