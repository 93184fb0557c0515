"""Whether what is known of a symbol is good enough to open a position on. The same for live, paper and backtest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache
from itertools import pairwise
from math import isfinite
from typing import Any, Final

from marketdata.domain.candles import Candles, interval_ms
from marketdata.domain.instruments import InstrumentSpec
from marketdata.domain.snapshot import Depth, Quote, SymbolView, Timeframe
from vibex.lib.clock import MILLISECOND

MIN_CANDLES: Final = 15
"""A timeframe with fewer closed candles has no ATR14: no stop could be measured."""
WATCHED_BARS: Final = 3
"""A hole in the last so many base candles makes a symbol hold."""
SHORT_BASE_MS: Final = 300_000
"""Base candles up to this length lie near the price of now; longer ones may honestly be further away."""
SET_THE_CLOCK: Final = "set this machine's clock: timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table of limits: how much is allowed, and the rule in words ("{}" stands for how much)."""

    allowed: float
    """Seconds or a fraction, as `unit` says."""
    unit: str
    rule: str

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.allowed)

    @property
    def share(self) -> Decimal:
        return Decimal(str(self.allowed))

    @property
    def words(self) -> str:
        return self.rule.format(readable(self.span) if self.unit == "s" else f"{self.allowed:.0%}".replace("%", " %"))


LIMITS: Final[Mapping[str, Limit]] = {
    "feed.silent": Limit(30, "s", "the feed of live prices wrote last more than {} of wall time ago"),
    "clock.wrong": Limit(5, "s", "the venue's clock and this machine's are more than {} apart"),
    "clock.unchecked": Limit(1800, "s", "the two clocks were compared last more than {} ago, or never"),
    "candle.old": Limit(10, "s", "the last candle closed more than two base intervals and {} ago"),
    "price.old": Limit(30, "s", "bid, ask and last were confirmed last more than {} ago"),
    "price.future": Limit(30, "s", "the prices are more than {} younger than now"),
    "price.apart": Limit(0.01, "%", "last and mark are more than {} apart"),
    "price.wide": Limit(0.01, "%", "bid or ask is more than {} away from the mark"),
    "mark.old": Limit(30, "s", "the venue said what the mark is more than {} ago"),
    "book.depth": Limit(10, "s", "the order book that an entry would cross is more than {} old, or cannot be used"),
    "book.frozen": Limit(900, "s", "neither bid nor ask has moved for more than {}"),
    "funding.old": Limit(600, "s", "the expected funding rate is older than {}"),
    "funding.overdue": Limit(120, "s", "the funding that is said to come was due more than {} ago"),
    "interest.old": Limit(1200, "s", "the open interest is older than {}"),
    "candle.apart": Limit(0.05, "%", "the last candle closed more than {} away from the last price (base up to 5m)"),
    "candle.far": Limit(0.2, "%", "the last candle closed more than {} away from the last price (longer base)"),
}
"""Every limit by the code of the problem it makes. Seconds are wall seconds: a fast replay has more market time."""
NOTHING: Final = Decimal(0)
APART: Final = LIMITS["price.apart"].share
WIDE: Final = LIMITS["price.wide"].share


@dataclass(frozen=True, slots=True)
class Problem:
    """Why nothing may be opened on a symbol: a code for machines, a sentence for people, the numbers behind it."""

    code: str
    text: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def reason(self) -> dict[str, Any]:
        """Return code and numbers as they are stored."""
        return {"code": self.code, **self.numbers}


@dataclass(frozen=True, slots=True)
class FeedState:
    """What the feed says of itself. Times are wall time; only `live` feeds are watched."""

    venue: str
    problem: str = ""
    live: bool = False
    running: bool = True
    heartbeat: datetime | None = None
    clock_offset: float | None = None
    clock_checked: datetime | None = None
    stopped_at: datetime | None = None

    @property
    def caught_up(self) -> bool:
        """Whether somebody brought it up to now after it had stopped, for one look."""
        return None not in (self.heartbeat, self.stopped_at) and self.heartbeat > self.stopped_at  # type: ignore[operator]


