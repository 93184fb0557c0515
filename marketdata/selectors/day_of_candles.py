"""Whether the candles of the last day are all there, symbol by symbol: counted by the database in one statement."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Case, CharField, Count, DateTimeField, Exists, F, Min, OuterRef, Subquery, Value, When
from django.db.models.functions import Coalesce

from marketdata.domain.intervals import floor_to, interval_ms
from marketdata.models import Candle, CandleHole, Feed, Instrument
from marketdata.selectors import clock_of
from vibex.lib.clock import from_ms, to_ms

DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class DayOfCandles:
    """The closed candles of a symbol in the last day of its market."""

    venue: str
    symbol: str
    interval: str
    expected: int
    held: int
    first: datetime | None
    """Open time of the first one that is counted; None where there is none."""
    known_holes: int
    """Spans of that day for which the venue itself has none."""

    @property
    def missing(self) -> int:
        return max(0, self.expected - self.held)


def days_of_candles(feeds: Iterable[Feed]) -> list[DayOfCandles]:
    """Return the day of every symbol that these feeds follow, the fullest gaps first. The newest candle may be on its way.

    What began to be followed within the day is counted from its first candle on.
    """
    spans = {feed.venue: _span(feed) for feed in feeds}
    if not spans:
        return []
    lines = [_line(row, *spans[row.venue]) for row in _counted(spans)]
    return sorted(lines, key=lambda line: (-line.missing, line.venue, line.symbol))


def _span(feed: Feed) -> tuple[str, datetime, datetime]:
    """Return interval, begin and end of the day: whole candles, without the newest."""
    end = floor_to(to_ms(clock_of(feed).now()) - interval_ms(feed.interval), feed.interval)
    return feed.interval, from_ms(end - int(DAY.total_seconds() * 1000)), from_ms(end)


def _counted(spans: dict[str, tuple[str, datetime, datetime]]) -> Iterable[Any]:
    of_symbol = {"venue": OuterRef("venue"), "symbol": OuterRef("symbol"), "interval": OuterRef("of_interval")}
    candles = Candle.objects.filter(**of_symbol, closed=True, open_time__lt=OuterRef("until"))
    today = candles.filter(open_time__gte=OuterRef("since")).order_by()
    holes = CandleHole.objects.filter(**of_symbol, start__lt=OuterRef("until"), stop__gt=OuterRef("since")).order_by()
    return (
        Instrument.objects.filter(venue__in=spans, followed=True)
        .annotate(
            of_interval=_by_venue({venue: span[0] for venue, span in spans.items()}, CharField()),
            since=_by_venue({venue: span[1] for venue, span in spans.items()}, DateTimeField()),
            until=_by_venue({venue: span[2] for venue, span in spans.items()}, DateTimeField()),
        )
        .annotate(
            held=Coalesce(Subquery(today.values("venue").annotate(n=Count("open_time")).values("n")), 0),
            first=Subquery(today.values("venue").annotate(at=Min("open_time")).values("at")),
            older=Exists(candles.filter(open_time__lt=OuterRef("since"))),
            known_holes=Coalesce(Subquery(holes.values("venue").annotate(n=Count("pk")).values("n")), 0),
        )
        .only("venue", "symbol")
        .order_by(F("venue"), F("symbol"))
    )


def _by_venue(values: dict[str, Any], kind: Any) -> Case:
    return Case(*(When(venue=venue, then=Value(value, kind)) for venue, value in values.items()), output_field=kind)


def _line(row: Any, interval: str, since: datetime, until: datetime) -> DayOfCandles:
    begin = since if row.older or row.first is None else row.first
    expected = int((until - begin).total_seconds() * 1000) // interval_ms(interval)
    return DayOfCandles(row.venue, row.symbol, interval, expected, row.held, row.first, row.known_holes)
