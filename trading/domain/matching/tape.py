"""Bring an engine up to date with candles, funding and quotes, each price used once and none from the future.

A cursor per symbol says how far its prices were used. The candle in which the cursor lies has been looked at before:
of it only *new* extremes count (a high above the highest seen, a low below the lowest seen) and its close.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

from marketdata.domain.candles import Candles, interval_ms
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
    """Prices of a symbol were used up to `at`, which lies in the candle that opened at `candle` (ms, None: unknown)."""

    at: datetime
    last: Decimal
    mark: Decimal
    candle: int | None = None
    high: Decimal = ZERO
    low: Decimal = ZERO
    bid: Decimal | None = None
    ask: Decimal | None = None

    @property
    def prices(self) -> Prices:
        return Prices(self.last, self.mark, self.bid, self.ask)


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
    """Yield what the candles of a tape still have to say, oldest first."""
    if tape.cursor is None:
        return
    length = interval_ms(tape.candles.interval)
    columns = (tape.candles.open_time, tape.candles.open, tape.candles.high, tape.candles.low, tape.candles.close)
    for opened, *ohlc in zip(*(column.tolist() for column in columns), strict=True):
        opened_at, closed_at = _at(opened), min(_at(opened + length), until)
        if opened_at >= until or closed_at <= tape.cursor.at:
            continue
        bar = Bar(tape.symbol, opened_at, closed_at, *(Decimal(repr(price)) for price in ohlc))
        yield _unseen(bar, tape.cursor, opened) if opened_at < tape.cursor.at else bar


def _events(tapes: Sequence[Tape], until: datetime) -> Iterator[tuple[datetime, int, str, Bar | Settlement]]:
    for tape in tapes:
        for bar in bars(tape, until=until):
            yield bar.closed_at, BAR, tape.symbol, bar
        for settlement in tape.settlements:
            if tape.cursor is not None and tape.cursor.at < settlement.at <= until:
                yield settlement.at, SETTLEMENT, tape.symbol, settlement


def _unseen(bar: Bar, cursor: Cursor, opened: int) -> Bar:
    """Return the part of a candle that came after the cursor: from the last price, with new extremes only."""
    known = cursor.candle == opened
    high = bar.high if known and bar.high > cursor.high else ZERO
    low = bar.low if known and bar.low < cursor.low else cursor.last
    return replace(
        bar,
        open=cursor.last,
        high=max(high, cursor.last, bar.close),
        low=min(low, cursor.last, bar.close),
    )


def _finish(engine: Engine, tape: Tape, until: datetime) -> Cursor:
    """Give the engine the newest quote, unless a closed candle is newer, and return the new cursor."""
    if tape.quote is not None and tape.quote.at >= _last_close(tape, until):
        engine.on_quote(replace(tape.quote, at=until))
    prices = engine.prices(tape.symbol)
    here = Cursor(until, prices.last, prices.mark, bid=prices.bid, ask=prices.ask)
    forming = _forming(tape.candles, until)
    if forming is None:
        return here
    opened, high, low = forming
    return replace(here, candle=opened, high=Decimal(repr(high)), low=Decimal(repr(low)))


def _last_close(tape: Tape, until: datetime) -> datetime:
    """Return the close of the last closed candle: a quote from before it is older news than the candles."""
    length = interval_ms(tape.candles.interval)
    closes = [_at(opened + length) for opened in tape.candles.open_time.tolist()[-2:]]
    return max([close for close in closes if close <= until], default=EPOCH)


def _forming(candles: Candles, until: datetime) -> tuple[int, float, float] | None:
    """Return open time, high and low of the candle in which `until` lies, if it is known."""
    if not len(candles):
        return None
    opened = int(candles.open_time[-1])
    if not _at(opened) <= until < _at(opened + interval_ms(candles.interval)):
        return None
    return opened, float(candles.high[-1]), float(candles.low[-1])


def _at(ms: int) -> datetime:
    return EPOCH + ms * MILLISECOND
