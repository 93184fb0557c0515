"""Which closed candles are missing: read off the stored open times, less what the venue is known not to have."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.db import connection
from django.db.models import F, Max, Min, Q
from django.utils import timezone

from marketdata.domain.intervals import interval_ms
from marketdata.domain.spans import Span, joined, without_spans
from marketdata.models import Candle, CandleHole, QuarantinedCandle
from vibex.lib.clock import from_ms, to_ms

SETTLED: Final = timedelta(days=1)
"""What a venue does not have so long after is not there; before, it may still write it down, as after a failure."""
BELIEVED: Final = timedelta(hours=1)
"""So long a younger hole is believed before it is asked for again."""

NEIGHBOURS: Final = (
    "SELECT before, after FROM (SELECT open_time AS before, lead(open_time) OVER (ORDER BY open_time) AS after "  # noqa: S608
    f"FROM {Candle._meta.db_table} WHERE venue = %s AND symbol = %s AND interval = %s AND closed "
    "AND open_time >= %s AND open_time < %s) AS pairs WHERE {apart} > %s"
)
"""Pairs of stored candles with something missing in between: the key's index in order, and only gaps come back."""
APART: Final = {
    "postgresql": "extract(epoch FROM after - before) * 1000",
    "sqlite": "(unixepoch(after) - unixepoch(before)) * 1000",
}


def missing_spans(
    venue: str, symbol: str, interval: str, *, since: datetime, until: datetime
) -> list[tuple[datetime, datetime]]:
    """Return where closed candles that open in [since, until) are missing, oldest first.

    A span begins with the open time of the first missing candle and ends before that of the next one that is there.
    What the venue does not have (CandleHole), and what it has but cannot be true, is not missing.
    """
    step = interval_ms(interval)
    start, stop = _up(to_ms(since), step), _up(to_ms(until), step)
    if start >= stop:
        return []
    absent = _absent(venue, symbol, interval, start, stop)
    if not absent:
        return []
    reach = (absent[0][0], absent[-1][1])
    left = without_spans(absent, joined(_never_there(venue, symbol, interval, reach)))
    return [(from_ms(first), from_ms(last)) for first, last in left]


def _absent(venue: str, symbol: str, interval: str, start: int, stop: int) -> list[Span]:
    """Return the spans without closed candles, whatever the reason."""
    step = interval_ms(interval)
    rows = Candle.objects.filter(venue=venue, symbol=symbol, interval=interval, closed=True)
    rows = rows.filter(open_time__gte=from_ms(start), open_time__lt=from_ms(stop))
    ends = rows.aggregate(first=Min("open_time"), last=Max("open_time"))
    if ends["first"] is None:
        return [(start, stop)]
    head, tail = (start, to_ms(ends["first"])), (to_ms(ends["last"]) + step, stop)
    between = [(before + step, after) for before, after in _apart(venue, symbol, interval, start, stop)]
    return [span for span in (head, *between, tail) if span[0] < span[1]]


def _apart(venue: str, symbol: str, interval: str, start: int, stop: int) -> list[Span]:
    adapt = connection.ops.adapt_datetimefield_value
    reach = (adapt(from_ms(start)), adapt(from_ms(stop)))
    with connection.cursor() as cursor:
        statement = NEIGHBOURS.format(apart=APART[connection.vendor])
        cursor.execute(statement, [venue, symbol, interval, *reach, interval_ms(interval)])
        return sorted((_ms(before), _ms(after)) for before, after in cursor.fetchall())


def _never_there(venue: str, symbol: str, interval: str, reach: Span) -> list[Span]:
    """Return the holes that are believed, and the quarantined candles that were looked at after they had closed."""
    of_symbol = {"venue": venue, "symbol": symbol, "interval": interval}
    first, last = from_ms(reach[0]), from_ms(reach[1])
    sure = Q(asked__gte=F("stop") + SETTLED) | Q(asked__gt=timezone.now() - BELIEVED)
    holes = CandleHole.objects.filter(sure, **of_symbol, start__lt=last, stop__gt=first).values_list("start", "stop")
    step = timedelta(milliseconds=interval_ms(interval))
    aside = QuarantinedCandle.objects.filter(
        **of_symbol, mended=None, open_time__gte=first, open_time__lt=last, seen__gte=F("open_time") + step
    ).values_list("open_time", flat=True)
    known = [*holes, *((at, at + step) for at in aside)]
    return [(to_ms(start), to_ms(stop)) for start, stop in known]


def _ms(value: datetime | str) -> int:
    """Return a time as PostgreSQL or SQLite (naive text in UTC) gives it."""
    return to_ms(datetime.fromisoformat(f"{value}+00:00") if isinstance(value, str) else value)


def _up(ms: int, step: int) -> int:
    """Return the first open time that is not before `ms`."""
    return -(-ms // step) * step