def quote_age_limit(speed: float) -> timedelta:
    """Return the market time after which a price is stale: 30 wall seconds at `speed`, never below 30 s."""
    return _allowed("price.old", speed)


def candle_age_limit(interval: str, speed: float) -> timedelta:
    """Return the highest age of the last closed base candle: two intervals and 10 wall seconds at `speed`."""
    return timedelta(milliseconds=2 * interval_ms(interval)) + _allowed("candle.old", speed)


def feed_problem(feed: FeedState, *, wall: datetime) -> Problem | None:
    """Return what is wrong with all symbols of a feed: what it says itself, silence, or a clock that is wrong."""
    if feed.problem:
        return Problem("feed.says", feed.problem)
    if not feed.live:
        return None
    if not feed.running and not feed.caught_up:
        return Problem("feed.stopped", f"the feed of {feed.venue} is not running")
    if feed.heartbeat is None:
        return Problem("feed.silent", f"the feed of {feed.venue} has never written")
    if (silence := wall - feed.heartbeat) > LIMITS["feed.silent"].span:
        return _aged("feed.silent", f"the feed of {feed.venue} has written nothing for {readable(silence)}", silence)
    return _clock_problem(feed, wall)


def _clock_problem(feed: FeedState, wall: datetime) -> Problem | None:
    checked = feed.clock_checked
    if feed.clock_offset is None or checked is None:
        return Problem("clock.unchecked", f"the clock of {feed.venue} has not been compared with this machine's yet")
    if not abs(feed.clock_offset) <= LIMITS["clock.wrong"].allowed:
        text = f"this machine's clock and that of {feed.venue} are {abs(feed.clock_offset):.1f} s apart"
        numbers = {"offset": feed.clock_offset} if isfinite(feed.clock_offset) else {}
        return Problem("clock.wrong", f"{text}; {SET_THE_CLOCK}", numbers)
    if (age := wall - checked) > LIMITS["clock.unchecked"].span:
        text = f"this machine's clock was compared with that of {feed.venue} {readable(age)} ago"
        return _aged("clock.unchecked", f"{text}; {SET_THE_CLOCK}", age)
    return None


def contract_problem(spec: InstrumentSpec) -> Problem | None:
    """Return whether the venue takes orders. One that settles or was delisted is still quoted, with an ordinary rate."""
    if spec.tradable:
        return None
    return Problem("contract.closed", f"{spec.venue} takes no orders for {spec.symbol} now: it is {spec.status}")


def candle_problem(base: Candles, *, at_ms: int, age_limit: timedelta) -> Problem | None:
    """Return what is wrong with the closed base candles: none, a hole in the last three bars, or too old."""
    return newest_problem(base.interval, base.open_time[-WATCHED_BARS:].tolist(), at_ms=at_ms, age_limit=age_limit)


def newest_problem(interval: str, opened: Sequence[int], *, at_ms: int, age_limit: timedelta) -> Problem | None:
    """Return the same from the open times (UTC ms) of the newest candles: the last three, or fewer where there are."""
    if not opened:
        return Problem("candle.none", f"no closed {interval} candle")
    step, last = interval_ms(interval), opened[-1]
    age = (at_ms - last - step) * MILLISECOND
    if age > age_limit:
        return _aged("candle.old", f"the last {interval} candle closed {readable(age)} ago", age)
    if len(opened) == WATCHED_BARS and last - opened[0] != (WATCHED_BARS - 1) * step:
        return missing_problem(interval)
    return None


def missing_problem(interval: str) -> Problem:
    """Return the problem of a hole in the last bars."""
    return Problem("candle.missing", f"a {interval} candle is missing among the last {WATCHED_BARS}")


def timeframe_problem(timeframes: Iterable[Timeframe]) -> Problem | None:
    """Return which timeframe has too few closed candles."""
    for timeframe in timeframes:
        if (count := len(timeframe.candles)) < MIN_CANDLES:
            text = f"only {count} of {MIN_CANDLES} closed {timeframe.interval} candles"
            return Problem("candle.few", text, {"count": count})
    return None


