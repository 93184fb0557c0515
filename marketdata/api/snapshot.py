"""What bots would see of the market now: prices, their ages, what is wrong with them, and the newest indicators."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.access.views import Face
from marketdata.api.asking import Names, no_venue, nothing_like
from marketdata.models import Feed
from marketdata.selectors.pages_of_candles import intervals_at, symbols_at
from marketdata.selectors.seen_now import Seen, known_symbols, newest_values, seen_now
from vibex.lib.api import Amount, Filters
from vibex.lib.api.query import query
from vibex.lib.clock import from_ms

if TYPE_CHECKING:
    from marketdata.domain.snapshot import Quote, SymbolView, Timeframe

    Out = serializers.Serializer[Any]
else:
    Out = serializers.Serializer

MOST_SYMBOLS: Final = 20
MOST_INTERVALS: Final = 3
PRICES: Final = ("last", "bid", "ask", "mark")


class PriceOut(Out):
    """Prices in the quote asset. `at` is when the venue confirmed them last, market time."""

    at = serializers.DateTimeField()
    mark_at = serializers.DateTimeField(allow_null=True)
    last = Amount()
    bid = Amount()
    ask = Amount()
    mark = Amount()


class FundingOut(Out):
    """The next settlement: what longs pay to shorts, as a fraction."""

    rate = Amount(allow_null=True)
    next_at = serializers.DateTimeField(allow_null=True)


class CandleOut(Out):
    """A closed candle."""

    open_time = serializers.DateTimeField()
    open = serializers.FloatField()
    high = serializers.FloatField()
    low = serializers.FloatField()
    close = serializers.FloatField()
    volume = serializers.FloatField()


class FrameOut(Out):
    """The newest closed candle of an interval and the indicators at it; null while there are too few candles."""

    candle = CandleOut(allow_null=True)
    indicators = serializers.DictField(child=serializers.FloatField(allow_null=True))


class SymbolOut(Out):
    """One symbol. With a `problem` no bot opens anything on it. Ages in seconds, null for what was never there."""

    symbol = serializers.CharField()
    price = PriceOut(allow_null=True)
    funding = FundingOut()
    open_interest = Amount(allow_null=True)
    ages = serializers.DictField(child=serializers.FloatField(allow_null=True))
    problem = serializers.CharField(allow_null=True)
    intervals = serializers.DictField(child=FrameOut())


class SnapshotOut(Out):
    """The market at a moment of its own time. `later` names symbols whose candles are still being read: ask again."""

    venue = serializers.CharField()
    at = serializers.DateTimeField()
    symbols = SymbolOut(many=True)
    later = serializers.ListField(child=serializers.CharField())


class SnapshotQuery(Filters):
    venue = serializers.CharField(max_length=20)
    symbols = Names(
        most=MOST_SYMBOLS, help_text="With commas between them. Without it: the first ones that are followed."
    )
    intervals = Names(most=MOST_INTERVALS, help_text="Of the indicators, with commas. Without it: the stored one.")


class SnapshotView(Face):
    """The market of now as the prompt of a bot shows it."""

    @extend_schema(parameters=[SnapshotQuery], responses=SnapshotOut)
    def get(self, request: Request) -> Response:
        asked = query(SnapshotQuery, request)
        feed = Feed.objects.filter(venue=asked["venue"]).first()
        if feed is None:
            raise no_venue(asked["venue"])
        symbols, intervals = _symbols(feed, asked.get("symbols", ())), _intervals(feed, asked.get("intervals", ()))
        return Response(_told(feed.venue, seen_now(feed, symbols, intervals)))


def _symbols(feed: Feed, asked: tuple[str, ...]) -> tuple[str, ...]:
    if not asked:
        return tuple(symbols_at(feed.venue, MOST_SYMBOLS))
    if unknown := set(asked) - known_symbols(feed.venue, asked):
        raise nothing_like("symbols", ", ".join(sorted(unknown)), symbols_at(feed.venue))
    return asked


def _intervals(feed: Feed, asked: tuple[str, ...]) -> tuple[str, ...]:
    there = intervals_at(feed)
    if unknown := [name for name in asked if name not in there]:
        raise nothing_like("intervals", ", ".join(unknown), there)
    return asked or (feed.interval,)


def _told(venue: str, seen: Seen) -> dict[str, Any]:
    symbols = [_symbol(view) for view in seen.symbols.values()]
    return dict(SnapshotOut({"venue": venue, "at": seen.at, "symbols": symbols, "later": seen.later}).data)


def _symbol(view: SymbolView) -> dict[str, Any]:
    quote = view.quote
    return {
        "symbol": view.symbol,
        "price": _price(quote) if quote.last else None,
        "funding": {"rate": quote.funding_rate, "next_at": quote.next_funding_at},
        "open_interest": quote.open_interest,
        "ages": {name: _seconds(age) for name, age in view.ages.items()},
        "problem": view.problem,
        "intervals": {name: _frame(frame) for name, frame in view.timeframes.items()},
    }


def _price(quote: Quote) -> dict[str, Any]:
    return {"at": quote.at, "mark_at": quote.mark_at} | {name: getattr(quote, name) for name in PRICES}


def _seconds(age: timedelta) -> float | None:
    return None if age == timedelta.max else round(age.total_seconds(), 3)


def _frame(frame: Timeframe) -> dict[str, Any]:
    candles = frame.candles
    if not len(candles):
        return {"candle": None, "indicators": newest_values(frame)}
    values = {name: float(getattr(candles, name)[-1]) for name in ("open", "high", "low", "close", "volume")}
    return {
        "candle": {"open_time": from_ms(int(candles.open_time[-1])), **values},
        "indicators": newest_values(frame),
    }
