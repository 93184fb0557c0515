"""The Market port over recorded candles in memory: what a backtest sees. Nothing after the asked moment is looked at.

Where no mark price was recorded for the base interval, the mark is the last price.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from math import isnan

from marketdata.domain.assess import (
    WATCHED_BARS,
    Problem,
    candle_age_limit,
    digest_of,
    missing_problem,
    newest_problem,
    no_quote,
    quote_problem,
    symbol_digest,
    timeframe_problem,
)
from marketdata.domain.bars import Bar
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.frames import LOOKBACK, Frame, frame_of
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.path import seen_until
from marketdata.domain.pricing import SPREAD, decimal_of, touch
from marketdata.domain.recording import Recording
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView
from marketdata.market import FundingSettlement
from vibex.lib.clock import EPOCH, MILLISECOND, from_ms, to_ms
from vibex.lib.errors import Rejected, Retryable

HOUR_MS = 3_600_000


class RecordedMarket:
    """Recorded candles, mark prices and funding of several symbols that share a base interval.

    Timeframes and indicators are computed once over the whole series; a value at one candle never depends on a later
    one, so a snapshot is a slice. Raises Rejected for a timeframe that the base interval cannot make.
    """

    def __init__(
        self,
        recordings: Iterable[Recording],
        *,
        timeframes: Sequence[str] = (),
        spread: Decimal = SPREAD,
        lookback: int = LOOKBACK,
        venue: str = "recorded",
        digests: bool = False,
    ) -> None:
        """`digests` says whether snapshots carry any: a backtest keeps none, and can be done again."""
        self.venue, self._digests = venue, digests
        self._now: tuple[datetime | None, int] = (None, 0)
        """The moment that was asked for last, and its milliseconds: it is asked for again and again."""
        self._series = {recording.symbol: _Series(recording, spread, lookback) for recording in recordings}
        intervals = {series.candles.interval for series in self._series.values()}
        if len(intervals) != 1:
            raise Rejected(f"recordings of one base interval are needed, not of {sorted(intervals)}", code="recording")
        (self.interval,) = intervals
        for series in self._series.values():
            for timeframe in timeframes:
                series.frame(timeframe)

    @property
    def symbols(self) -> tuple[str, ...]:
        return tuple(self._series)

    def span(self, symbol: str) -> tuple[datetime, datetime]:
        """Return when the first candle opens and the last one closes."""
        opened = self._of(symbol).opened
        return from_ms(opened[0]), from_ms(opened[-1] + interval_ms(self.interval))

    def instrument(self, symbol: str) -> InstrumentSpec:
        return self._of(symbol).spec

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        at_ms = self._ms(at)
        views = {symbol: self._of(symbol).view(timeframes, at, at_ms, digests=self._digests) for symbol in symbols}
        return MarketSnapshot(self.venue, at, views, digest_of(self.venue, at, views) if self._digests else "")

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        """Return the close of the last closed base candle, with the spread around it and the mark of the same candle.

        The funding rate is the last settled one: the next is not known before it settles.
        """
        series = self._of(symbol)
        count = series.count_at(self._ms(at))
        if not count:
            raise Retryable(f"{symbol}: nothing was recorded before {at:%F %T}")
        return series.quote(count)

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        """Return None: no book was recorded."""
        return None

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        series = self._of(symbol)
        start = series.count_at(to_ms(since))
        whole = series.candles.slice(start, len(series.candles))
        return seen_until(whole, to_ms(until), tick=float(series.spec.tick_size))

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        return self._of(symbol).settlements(to_ms(since), to_ms(until))

    def base_bar(self, symbol: str, *, at: datetime) -> Bar | None:
        """Return the base candle that begins at `at`, None where none does. For the exchange, not the bot."""
        series = self._of(symbol)
        index = series.index_of(self._ms(at))
        return None if index is None else series.bar(index)

    def series(self, symbol: str) -> Recording:
        """Return all that was recorded of a symbol. For the exchange, not the bot: it reaches into the future."""
        return self._of(symbol).recording

    def frame(self, symbol: str, interval: str) -> Frame:
        """Return all closed candles of an interval with their indicators. Errors as the constructor's."""
        return self._of(symbol).frame(interval)

    def bar(self, symbol: str, number: int) -> Bar:
        """Return a base candle by its number, from 0. For the exchange, not the bot."""
        return self._of(symbol).bar(number)

    def has_mark(self, symbol: str) -> bool:
        """Return whether mark prices of the base interval were recorded."""
        return self._of(symbol).mark is not None

    def _ms(self, at: datetime) -> int:
        asked, ms = self._now
        if at is not asked:
            ms = to_ms(at)
            self._now = at, ms
        return ms

    def _of(self, symbol: str) -> _Series:
        try:
            return self._series[symbol]
        except KeyError:
            known = ", ".join(self._series)
            raise Rejected(f"{symbol} is not in this recording. It holds {known}.", code="symbol") from None