def quote_problem(quote: Quote, *, at: datetime, speed: float = 1.0, extra: timedelta = timedelta(0)) -> Problem | None:
    """Return what is wrong with the prices: not above zero, crossed, apart, too old, frozen, or an input that is old.

    An input without a time of its own is not watched. `extra` is added to the age limit of the prices: in a backtest
    they are the close of a candle.
    """
    for price in (quote.last, quote.bid, quote.ask, quote.mark):
        if not (price.is_finite() and price > NOTHING):
            return Problem("price.none", "there is no price")
    if quote.bid >= quote.ask:
        return Problem("price.crossed", f"crossed prices: bid {quote.bid} is not below ask {quote.ask}")
    if abs(quote.last - quote.mark) > APART * quote.mark:
        return _apart("price.apart", f"last {quote.last} and mark {quote.mark}", quote.last, quote.mark)
    far = max(quote.mark - quote.bid, quote.ask - quote.mark)
    if far > WIDE * quote.mark:  # an entry crosses the book, and the venue's band is 2 %
        text = f"bid {quote.bid} or ask {quote.ask} is more than 1 % away from mark {quote.mark}"
        return Problem("price.wide", text, {"distance": round(float(far / quote.mark), 6)})
    return _price_age(quote, at, speed, extra) or _input_problem(quote, at, speed)


def _price_age(quote: Quote, at: datetime, speed: float, extra: timedelta) -> Problem | None:
    age = at - quote.at
    if age > _allowed("price.old", speed) + extra:
        return _aged("price.old", f"the last price is {readable(age)} old", age)
    if -age > _allowed("price.future", speed):
        return _aged("price.future", f"the last price is {readable(-age)} ahead of the clock", age)
    return None


def _input_problem(quote: Quote, at: datetime, speed: float) -> Problem | None:
    """Return the first of the other inputs that is too old, or no number."""
    funding, interest = quote.funding_rate, quote.open_interest
    if funding is not None and not funding.is_finite():
        return Problem("funding.none", "the funding rate is no number")
    if interest is not None and not (interest.is_finite() and interest >= 0):
        return Problem("interest.none", "the open interest is no number")
    if quote.mark_at is quote.funding_at is quote.open_interest_at is quote.changed_at is None:
        return None
    overdue = quote.next_funding_at if quote.funding_at else None
    for code, since, words in (
        ("mark.old", quote.mark_at, "the mark price is {} old"),
        ("book.frozen", quote.changed_at, "neither bid nor ask has moved for {}"),
        ("funding.old", quote.funding_at, "the expected funding rate is {} old"),
        ("funding.overdue", overdue, "the funding that is said to come was due {} ago"),
        ("interest.old", quote.open_interest_at if interest is not None else None, "the open interest is {} old"),
    ):
        if since is not None and (age := at - since) > _allowed(code, speed):
            return _aged(code, words.format(readable(age)), age)
    return None


def depth_problem(depth: Depth, *, at: datetime, speed: float = 1.0) -> Problem | None:
    """Return what is wrong with an order book: a side empty, no numbers, out of order, crossed, too old or of the future."""
    if not depth.bids or not depth.asks:
        return Problem("book.depth", f"the order book of {depth.symbol} has no {'asks' if depth.bids else 'bids'}")
    if not all(number.is_finite() and number > 0 for level in (*depth.bids, *depth.asks) for number in level):
        return Problem("book.depth", f"the order book of {depth.symbol} has a level without price or quantity")
    bids, asks = [price for price, _ in depth.bids], [price for price, _ in depth.asks]
    if any(worse >= better for better, worse in pairwise(bids)) or any(b <= a for a, b in pairwise(asks)):
        return Problem("book.depth", f"the levels of the order book of {depth.symbol} are out of order")
    if bids[0] >= asks[0]:
        text = f"the order book of {depth.symbol} is crossed: bid {bids[0]} is not below ask {asks[0]}"
        return Problem("book.depth", text)
    age = at - depth.at
    if abs(age) > _allowed("book.depth", speed):
        words = "old" if age > timedelta(0) else "ahead of the clock"
        return _aged("book.depth", f"the order book of {depth.symbol} is {readable(abs(age))} {words}", age)
    return None


