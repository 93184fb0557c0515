"""The Market port over the tables: what live and paper trading see. A feed writes them, this module only reads.

A snapshot takes three queries once the candles are in memory: the feed, what has closed since, and the newest prices; a
fourth, whatever the number of symbols, where a candle is not there that should be. Nothing here asks a venue but for the
order book of a symbol that is about to be opened: a thousand bots read what one feed writes. Candles and indicators are
computed once per closed candle and process, the rules of the contracts are read once per instance: those of the snapshot,
and all when another one is asked for. Where the venue's mark price is unknown, the feed has written the last price in its
place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Final

from marketdata.domain.assess import (
    WATCHED_BARS,
    FeedState,
    Problem,
    ages_of,
    candle_age_limit,
    candle_problem,
    contract_problem,
    digest_of,
    feed_problem,
    market_problem,
    missing_problem,
    no_quote,
    quote_age_limit,
    quote_problem,
    symbol_digest,
    timeframe_problem,
    untold_problem,
)
from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.frames import LOOKBACK
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, MarketSnapshot, Quote, SymbolView, Timeframe
from marketdata.market import FundingSettlement
from marketdata.models import Candle, Feed, FundingRate, QuarantinedCandle, Ticker
from marketdata.selectors import feed_of, instrument_specs, plain
from marketdata.stored import ROW, Series, SeriesStore, candles_of
from vibex.lib.clock import Clock, from_ms, to_ms
from vibex.lib.errors import Rejected, Retryable

STORE: Final = SeriesStore()
"""Shared by all bots of this process."""


class DatabaseMarket:
    """Prices and rules of one venue as stored, on the venue's clock.

    `books` asks the venue for the order book of a symbol; without it there are none. `store` keeps the candles of those
    who only look. Who looks once and has read the rules of the contracts and the feed already gives `specs` and `feed`.
    """

    def __init__(
        self,
        venue: str,
        clock: Clock,
        *,
        books: Callable[[str], Depth] | None = None,
        store: SeriesStore | None = None,
        specs: Mapping[str, InstrumentSpec] | None = None,
        feed: Feed | None = None,
    ) -> None:
        self.venue = venue
        self._clock = clock
        self._books = books
        self._store = store
        self._feed = feed
        self._interval: str | None = None
        self._specs = dict(specs or {})
        self._all_specs = specs is not None

    def instrument(self, symbol: str) -> InstrumentSpec:
        if symbol not in self._specs and not self._all_specs:
            self._specs, self._all_specs = instrument_specs(self.venue), True
        try:
            return self._specs[symbol]
        except KeyError:
            known = ", ".join(self._specs) or "none"
            raise Rejected(f"{symbol} is not traded at {self.venue}. There is {known}.", code="symbol") from None

    def snapshot(self, *, symbols: Sequence[str], timeframes: Sequence[str], at: datetime) -> MarketSnapshot:
        specs = self._instruments(symbols)
        feed = self._feed or feed_of(self.venue)
        series = self._series(feed, symbols, timeframes)
        quotes = self._quotes(symbols)
        wrong, live = feed_problem(_state(feed), wall=datetime.now(UTC)), feed.kind == Feed.Kind.LIVE
        aside, views = _Aside(self.venue, self._base(feed), at), {}
        for spec in specs:
            look = _Look(spec, wrong, series[spec.symbol], quotes.get(spec.symbol), self._clock.speed, aside, live)
            views[spec.symbol] = look.view(timeframes, at)
        return MarketSnapshot(self.venue, at, views, digest_of(self.venue, at, views))

    def quote(self, symbol: str, *, at: datetime) -> Quote:
        """Return the newest stored prices, which may be some moments younger than `at`: only these are kept.

        Raises Retryable when there are none, or none of that time.
        """
        quote = self._quotes([self.instrument(symbol).symbol]).get(symbol)
        if quote is None:
            raise Retryable(f"{symbol}: the feed of {self.venue} has not written a price yet")
        if quote.at - at > quote_age_limit(self._clock.speed):
            raise Retryable(f"{symbol}: no price of {at:%F %T} is kept, the newest is of {quote.at:%F %T}")
        return quote

    def depth(self, symbol: str, *, at: datetime) -> Depth | None:
        """Return the book that the venue has now, whatever `at` is: none is kept."""
        return self._books(symbol) if self._books else None

    def base_candles(self, symbol: str, *, since: datetime, until: datetime) -> Candles:
        interval = self._base()
        first = since - timedelta(milliseconds=interval_ms(interval))
        rows = Candle.objects.filter(
            venue=self.venue, symbol=symbol, interval=interval, open_time__gt=first, open_time__lt=until
        )
        return candles_of(symbol, interval, rows.order_by("open_time").values_list(*ROW))

    def funding(self, symbol: str, *, since: datetime, until: datetime) -> list[FundingSettlement]:
        rows = FundingRate.objects.filter(venue=self.venue, symbol=symbol, at__gt=since, at__lte=until).order_by("at")
        return [FundingSettlement(row.at, plain(row.rate), _plain_or_none(row.mark), row.settled) for row in rows]

    def _instruments(self, symbols: Sequence[str]) -> list[InstrumentSpec]:
        """Return the rules of some contracts, read by themselves where none were read yet."""
        if not self._specs and not self._all_specs:
            self._specs = instrument_specs(self.venue, symbols)
        return [self.instrument(symbol) for symbol in symbols]

    def _base(self, feed: Feed | None = None) -> str:
        """Return the interval of the stored candles, asked once per instance."""
        if self._interval is None:
            self._interval = (feed or feed_of(self.venue)).interval
        return self._interval

    def _series(self, feed: Feed, symbols: Sequence[str], timeframes: Sequence[str]) -> Mapping[str, Series]:
        base = self._base(feed)
        for timeframe in timeframes:
            if interval_ms(timeframe) % interval_ms(base):
                raise Rejected(f"{self.venue} has {base} candles: {timeframe} cannot be made of them", code="interval")
        return (self._store or STORE).series(feed, symbols, base, timeframes)

    def _quotes(self, symbols: Sequence[str]) -> dict[str, Quote]:
        rows = Ticker.objects.filter(venue=self.venue, symbol__in=symbols)
        return {row.symbol: _quote(row) for row in rows}


class _Look:
    """One symbol as it is looked at for one snapshot. `wrong` is what is wrong with the whole feed."""

    def __init__(
        self,
        spec: InstrumentSpec,
        wrong: Problem | None,
        series: Series,
        quote: Quote | None,
        speed: float,
        aside: _Aside,
        live: bool,
    ) -> None:
        self.spec, self.wrong, self.series, self.speed = spec, wrong, series, speed
        self.quote, self.aside, self.live = quote, aside, live

    def view(self, intervals: Sequence[str], at: datetime) -> SymbolView:
        """Return what is seen at `at`."""
        quote = self.quote or no_quote(self.spec.symbol, at)
        timeframes, prints = self._timeframes(intervals, to_ms(at))
        problem = self._problem(quote, timeframes, at)
        return SymbolView(
            symbol=self.spec.symbol,
            instrument=self.spec,
            quote=quote,
            timeframes=timeframes,
            ages=ages_of(self.spec, quote, timeframes, at),
            problem=problem.text if problem else None,
            digest=symbol_digest(self.spec.venue, quote, prints),
            reason=problem.reason if problem else {},
        )

    def _timeframes(self, intervals: Sequence[str], at_ms: int) -> tuple[dict[str, Timeframe], str]:
        """Return the timeframes, and the fingerprint of the candles behind them."""
        timeframes, prints = {}, []
        for interval in intervals:
            frame = self.series.frames[interval]
            count = frame.count_at(at_ms)
            timeframes[interval] = frame.window(count, at_ms, LOOKBACK)
            prints.append(f"{interval}:{frame.fingerprint_at(count):x}")
        return timeframes, " ".join(prints)

    def _problem(self, quote: Quote, timeframes: Mapping[str, Timeframe], at: datetime) -> Problem | None:
        base = self.series.base.closed_before(to_ms(at))
        age_limit = candle_age_limit(base.interval, self.speed)
        return (
            self.wrong
            or contract_problem(self.spec)
            or self._explained(candle_problem(base, at_ms=to_ms(at), age_limit=age_limit), base, at)
            or quote_problem(quote, at=at, speed=self.speed)
            or (untold_problem(quote) if self.live else None)
            or timeframe_problem(timeframes.values())
            or market_problem(base, quote)
        )

    def _explained(self, problem: Problem | None, base: Candles, at: datetime) -> Problem | None:
        """Add why a candle is missing where it is known. Asked only when something is wrong, or the newest is not there.

        One that was put aside the moment it closed leaves no hole yet: what stands before it is whole.
        """
        step = timedelta(milliseconds=interval_ms(base.interval))
        last = from_ms(int(base.open_time[-1])) if len(base) else at
        if problem is None and at < last + 2 * step:
            return None
        reason = self.aside.reason(self.spec.symbol, since=at - (WATCHED_BARS + 1) * step if problem else last + step)
        if reason is None:
            return problem
        problem = problem or missing_problem(base.interval)
        return replace(problem, text=f"{problem.text}: {reason}")


class _Aside:
    """Which candles of the last bars were put aside, and why: read when a symbol asks, once for all of them."""

    def __init__(self, venue: str, interval: str, at: datetime) -> None:
        self._venue, self._interval, self._at = venue, interval, at

    def reason(self, symbol: str, *, since: datetime) -> str | None:
        """Return the reason of the newest one of a symbol that opened at `since` or later."""
        return next((reason for of, at, reason in self._rows if of == symbol and at >= since), None)

    @cached_property
    def _rows(self) -> list[tuple[str, datetime, str]]:
        step = timedelta(milliseconds=interval_ms(self._interval))
        rows = QuarantinedCandle.objects.filter(
            venue=self._venue,
            interval=self._interval,
            mended=None,
            open_time__gte=self._at - (WATCHED_BARS + 1) * step,
            open_time__lte=self._at - step,
        )
        return list(rows.order_by("-open_time").values_list("symbol", "open_time", "reason"))


def _state(feed: Feed) -> FeedState:
    return FeedState(
        venue=feed.venue,
        problem=feed.problem,
        live=feed.kind == Feed.Kind.LIVE,
        running=feed.running,
        heartbeat=feed.heartbeat,
        clock_offset=feed.clock_offset,
        clock_checked=feed.clock_checked,
        stopped_at=None if feed.running else feed.wall_at,
    )


def _quote(row: Ticker) -> Quote:
    return Quote(
        symbol=row.symbol,
        at=row.at,
        last=plain(row.last),
        bid=plain(row.bid),
        ask=plain(row.ask),
        mark=plain(row.mark),
        funding_rate=_plain_or_none(row.funding_rate),
        next_funding_at=row.next_funding_at,
        open_interest=_plain_or_none(row.open_interest),
        mark_at=row.mark_at,
        funding_at=row.funding_at,
        open_interest_at=row.open_interest_at,
        changed_at=row.changed_at,
    )


def _plain_or_none(value: Decimal | None) -> Decimal | None:
    return None if value is None else plain(value)
