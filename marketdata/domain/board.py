"""Out of everything that a stream and REST say, in whatever order: the candles that have closed, and the prices of now.

Not safe from several threads: one feed owns one board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final

import numpy as np

from marketdata.domain.candles import Candles, floor_to
from marketdata.domain.snapshot import Quote
from marketdata.domain.ticks import BookTick, CandleTick, MarkTick, Tick

REMEMBERED: Final = 120
"""Closed candles per symbol that later words of the venue are compared with."""
FUTURE_MS: Final = 86_400_000
"""What is dated more than a day ahead of now is garbage. Kept, it would look fresh for ever and shut out the truth."""
UNTOLD_MS: Final = 30_000
"""A last price that is so much older than the book is not handed out: candles may have fallen silent alone."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)


class Board:
    """The newest state of every symbol. Late and repeated messages change nothing, whatever order they come in.

    Of two words on the same thing the one with the later event time holds, of two with the same time the one that
    came later. A closed candle is final: only a later closed one takes its place.
    """

    def __init__(self, interval: str) -> None:
        self.interval = interval
        self._symbols: dict[str, _Symbol] = {}

    def take(self, ticks: Iterable[Tick]) -> None:
        """Merge what a stream has said. Candles of other intervals are not for this board."""
        for tick in ticks:
            match tick:
                case BookTick():
                    self._of(tick.symbol).prices.book_is(tick.bid, tick.ask, at=tick.event_ms)
                case MarkTick():
                    self._of(tick.symbol).prices.mark_tick(tick)
                case CandleTick() if tick.interval == self.interval:
                    known = self._of(tick.symbol)
                    known.candles.take(tick)
                    known.prices.last_is(tick.last, at=(tick.open_time, tick.event_ms))

    def put(self, quote: Quote) -> None:
        """Merge prices that were read by REST: each input takes the place of an older one."""
        at = _ms(quote.at)
        prices = self._of(quote.symbol).prices
        prices.book_is(quote.bid, quote.ask, at=at, changed=_ms(quote.changed_at) if quote.changed_at else None)
        prices.last_is(quote.last, at=(floor_to(at, self.interval), at))
        prices.mark_is(quote.mark, at=_ms(quote.mark_at or quote.at))
        if quote.funding_rate is not None:
            prices.funding_is(quote.funding_rate, quote.next_funding_at, at=_ms(quote.funding_at or quote.at))
        if quote.open_interest is not None:
            prices.interest_is(quote.open_interest, at=_ms(quote.open_interest_at or quote.at))

    def closed(self) -> list[Candles]:
        """Return the candles that closed, or were corrected, since the last call: one series per symbol, sorted."""
        found = ((symbol, self._symbols[symbol].candles.take_closed()) for symbol in sorted(self._symbols))
        return [_candles(symbol, self.interval, ticks) for symbol, ticks in found if ticks]

    def forming(self) -> list[Candles]:
        """Return the forming candles that changed since the last call: one of length 1 per symbol, sorted."""
        found = ((symbol, self._symbols[symbol].candles.take_forming()) for symbol in sorted(self._symbols))
        return [_candles(symbol, self.interval, [tick]) for symbol, tick in found if tick]

    def quotes(self, symbols: Iterable[str], at: datetime) -> list[Quote]:
        """Return the prices that changed since the last call, of those `symbols` whose book, mark and last are known.

        `at` is now, in market time: what claims to be more than a day later is forgotten.
        """
        limit = _ms(at) + FUTURE_MS
        known = [(symbol, self._symbols[symbol]) for symbol in symbols if symbol in self._symbols]
        for _, state in known:
            state.prices.disbelieve(limit)
            state.candles.disbelieve(limit)
        quotes = [state.prices.take_quote(symbol) for symbol, state in known]
        return [quote for quote in quotes if quote]

    def forget(self, symbols: Iterable[str]) -> None:
        """Drop all that is known of symbols, what was not yet handed out included."""
        for symbol in symbols:
            self._symbols.pop(symbol, None)

    def _of(self, symbol: str) -> _Symbol:
        known = self._symbols.get(symbol)
        if known is None:
            known = self._symbols[symbol] = _Symbol()
        return known


@dataclass(slots=True)
class _Series:
    """The candles of one symbol by open time."""

    closed: dict[int, CandleTick] = field(default_factory=dict)
    fresh: dict[int, CandleTick] = field(default_factory=dict)
    """Closed ones that nobody has asked for yet."""
    forming: CandleTick | None = None
    forming_fresh: bool = False
    newest_closed: int = -1

    def take(self, tick: CandleTick) -> None:
        if tick.closed:
            self._close(tick)
        else:
            self._form(tick)

    def take_closed(self) -> list[CandleTick]:
        ticks = [self.fresh[open_time] for open_time in sorted(self.fresh)]
        self.fresh = {}
        return ticks

    def take_forming(self) -> CandleTick | None:
        tick = self.forming if self.forming_fresh else None
        self.forming_fresh = False
        return tick

    def disbelieve(self, limit_ms: int) -> None:
        if self.forming and self.forming.open_time > limit_ms:
            self.forming, self.forming_fresh = None, False
        if self.newest_closed > limit_ms:
            self.closed = {open_time: tick for open_time, tick in self.closed.items() if open_time <= limit_ms}
            self.fresh = {open_time: tick for open_time, tick in self.fresh.items() if open_time <= limit_ms}
            self.newest_closed = max(self.closed, default=-1)

    def _close(self, tick: CandleTick) -> None:
        known = self.closed.get(tick.open_time)
        if known and tick.event_ms <= known.event_ms:
            return
        self.closed[tick.open_time] = tick
        if known is None or _values(known) != _values(tick):
            self.fresh[tick.open_time] = tick
        self.newest_closed = max(self.newest_closed, tick.open_time)
        if self.forming and self.forming.open_time <= self.newest_closed:
            self.forming, self.forming_fresh = None, False
        if len(self.closed) > 2 * REMEMBERED:
            self.closed = {open_time: self.closed[open_time] for open_time in sorted(self.closed)[-REMEMBERED:]}

    def _form(self, tick: CandleTick) -> None:
        known = self.forming
        if tick.open_time <= self.newest_closed:
            return
        if known and (tick.open_time, tick.event_ms) < (known.open_time, known.event_ms):
            return
        if known is None or known.open_time != tick.open_time or _values(known) != _values(tick):
            self.forming_fresh = True
        self.forming = tick


