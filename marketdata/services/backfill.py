"""Fetching what is missing of a venue's history, and nothing else.

What is stored says what is to be asked: a run that was killed goes on where it stood, a second one asks nothing, two at
once write the same rows. Every answer is committed before the next question.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from difflib import get_close_matches
from typing import Any, Final, Protocol

from django.db.models import Min
from django.utils import timezone

from marketdata.domain.candles import Candles, floor_to, interval_ms
from marketdata.domain.spans import Span, joined, without_spans
from marketdata.gaps import missing_spans
from marketdata.models import Candle, CandleCorrection, CandleHole, FundingRate, Instrument, QuarantinedCandle
from marketdata.services.candles import candles_upsert
from marketdata.services.feeds import never
from marketdata.services.follow import contracts_refresh, feed_live_put
from marketdata.services.prices import funding_put, instruments_upsert
from marketdata.venues.public import PublicVenue, VenueBusy, VenueDown
from vibex.lib.clock import from_ms, to_ms
from vibex.lib.errors import Rejected, Retryable, VibexError

FUNDING: Final = "funding"
SETTLE_MS: Final = 5_000
"""A candle is asked for when the venue's clock is so far past its end: before, its last trades may be missing."""
ATTEMPTS: Final = 5
RULES_AGE: Final = timedelta(hours=1)
"""Contracts that were read so long ago are read again before a backfill."""
STOPPED: Final = "not done"
SILENCE: Final = "no answer"
"""How the problems begin that end a run."""
LONGEST_PERIOD: Final = timedelta(hours=8)
"""No venue settles funding less often."""


class Progress(Protocol):
    """Who is told how it goes."""

    def begin(self, candles: int) -> None:
        """Say how many candles are missing."""
        ...

    def settled(self, symbol: str, interval: str, candles: int) -> None:
        """Say that so many more are stored, or known not to exist."""
        ...

    def waiting(self, why: str, until: datetime | None) -> None:
        """Say why nothing moves."""
        ...


class Silent:
    """Tells nobody."""

    def begin(self, candles: int) -> None: ...

    def settled(self, symbol: str, interval: str, candles: int) -> None: ...

    def waiting(self, why: str, until: datetime | None) -> None: ...


class Stopped(Retryable):
    """Somebody wanted to stop. Everything that was answered is stored."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What became of one symbol and interval; `interval` is "funding" for settled rates."""

    symbol: str
    interval: str
    since: datetime
    until: datetime
    fetched: int = 0
    stored: int = 0
    """New or changed rows."""
    corrected: int = 0
    quarantined: int = 0
    holes: int = 0
    requests: int = 0
    seconds: float = 0.0
    missing: int = 0
    """Candles that are still missing: the venue did not give them, and may yet."""
    problem: str = ""


@dataclass(slots=True)
class Tally:
    """What was asked for and came."""

    fetched: int = 0
    stored: int = 0
    holes: int = 0
    requests: int = 0


@dataclass(slots=True)
class Asking:
    """Questions to a venue that are patient: a busy one is waited for, a silent one is asked again some times."""

    port: PublicVenue
    progress: Progress = field(default_factory=Silent)
    stopping: Callable[[], bool] = never
    patient: bool = True
    """Whether a busy or silent venue is waited for; else its error is raised, for who has other things to do meanwhile."""
    tally: Tally = field(default_factory=Tally)
    _ahead: timedelta | None = None

    def __call__[Answer](self, question: Callable[[], Answer]) -> Answer:
        """Return the answer. Raises Stopped, and the venue's own error when it stays silent or refuses."""
        while True:
            if self.stopping():
                raise Stopped("stopped; what was fetched is stored")
            try:
                return self._ask(question)
            except VenueBusy as busy:
                if not self.patient:
                    raise
                self.progress.waiting(str(busy), busy.until)
                self._rest(busy.until)

    def over(self, interval: str) -> int:
        """Return the open time (ms) of the first candle that is not surely over by the venue's clock."""
        if self._ahead is None:
            self._ahead = self(self.port.server_time) - timezone.now()
        return floor_to(to_ms(timezone.now() + self._ahead) - SETTLE_MS, interval)

    def _ask[Answer](self, question: Callable[[], Answer]) -> Answer:
        import stamina

        for attempt in stamina.retry_context(
            on=VenueDown, attempts=ATTEMPTS if self.patient else 1, timeout=None, wait_initial=1.0, wait_max=20.0
        ):
            with attempt:
                if attempt.num > 1:
                    self.progress.waiting(f"{self.port.venue} does not answer, asked again", None)
                self.tally.requests += 1
                return question()
        raise AssertionError("every attempt answers or raises")

    def _rest(self, until: datetime) -> None:
        """Wait, and look every second whether somebody wants to stop."""
        while (left := (until - timezone.now()).total_seconds()) > 0 and not self.stopping():
            time.sleep(min(left, 1.0))