class _Series:
    """One symbol of a recorded market."""

    def __init__(self, recording: Recording, spread: Decimal, lookback: int) -> None:
        self.recording = recording
        self.spec = recording.spec
        self.candles = recording.candles
        self.mark = recording.mark
        self.opened: list[int] = recording.candles.open_time.tolist()
        self._funding = recording.funding
        self._settled: list[int] = recording.funding.at.tolist()
        self._step = interval_ms(recording.candles.interval)
        self._length = timedelta(milliseconds=self._step)
        self._lookback = lookback
        self._spread = spread
        self._frames: dict[str, Frame] = {}
        self._quote: tuple[int, Quote] | None = None
        self._bar: tuple[int, Bar] | None = None
        """What was asked for last, by its number: a moment is looked at more than once."""
        self._candle_age = candle_age_limit(self.candles.interval, 1.0)

    def frame(self, interval: str) -> Frame:
        if interval not in self._frames:
            try:
                self._frames[interval] = frame_of(self.candles, interval)
            except ValueError as error:
                raise Rejected(f"{error}: choose a longer interval or another recording", code="interval") from None
        return self._frames[interval]

    def count_at(self, at_ms: int) -> int:
        """Return how many base candles have closed at `at_ms`."""
        return bisect_right(self.opened, at_ms - self._step)

    def index_of(self, open_ms: int) -> int | None:
        index = bisect_right(self.opened, open_ms) - 1
        return index if index >= 0 and self.opened[index] == open_ms else None

    def view(self, intervals: Sequence[str], at: datetime, at_ms: int, *, digests: bool) -> SymbolView:
        """Return what is seen of the symbol; all candles behind it are in its digest, where it has one."""
        count = self.count_at(at_ms)
        quote = self.quote(count) if count else no_quote(self.spec.symbol, at)
        timeframes, prints, ages = {}, [], {"quote": at - quote.at}
        for interval in intervals:
            frame = self.frame(interval)
            closed = frame.count_at(at_ms)
            timeframes[interval] = timeframe = frame.window(closed, at_ms, self._lookback)
            if digests:
                prints.append(f"{interval}:{frame.fingerprint_at(closed):x}")
            ages[interval] = timeframe.age
        if settled := bisect_right(self._settled, at_ms):
            ages["funding"] = timedelta(milliseconds=at_ms - self._settled[settled - 1])
        problem = (
            newest_problem(
                self.candles.interval,
                self.opened[max(0, count - WATCHED_BARS) : count],
                at_ms=at_ms,
                age_limit=self._candle_age,
            )
            or self._overdue(count, at_ms)
            or quote_problem(quote, at=at, extra=self._candle_age)
            or timeframe_problem(timeframes.values())
        )
        digest = symbol_digest(self.spec.venue, quote, " ".join(prints)) if digests else ""
        if problem is None:
            return SymbolView(self.spec.symbol, self.spec, quote, timeframes, ages, None, digest)
        return SymbolView(self.spec.symbol, self.spec, quote, timeframes, ages, problem.text, digest, problem.reason)

    def _overdue(self, count: int, at_ms: int) -> Problem | None:
        """Return that the newest candle is missing: in a recording none comes late. What stands before it is whole."""
        return missing_problem(self.candles.interval) if at_ms >= self.opened[count - 1] + 2 * self._step else None

    def quote(self, count: int) -> Quote:
        """Return the prices after `count` closed candles (at least one)."""
        if self._quote is None or self._quote[0] != count:
            self._quote = (count, self._quote_after(count))
        return self._quote[1]

    def settlements(self, since_ms: int, until_ms: int) -> list[FundingSettlement]:
        start, stop = bisect_right(self._settled, since_ms), bisect_right(self._settled, until_ms)
        return [
            FundingSettlement(
                from_ms(self._settled[index]), decimal_of(self._funding.rate[index]), _known(self._funding.mark[index])
            )
            for index in range(start, stop)
        ]

    def bar(self, index: int) -> Bar:
        """Return a base candle by its number."""
        if self._bar is None or self._bar[0] != index:
            self._bar = (index, self._bar_at(index))
        return self._bar[1]

    def _bar_at(self, index: int) -> Bar:
        opened_at, candles, mark = EPOCH + self.opened[index] * MILLISECOND, self.candles, self.mark
        return Bar(
            symbol=self.spec.symbol,
            opened_at=opened_at,
            closed_at=opened_at + self._length,
            open=decimal_of(candles.open[index]),
            high=decimal_of(candles.high[index]),
            low=decimal_of(candles.low[index]),
            close=decimal_of(candles.close[index]),
            volume=decimal_of(candles.volume[index]),
            mark_open=_known(mark.open[index]) if mark else None,
            mark_high=_known(mark.high[index]) if mark else None,
            mark_low=_known(mark.low[index]) if mark else None,
            mark_close=_known(mark.close[index]) if mark else None,
        )

    def _quote_after(self, count: int) -> Quote:
        closed_ms = self.opened[count - 1] + self._step
        last = decimal_of(self.candles.close[count - 1])
        bid, ask = touch(self.spec, last, spread=self._spread)
        mark = _known(self.mark.close[count - 1]) if self.mark else None
        rate, next_at = self._next_funding(closed_ms)
        return Quote(
            symbol=self.spec.symbol,
            at=EPOCH + closed_ms * MILLISECOND,
            last=last,
            bid=bid,
            ask=ask,
            mark=last if mark is None else mark,
            funding_rate=rate,
            next_funding_at=next_at,
        )

    def _next_funding(self, at_ms: int) -> tuple[Decimal | None, datetime | None]:
        settled = bisect_right(self._settled, at_ms)
        if not settled:
            return None, None
        period = self.spec.funding_interval_hours * HOUR_MS
        return decimal_of(self._funding.rate[settled - 1]), from_ms(self._funding.due_after(settled, period))


def _known(value: float) -> Decimal | None:
    """Return the decimal, or None for NaN."""
    return None if isnan(value) else decimal_of(value)