@dataclass(frozen=True, slots=True)
class _Book:
    bid: Decimal
    ask: Decimal
    at: int
    changed: int


@dataclass(slots=True)
class _Prices:
    """The prices of one symbol, each input with its own time (UTC ms)."""

    fresh: bool = False
    """Whether something changed since the prices were handed out."""
    book: _Book | None = None
    last: tuple[Decimal, tuple[int, int]] | None = None
    """With the open time of its candle, then the event: a late correction of an earlier candle is no new last price."""
    mark: tuple[Decimal, int] | None = None
    funding: tuple[Decimal, datetime | None, int] | None = None
    interest: tuple[Decimal, int] | None = None

    def book_is(self, bid: Decimal, ask: Decimal, *, at: int, changed: int | None = None) -> None:
        """Take a book that was true at `at` and, by the venue's own word, moved last at `changed`."""
        known = self.book
        if known and at < known.at:
            return
        told = min(at, changed) if changed is not None else None
        if known and (known.bid, known.ask) == (bid, ask):
            since = max(known.changed, told or 0)
        else:
            since = at if told is None else told
        book = _Book(bid, ask, at, since)
        self.fresh = self.fresh or book != known
        self.book = book

    def last_is(self, last: Decimal, *, at: tuple[int, int]) -> None:
        if self.last is None or (at >= self.last[1] and (last, at) != self.last):
            self.last, self.fresh = (last, at), True

    def mark_tick(self, tick: MarkTick) -> None:
        self.mark_is(tick.mark, at=tick.event_ms)
        if tick.funding_rate is not None:
            self.funding_is(tick.funding_rate, tick.next_funding_at, at=tick.event_ms)

    def mark_is(self, mark: Decimal, *, at: int) -> None:
        if self.mark is None or (at >= self.mark[1] and (mark, at) != self.mark):
            self.mark, self.fresh = (mark, at), True

    def funding_is(self, rate: Decimal, next_at: datetime | None, *, at: int) -> None:
        told = (rate, next_at, at)
        if self.funding is None or (at >= self.funding[2] and told != self.funding):
            self.funding, self.fresh = told, True

    def interest_is(self, value: Decimal, *, at: int) -> None:
        if self.interest is None or (at >= self.interest[1] and (value, at) != self.interest):
            self.interest, self.fresh = (value, at), True

    def disbelieve(self, limit_ms: int) -> None:
        if self.book and self.book.at > limit_ms:
            self.book = None
        if self.last and max(self.last[1]) > limit_ms:
            self.last = None
        if self.mark and self.mark[1] > limit_ms:
            self.mark = None
        if self.funding and self.funding[2] > limit_ms:
            self.funding = None
        if self.interest and self.interest[1] > limit_ms:
            self.interest = None

    def take_quote(self, symbol: str) -> Quote | None:
        """Return the prices if something changed, None while one of the three that must be there is not.

        A last price has no time of its own where prices are stored. So one that nobody confirms any more makes the
        whole quote wait: it grows old then, and is asked for.
        """
        if not (self.fresh and self.book and self.mark and self.last):
            return None
        if self.book.at - self.last[1][1] > UNTOLD_MS:
            return None
        self.fresh = False
        rate, next_at, funding_at = self.funding or (None, None, None)
        interest, interest_at = self.interest or (None, None)
        return Quote(
            symbol=symbol,
            at=_moment(self.book.at),
            last=self.last[0],
            bid=self.book.bid,
            ask=self.book.ask,
            mark=self.mark[0],
            funding_rate=rate,
            next_funding_at=next_at,
            open_interest=interest,
            mark_at=_moment(self.mark[1]),
            funding_at=None if funding_at is None else _moment(funding_at),
            open_interest_at=None if interest_at is None else _moment(interest_at),
            changed_at=_moment(self.book.changed),
        )


@dataclass(slots=True)
class _Symbol:
    candles: _Series = field(default_factory=_Series)
    prices: _Prices = field(default_factory=_Prices)


def _values(tick: CandleTick) -> tuple[float, ...]:
    return tick.open, tick.high, tick.low, tick.close, tick.volume


def _candles(symbol: str, interval: str, ticks: Sequence[CandleTick]) -> Candles:
    columns = np.array([_values(tick) for tick in ticks], dtype=np.float64).T
    return Candles(symbol, interval, np.array([tick.open_time for tick in ticks], dtype=np.int64), *columns)


def _moment(ms: int) -> datetime:
    return _EPOCH + ms * _MILLISECOND


def _ms(at: datetime) -> int:
    return (at - _EPOCH) // _MILLISECOND