def backfill(
    *,
    port: PublicVenue,
    symbols: Sequence[str],
    intervals: Sequence[str],
    since: datetime,
    until: datetime | None = None,
    progress: Progress | None = None,
    stopping: Callable[[], bool] = never,
) -> list[Summary]:
    """Fetch what is missing of candles and settled funding in [since, until), oldest first, and say what became of each.

    Only closed candles. A series that the venue refuses has a problem in its summary; when the venue does not answer
    any more, or somebody stops, what is left has one. Raises Rejected for unknown symbols, and when the stored prices
    of the venue are of another market.
    """
    asking = Asking(port, progress or Silent(), stopping)
    feed_live_put(venue=port.venue, source=port.source)
    symbols_ready(asking, symbols)
    end = min(until or timezone.now(), timezone.now() - timedelta(milliseconds=SETTLE_MS))
    series = [(symbol, interval) for symbol in symbols for interval in sorted(set(intervals), key=interval_ms)]
    asking.progress.begin(sum(missing_count(port.venue, *one, since, whole_until(end, one[1])) for one in series))
    jobs = [*series, *((symbol, FUNDING) for symbol in symbols)]
    summaries: list[Summary] = []
    for symbol, interval in jobs:
        left = summaries[-1].problem if summaries and _ended(summaries[-1]) else ""
        summaries.append(_series_fill(asking, symbol, interval, since, whole_until(end, interval), left=left))
    return summaries


def span_fill(
    *, port: PublicVenue, symbol: str, interval: str, start: datetime, stop: datetime, asking: Asking | None = None
) -> Tally:
    """Fetch the closed candles that open in [start, stop), and note where the venue has none. Page by page, oldest first.

    Raises the venue's own error when it stays silent or refuses; what came before is stored.
    """
    asking = asking or Asking(port)
    at, end = to_ms(start), min(to_ms(stop), asking.over(interval))
    while at < end:
        at = _page_fill(asking, symbol, interval, (at, end))
    return asking.tally


def symbols_ready(asking: Asking, symbols: Iterable[str]) -> None:
    """Read the rules of the contracts, unless they are fresh. Raises Rejected for symbols that the venue does not have."""
    port, wanted = asking.port, set(symbols)
    rows = Instrument.objects.filter(venue=port.venue, symbol__in=wanted)
    if rows.filter(updated__gt=timezone.now() - RULES_AGE).count() < len(wanted):
        asking(lambda: contracts_refresh(port=port))
    unlisted = wanted - set(rows.values_list("symbol", flat=True))
    if unlisted:
        _take_named(asking, unlisted)


def whole_until(moment: datetime, interval: str) -> datetime:
    """Return up to where candles have closed at a moment: the one that holds it is not missing, it is not there yet."""
    return moment if interval == FUNDING else from_ms(floor_to(to_ms(moment), interval))


