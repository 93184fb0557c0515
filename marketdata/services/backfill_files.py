"""The history of a venue out of recorded files: the same tables, nothing asked, what the venue itself said stays."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from django.utils import timezone

from marketdata.domain.candles import interval_ms
from marketdata.domain.pricing import decimal_of
from marketdata.domain.recording import FundingRecord, Recording
from marketdata.gaps import missing_spans
from marketdata.market import FundingSettlement
from marketdata.models import FundingRate, Instrument
from marketdata.services.backfill import FUNDING, STOPPED, Progress, Silent, Summary, missing_count, whole_until
from marketdata.services.candles import candles_quarantine, candles_upsert
from marketdata.services.feeds import never
from marketdata.services.follow import feed_live_put
from marketdata.services.prices import funding_put, instruments_upsert
from marketdata.venues.recorded import list_folder, read_folder
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected


def backfill_files(
    *,
    folder: Path,
    venue: str,
    source: str,
    symbols: Sequence[str] = (),
    intervals: Sequence[str],
    since: datetime,
    until: datetime,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = never,
) -> list[Summary]:
    """Store what is missing of [since, until) and recorded in `folder`, for `symbols` or all that are recorded.

    `source` is the address of the venue whose history this is. The last candle of a file is left out: it may have been
    forming when it was written down. Broken candles are quarantined with file and line. Raises Rejected for a folder
    that cannot be read whole, unrecorded symbols, and when the stored prices are of another market.
    """
    recorded = list_folder(folder)
    wanted = tuple(symbols) or tuple(recorded)
    if unknown := [symbol for symbol in wanted if symbol not in recorded]:
        raise Rejected(
            f"{folder}: {', '.join(unknown)} is not recorded here. There is {', '.join(recorded)}.", code="recording"
        )
    feed_live_put(venue=venue, source=source)
    progress = progress or Silent()
    series = [(symbol, interval) for symbol in wanted for interval in sorted(set(intervals), key=interval_ms)]
    now = timezone.now()  # what a file says of the future is not true, and would hide what closes meanwhile
    ends = {interval: whole_until(min(until, now), interval) for interval in intervals}
    progress.begin(sum(missing_count(venue, *one, since, ends[one[1]]) for one in series))
    summaries: list[Summary] = []
    for symbol, interval in series:
        span = (since, ends[interval])
        began, before = time.monotonic(), missing_count(venue, symbol, interval, *span)
        line = _line(folder, venue, symbol, interval, span, recorded[symbol], stopped=stopping())
        summaries += [_with_seconds(one, time.monotonic() - began) for one in line]
        progress.settled(symbol, interval, before)
    return summaries


def _line(
    folder: Path,
    venue: str,
    symbol: str,
    interval: str,
    span: tuple[datetime, datetime],
    recorded: Sequence[str],
    *,
    stopped: bool,
) -> list[Summary]:
    """Store one series, with the symbol's funding where it is the first of the symbol."""
    if stopped:
        return [Summary(symbol, interval, *span, problem=f"{STOPPED}: stopped; what was read is stored")]
    if interval not in recorded:
        return [Summary(symbol, interval, *span, problem=f"not recorded here, there is {', '.join(recorded)}")]
    recording = read_folder(folder, [symbol], interval=interval, venue=venue).recordings[symbol]
    if not Instrument.objects.filter(venue=venue, symbol=symbol).exists():
        instruments_upsert(specs=[recording.spec], followed=False)
    return [_candles_put(venue, recording, span), *_funding_put(venue, symbol, recording.funding, span)]


def _candles_put(venue: str, recording: Recording, span: tuple[datetime, datetime]) -> Summary:
    symbol, interval = recording.symbol, recording.candles.interval
    spans = missing_spans(venue, symbol, interval, since=span[0], until=span[1])
    missing = [(to_ms(start), to_ms(stop)) for start, stop in spans]
    broken = [one for one in recording.quarantined if any(start <= one.open_time < stop for start, stop in missing)]
    candles_quarantine(venue=venue, quarantined=broken)
    candles, stored = recording.candles, 0
    closed = candles.slice(0, max(0, len(candles) - 1))
    for start, stop in missing:
        first, last = (int(at) for at in closed.open_time.searchsorted((start, stop)))
        stored += candles_upsert(venue=venue, candles=closed.slice(first, last), closed=True)
    left = missing_count(venue, symbol, interval, *span)
    return Summary(symbol, interval, *span, fetched=stored, stored=stored, quarantined=len(broken), missing=left)


def _funding_put(venue: str, symbol: str, record: FundingRecord, span: tuple[datetime, datetime]) -> list[Summary]:
    """Store the settled rates of the span that are not there; no line where none is new."""
    first, last = (int(place) for place in np.searchsorted(record.at, [to_ms(at) for at in span]))
    rates = [
        FundingSettlement(
            from_ms(int(record.at[place])),
            decimal_of(record.rate[place]),
            decimal_of(record.mark[place]) if np.isfinite(record.mark[place]) else None,
        )
        for place in range(first, last)
    ]
    rows = FundingRate.objects.filter(venue=venue, symbol=symbol, settled=True)
    before = rows.count()
    funding_put(venue=venue, settlements={symbol: rates})
    stored = rows.count() - before
    return [Summary(symbol, FUNDING, *span, fetched=stored, stored=stored)] if stored else []


def _with_seconds(summary: Summary, seconds: float) -> Summary:
    return replace(summary, seconds=seconds)
