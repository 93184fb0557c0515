"""What the markets look like now, for people and programs that look: prices, indicators, freshness.

What is read for them is kept apart from what bots decide on: nobody who looks holds up a decision, or makes a process
forget the candles of the market that is traded.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from django.db.models import OuterRef, Subquery

from marketdata.domain.intervals import interval_ms
from marketdata.models import Candle, Feed, Instrument, Ticker
from marketdata.selectors import clock_of

if TYPE_CHECKING:
    from marketdata.domain.snapshot import SymbolView, Timeframe
    from marketdata.stored import SeriesStore

PATIENCE: Final = 0.5
"""Seconds after which no candles of one more symbol are read: who asks again gets further."""

_stores: dict[str, SeriesStore] = {}
_lock: Final = Lock()


@dataclass(frozen=True, slots=True)
class Seen:
    """A market at a moment (market time), and the symbols for whose candles there was no time yet."""

    at: datetime
    symbols: dict[str, SymbolView]
    later: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fresh:
    """How old what is kept of a followed symbol is, in seconds of market time. None where nothing was ever written."""

    symbol: str
    price_age: float | None
    candle_age: float | None
    """Since the close of the last closed candle."""


@dataclass(frozen=True, slots=True)
class FeedSeen:
    """A market of this installation."""

    feed: Feed
    at: datetime
    """Market time."""
    symbols: tuple[Fresh, ...]


def seen_now(feed: Feed, symbols: Sequence[str], intervals: Sequence[str], *, patience: float = PATIENCE) -> Seen:
    """Return what bots would see of known symbols now. Bounded: what would take longer is left for the next time."""
    from marketdata.database_market import DatabaseMarket

    clock, began, store = clock_of(feed), time.monotonic(), _store_of(feed.venue)
    at = clock.now()
    market = DatabaseMarket(feed.venue, clock, store=store)
    there = [symbol for symbol in symbols if store.knows(symbol, intervals)]
    views = dict(market.snapshot(symbols=there, timeframes=intervals, at=at).symbols) if there else {}
    for place, symbol in enumerate(each for each in symbols if each not in there):
        if place and time.monotonic() - began > patience:
            break
        views |= market.snapshot(symbols=[symbol], timeframes=intervals, at=at).symbols
    return Seen(at, {symbol: views[symbol] for symbol in symbols if symbol in views}, _missing(symbols, views))


def known_symbols(venue: str, symbols: Sequence[str]) -> set[str]:
    """Return those of the symbols that a venue trades."""
    return set(Instrument.objects.filter(venue=venue, symbol__in=symbols).values_list("symbol", flat=True))


def newest_values(frame: Timeframe) -> dict[str, float | None]:
    """Return the newest value of every indicator; None while there are too few candles to know it."""
    return {name: _known(values[-1]) if len(values) else None for name, values in frame.indicators.items()}


def feeds_seen() -> list[FeedSeen]:
    """Return the markets of this installation and how fresh everything that is followed is. Two queries."""
    feeds = list(Feed.objects.order_by("venue"))
    interval = Feed.objects.filter(venue=OuterRef(OuterRef("venue"))).values("interval")[:1]
    candles = Candle.objects.filter(
        venue=OuterRef("venue"), symbol=OuterRef("symbol"), interval=Subquery(interval), closed=True
    ).order_by("-open_time")
    prices = Ticker.objects.filter(venue=OuterRef("venue"), symbol=OuterRef("symbol"))
    rows = (
        Instrument.objects.filter(followed=True)
        .annotate(price_at=Subquery(prices.values("at")[:1]), candle_at=Subquery(candles.values("open_time")[:1]))
        .order_by("symbol")
        .values_list("venue", "symbol", "price_at", "candle_at")
    )
    followed: dict[str, list[Any]] = {}
    for venue, *row in rows:
        followed.setdefault(venue, []).append(row)
    return [_feed_seen(feed, followed.get(feed.venue, [])) for feed in feeds]


def _feed_seen(feed: Feed, rows: Sequence[Any]) -> FeedSeen:
    at, length = clock_of(feed).now(), timedelta(milliseconds=interval_ms(feed.interval))
    fresh = (
        Fresh(symbol, _seconds(price_at, at), _seconds(candle_at + length if candle_at else None, at))
        for symbol, price_at, candle_at in rows
    )
    return FeedSeen(feed, at, tuple(fresh))


def _seconds(since: datetime | None, at: datetime) -> float | None:
    return None if since is None else round((at - since).total_seconds(), 3)


def _store_of(venue: str) -> SeriesStore:
    from marketdata.stored import SeriesStore

    with _lock:
        return _stores.setdefault(venue, SeriesStore())


def _missing(symbols: Sequence[str], views: Mapping[str, SymbolView]) -> tuple[str, ...]:
    return tuple(symbol for symbol in symbols if symbol not in views)


def _known(value: Any) -> float | None:
    return float(value) if isfinite(value) else None