def missing_count(venue: str, symbol: str, interval: str, since: datetime, until: datetime) -> int:
    """Return how many candles are missing."""
    spans = missing_spans(venue, symbol, interval, since=since, until=until)
    return sum((to_ms(stop) - to_ms(start)) // interval_ms(interval) for start, stop in spans)


def _take_named(asking: Asking, symbols: set[str]) -> None:
    """Take in contracts that are left out unless somebody names them: those on stocks, metals and the like."""
    listed = {spec.symbol: spec for spec in asking(asking.port.instruments)}
    if unknown := sorted(symbols - listed.keys()):
        near = sorted({name for symbol in unknown for name in get_close_matches(symbol, listed, n=3)})
        hint = f"Did you mean {', '.join(near)}?" if near else f"It lists {len(listed)} others, such as BTCUSDT."
        raise Rejected(f"{asking.port.venue} has no contract {', '.join(unknown)}. {hint}", code="symbol")
    instruments_upsert(specs=[listed[symbol] for symbol in sorted(symbols)], public=True, followed=False)


def _ended(summary: Summary) -> bool:
    """Whether the run ended at this series: what comes after it is not asked for any more."""
    return summary.problem.startswith((STOPPED, SILENCE))


def _series_fill(asking: Asking, symbol: str, interval: str, since: datetime, until: datetime, *, left: str) -> Summary:
    """Fill one series, or say why it is left."""
    began, venue, problem = time.monotonic(), asking.port.venue, left
    asking.tally = Tally()
    before = _noted(venue, symbol, interval)
    if not left:
        try:
            _fill(asking, symbol, interval, since, until)
        except Stopped as stopped:
            problem = f"{STOPPED}: {stopped}"
        except VenueDown as silence:
            problem = f"{SILENCE}: {silence}"
        except VibexError as fault:
            problem = str(fault)
    after, tally = _noted(venue, symbol, interval), asking.tally
    missing = 0 if interval == FUNDING else missing_count(venue, symbol, interval, since, until)
    if missing and not problem and _trades(venue, symbol):
        problem = f"{venue} did not give {missing} candles that should be there by now"
    return Summary(
        symbol,
        interval,
        since,
        until,
        fetched=tally.fetched,
        stored=tally.stored,
        corrected=after[0] - before[0],
        quarantined=after[1] - before[1],
        holes=tally.holes,
        requests=tally.requests,
        seconds=time.monotonic() - began,
        missing=missing,
        problem=problem,
    )


def _fill(asking: Asking, symbol: str, interval: str, since: datetime, until: datetime) -> None:
    if interval == FUNDING:
        _funding_fill(asking, symbol, since, until)
        return
    for start, stop in missing_spans(asking.port.venue, symbol, interval, since=since, until=until):
        span_fill(port=asking.port, symbol=symbol, interval=interval, start=start, stop=stop, asking=asking)


def _page_fill(asking: Asking, symbol: str, interval: str, span: Span) -> int:
    """Store the next page of a span, note the holes in it, and return up to where everything is answered."""
    step, (at, end) = interval_ms(interval), span
    found = _candles(asking, symbol, interval, span)
    if not len(found):
        found = _hole_settle(asking, symbol, interval, span)
    reached = int(found.open_time[-1]) // step * step + step if len(found) else end
    there = joined((time // step * step, time // step * step + step) for time in found.open_time.tolist())
    for hole in without_spans([(at, reached)], there) if len(found) else ():
        _hole_settle(asking, symbol, interval, hole)
    asking.progress.settled(symbol, interval, (reached - at) // step)
    return reached


def _hole_settle(asking: Asking, symbol: str, interval: str, span: Span) -> Candles:
    """Ask for what was not in an answer once more, alone; when it stays away and later candles exist, it never was.

    An answer that lacks a candle by mistake must not make it be missing for ever. Returns what came after all.
    """
    found = _candles(asking, symbol, interval, span)
    if len(found):
        return found
    key: dict[str, Any] = {"venue": asking.port.venue, "symbol": symbol, "interval": interval}
    start, stop = from_ms(span[0]), from_ms(span[1])
    if Candle.objects.filter(**key, closed=True, open_time__gte=stop).exists():
        CandleHole.objects.update_or_create(**key, start=start, defaults={"stop": stop, "asked": timezone.now()})
        asking.tally.holes += 1
    return found


def _candles(asking: Asking, symbol: str, interval: str, span: Span) -> Candles:
    """Ask for the candles of a span and store them; nothing outside of the span is believed to be an answer."""
    since, until = span
    answer = asking(lambda: asking.port.candles(symbol, interval, since_ms=since, until_ms=until))
    first, last = answer.open_time.searchsorted(span)
    found = answer.slice(int(first), int(last))
    asking.tally.fetched += len(found)
    asking.tally.stored += candles_upsert(venue=asking.port.venue, candles=found, closed=True)
    if len(found):  # what was a hole and is asked for again is none any more, or begins elsewhere
        began = (from_ms(int(found.open_time[0])), from_ms(int(found.open_time[-1])))
        holes = CandleHole.objects.filter(venue=asking.port.venue, symbol=symbol, interval=interval)
        holes.filter(start__range=began).delete()
    return found


def _funding_fill(asking: Asking, symbol: str, since: datetime, until: datetime) -> None:
    """Fetch settled rates where two that are stored lie further apart than any venue lets pass."""
    port = asking.port
    for start, stop in _funding_spans(port.venue, symbol, since, until):
        rates = asking(lambda start=start, stop=stop: port.funding(symbol, since=start, until=stop))  # type: ignore[misc]
        asking.tally.fetched += len(rates)
        before = FundingRate.objects.filter(venue=port.venue, symbol=symbol, settled=True).count()
        funding_put(venue=port.venue, settlements={symbol: rates})
        after = FundingRate.objects.filter(venue=port.venue, symbol=symbol, settled=True).count()
        asking.tally.stored += after - before


def _funding_spans(venue: str, symbol: str, since: datetime, until: datetime) -> list[tuple[datetime, datetime]]:
    """Return the spans in which a settlement has to be missing. Before its first candle nothing was settled."""
    first = Candle.objects.filter(venue=venue, symbol=symbol, closed=True).aggregate(first=Min("open_time"))["first"]
    start = max(since, first) if first else since
    rows = FundingRate.objects.filter(venue=venue, symbol=symbol, settled=True, at__gte=start, at__lte=until)
    hours = Instrument.objects.filter(venue=venue, symbol=symbol).values_list("funding_interval_hours", flat=True)
    moments = [start, *rows.order_by("at").values_list("at", flat=True), until]
    last = max(timedelta(hours=next(iter(hours), 8)), timedelta(hours=1))
    limits = [LONGEST_PERIOD] * (len(moments) - 2) + [last]
    return [
        (before, after)
        for before, after, limit in zip(moments, moments[1:], limits, strict=False)
        if after - before > limit
    ]


def _trades(venue: str, symbol: str) -> bool:
    """Whether the contract is traded; one that is not has no candles since it ended."""
    return Instrument.objects.filter(venue=venue, symbol=symbol, status="TRADING").exists()


def _noted(venue: str, symbol: str, interval: str) -> tuple[int, int]:
    """Return how many corrections and quarantined candles there are."""
    key = {"venue": venue, "symbol": symbol, "interval": interval}
    return CandleCorrection.objects.filter(**key).count(), QuarantinedCandle.objects.filter(**key).count()