def untold_problem(quote: Quote) -> Problem | None:
    """Return what a live venue has not told: the time of its mark price, or the funding that comes next."""
    if quote.mark_at is None:
        return Problem("mark.none", "the venue has not said what the mark price is")
    if quote.funding_rate is None or quote.next_funding_at is None or quote.funding_at is None:
        return Problem("funding.none", "the venue has not said what funding comes next")
    return None


def market_problem(base: Candles, quote: Quote) -> Problem | None:
    """Return whether the last closed candle and the last price cannot be of one market."""
    if not len(base):
        return None
    close, last = float(base.close[-1]), float(quote.last)
    code = "candle.apart" if interval_ms(base.interval) <= SHORT_BASE_MS else "candle.far"
    if abs(close - last) <= LIMITS[code].allowed * close:
        return None
    return _apart(code, f"the last {base.interval} close {close:g} and the last price {quote.last}", last, close)


def no_quote(symbol: str, at: datetime) -> Quote:
    """Return the quote that stands where nothing is known: zeros, which `quote_problem` names."""
    zero = Decimal(0)
    return Quote(symbol, at, zero, zero, zero, zero)


def symbol_digest(venue: str, quote: Quote, fingerprints: str) -> str:
    """Return the SHA-256 of what is known of a symbol, whenever it is looked at.

    Candles enter by their fingerprints and indicators with them; where there is no price, its time is nothing known.
    """
    at = quote.at.timestamp() if quote.last else 0
    prices = f"{at} {quote.last:f} {quote.bid:f} {quote.ask:f} {quote.mark:f}"
    more = f"{quote.funding_rate} {quote.open_interest} {_moment(quote.next_funding_at)}"
    times = (quote.mark_at, quote.funding_at, quote.open_interest_at, quote.changed_at)
    text = f"{venue} {quote.symbol} {prices} {more} {' '.join(map(_moment, times))} {fingerprints}"
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of(venue: str, at: datetime, views: Mapping[str, SymbolView]) -> str:
    """Return the SHA-256 of everything in a snapshot: its moment, and the digest and problem of every symbol."""
    lines = [f"{venue} {at.astimezone(UTC).isoformat()}"]
    lines += [f"{symbol} {view.digest} {view.problem}" for symbol, view in views.items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def ages_of(
    spec: InstrumentSpec, quote: Quote, timeframes: Mapping[str, Timeframe], at: datetime
) -> dict[str, timedelta]:
    """Return the age of every input at `at` by name: "quote", each interval, and what else of the quote has a time."""
    ages = {"quote": max(at - quote.at, timedelta(0))}
    ages |= {interval: timeframe.age for interval, timeframe in timeframes.items()}
    funding_at = quote.funding_at
    if funding_at is None and quote.next_funding_at is not None:
        funding_at = quote.next_funding_at - timedelta(hours=spec.funding_interval_hours)
    times = {"funding": funding_at, "mark": quote.mark_at, "open_interest": quote.open_interest_at}
    return ages | {name: max(at - since, timedelta(0)) for name, since in times.items() if since is not None}


def readable(span: timedelta) -> str:
    """Return a span as a person says it: "45 s", "12 min", "3.5 h"."""
    seconds = span.total_seconds()
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


@cache
def _allowed(code: str, speed: float) -> timedelta:
    return timedelta(seconds=LIMITS[code].allowed * max(1.0, speed))


def _aged(code: str, text: str, age: timedelta) -> Problem:
    return Problem(code, text, {"seconds": round(age.total_seconds(), 3)})


def _apart(code: str, what: str, one: Decimal | float, other: Decimal | float) -> Problem:
    distance = abs(float(one) / float(other) - 1)
    limit = f"{LIMITS[code].allowed:.0%}".replace("%", " %")
    return Problem(code, f"{what} are more than {limit} apart", {"distance": round(distance, 6)})


def _moment(at: datetime | None) -> str:
    return "-" if at is None else str(at.timestamp())
