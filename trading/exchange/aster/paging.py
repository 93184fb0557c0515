"""Lists that AsterDEX gives in pages: everything since a moment, whichever end of a span a full page shows. Pure.

The documents do not say whether a page that is full holds the first or the last rows of the time that was asked for.
So what lies on either side of it is asked for too, and nothing is missed in either case.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from marketdata.aster.values import Row
from marketdata.venues.public import VenueDown
from trading.exchange.aster.payloads import instant
from vibex.lib.clock import to_ms

type Asked = Callable[[int, int], Sequence[Row]]
"""Asks for the rows from one moment to another, both inclusive, in milliseconds."""

LIMIT: Final = 1_000
"""Rows of a page: the most that userTrades, income and allOrders give."""
WINDOW: Final = timedelta(days=7)
"""The longest time that one question may cover."""
AHEAD: Final = timedelta(minutes=1)
"""By so much the venue's clock may be ahead of ours without that the newest rows are missed."""


def rows_since(
    since: datetime, now: datetime, ask: Asked, *, key: Callable[[Row], Hashable], kind: str, limit: int = LIMIT
) -> list[Row]:
    """Return all rows at or after `since`, each once, in no order. Raises VenueDown when the venue shows no way on."""
    found: dict[Hashable, Row] = {}
    for start, end in windows(since, now):
        found |= _rows_between(start, end, ask, key=key, kind=kind, limit=limit)
    return list(found.values())


def windows(since: datetime, now: datetime) -> Iterator[tuple[int, int]]:
    """Yield spans that cover everything from `since` to a little after `now`. They share their ends."""
    span = to_ms_down(WINDOW)
    start, until = max(to_ms(since) - 1, 1), to_ms(now + AHEAD)
    while start < until:
        yield start, start + span - 1
        start += span - 1


def to_ms_down(length: timedelta) -> int:
    """Return a length in whole milliseconds."""
    return length // timedelta(milliseconds=1)


def _rows_between(
    start: int, end: int, ask: Asked, *, key: Callable[[Row], Hashable], kind: str, limit: int
) -> dict[Hashable, Row]:
    found: dict[Hashable, Row] = {}
    spans = [(start, end)]
    while spans:
        span = spans.pop()
        rows = ask(*span)
        times = sorted(_time(row, span, kind) for row in rows)
        found |= {key(row): row for row in rows}
        if len(rows) < limit:
            continue
        sides = [(span[0], times[0]), (times[-1], span[1])]
        if span in sides:
            raise VenueDown(f"AsterDEX has more than {limit} rows of {kind} in one moment and shows no more of them.")
        spans += sides
    return found


def _time(row: Row, span: tuple[int, int], kind: str) -> int:
    at = instant(row, "time", kind)
    ms = to_ms(at) if at else 0
    if not span[0] <= ms <= span[1]:
        raise VenueDown(f"AsterDEX answered with {kind} of another time than was asked for.")
    return ms
