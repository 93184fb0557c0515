"""The asking half of a live feed: everything that the stream does not say, and all that it may have missed.

Each job has a period of its own and fails by itself: a venue without open interest still has candles. A venue that
wants to be left alone is left alone until then. Nothing here is in a hurry: what must not be late comes by the stream.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from django.conf import settings
from django.db.models import F
from django.utils import timezone

from marketdata.domain.candles import floor_to, interval_ms
from marketdata.domain.snapshot import Quote
from marketdata.gaps import missing_spans
from marketdata.market import FundingSettlement
from marketdata.models import Feed, FundingRate, Instrument, QuarantinedCandle, Ticker
from marketdata.selectors import candles_in, followed_symbols, last_closed, wanted_symbols, warm_up_of
from marketdata.services.backfill import Asking, span_fill
from marketdata.services.candles import candles_upsert
from marketdata.services.feeds import never
from marketdata.services.follow import contracts_refresh, symbols_follow
from marketdata.services.prices import funding_expect, funding_put, open_interest_put, ticker_put
from marketdata.services.venues import clock_offset
from marketdata.venues.public import PublicVenue, VenueBusy, VenueDown, VenueRefused
from vibex.lib.clock import Deadline, from_ms, to_ms
from vibex.lib.errors import VibexError

log = logging.getLogger(__name__)

CONTRACTS_SECONDS: Final = 3600.0
MISSING_SECONDS: Final = 300.0
"""A list of contracts without one that is followed is read again after so long: it may have been cut short."""
FOLLOW_SECONDS: Final = 5.0
CLOCK_SECONDS: Final = 60.0
RECENT_SECONDS: Final = 15.0
BROKEN_SECONDS: Final = 30.0
WHOLE_SECONDS: Final = 3600.0
EXPECTED_SECONDS: Final = 5.0
SETTLED_SECONDS: Final = 20.0
INTEREST_SECONDS: Final = 60.0
FAILED_SECONDS: Final = 5.0
"""A job that failed is tried again after so long, or after its period when that is shorter."""
QUIET_SECONDS: Final = 8.0
"""Prices that nobody has confirmed for so long are asked for: a thin book is silent as long as it does not move."""
GRACE_MS: Final = 3_000
"""The stream has so long to bring a candle that has closed before it is asked for."""
SLOWEST_CLOCK: Final = timedelta(milliseconds=2 * GRACE_MS - 1_000)
"""The venue's time is known to half of the round trip: no candle may be taken for closed by a mistake in that."""
RECENT_BARS: Final = 10
AGAIN_BARS: Final = 98
"""Candles that are read again each hour: as many as an answer of the lowest weight holds."""
AGAIN_AT_ONCE: Final = 5
INTEREST_AT_ONCE: Final = 10
NEWEST_SECONDS: Final = 5.0
NEWEST_A_SECOND: Final = 10
"""The newest candle of a symbol is asked for once in NEWEST_SECONDS, of many symbols so many in a second: without a
stream that is 600 of the weight of a minute, and the rest stays for prices."""
SETTLED_BACK: Final = timedelta(days=3)
LONGEST_REST_SECONDS: Final = 300.0
LONGEST_WITHOUT_PRICE: Final = 30.0
"""Prices of a symbol that has none, or has old ones only, are asked for again after so long at the latest."""
REFUSED_SECONDS: Final = 300.0
FAULTY_SECONDS: Final = 60.0
"""A symbol that the venue refuses, or of which it says what cannot be read, is left alone for so long."""
JUMP_SECONDS: Final = 1.0
"""A clock that has moved so much more or less than time has passed was set."""


@dataclass(slots=True)
class Rest:
    """How long a symbol is left alone whose candles or prices the venue did not give: twice as long each time."""

    seconds: float = 5.0
    until: float = 0.0
    longest: float = LONGEST_REST_SECONDS

    def again(self, now: float) -> None:
        self.until, self.seconds = now + self.seconds, min(2 * self.seconds, self.longest)


@dataclass(slots=True)
class Keeper:
    """Asks one venue. `round` does what is due; only one thread may call it."""

    port: PublicVenue
    interval: str
    streaming: Callable[[], bool] = lambda: False
    """Whether prices and candles come by a stream at the moment."""
    stopping: Callable[[], bool] = never
    """Whether somebody wants to stop: no further job is begun then."""
    past: PublicVenue | None = None
    """Who is asked for long spans of candles, so that they do not use up what prices need; the same when not given."""
    heard_at: datetime | None = None
    """Wall time of the last sound answer."""
    fault: str = ""
    """What went wrong last, until something goes right."""
    _ahead: timedelta = timedelta(0)
    """By how much the venue's clock is ahead of ours: what has closed is for the venue's clock to say."""
    _set: float | None = None
    """Wall time less running time when the clocks were compared: it changes when somebody sets ours."""
    _due: dict[str, float] = field(default_factory=dict)
    _again: list[str] = field(default_factory=list)
    """Symbols whose last candles are to be read once more."""
    _unpriced: dict[str, Rest] = field(default_factory=dict)
    _unsure: set[str] = field(default_factory=set)
    """Symbols in whose candles something may be missing since they were last looked through."""
    _rests: dict[str, Rest] = field(default_factory=dict)

    @property
    def venue(self) -> str:
        return self.port.venue

    def look_back(self) -> None:
        """Look through the candles of every symbol: the stream may have missed something."""
        self._due["whole"] = 0.0

    def round(self) -> None:
        """Do every job that is due, the most urgent first."""
        self._mind_the_clock()
        for name, period, job in self._jobs():
            now = time.monotonic()
            if self._due.get(name, 0.0) <= now and not self.stopping():
                self._due[name] = now + period
                self._try(name, min(period, FAILED_SECONDS), job)

    def catch_up(self, *, deadline: Deadline | None = None) -> None:
        """Ask at once for all that a cycle needs, the contracts aside. Raises the venue's error when it fails.

        No question begins after `deadline`: what is left is for the rounds.
        """
        self._follow()
        for job in (self._clock, self._prices, self._expected, lambda: self._settled(deadline)):
            if deadline is None or not deadline.passed():
                job()
        self._unsure.update(followed_symbols(self.venue))
        with suppress(VenueBusy):  # the rest has to wait for its turn
            self._each("past", sorted(self._unsure), _until(deadline, self._fill))

    def _jobs(self) -> list[tuple[str, float, Callable[[], None]]]:
        return [
            ("contracts", CONTRACTS_SECONDS, self.contracts),
            ("clock", CLOCK_SECONDS, self._clock),
            ("follow", FOLLOW_SECONDS, self._follow),
            ("prices", 1.0, self._prices),
            ("newest", 1.0, self._newest),
            ("expected", EXPECTED_SECONDS, self._expected),
            ("settled", SETTLED_SECONDS, self._settled),
            ("interest", 1.0, self._interest),
            ("recent", RECENT_SECONDS, self._recent),
            ("broken", BROKEN_SECONDS, self._broken),
            ("whole", WHOLE_SECONDS, self._whole),
            ("again", 1.0, self._read_again),
            ("repair", 1.0, self._repair),
        ]

    def _try(self, name: str, pause: float, job: Callable[[], None]) -> None:
        try:
            job()
        except VenueBusy as busy:
            self.fault = str(busy)
            wait = max(pause, (busy.until - timezone.now()).total_seconds())
            self._due[name] = time.monotonic() + wait
        except VibexError as fault:
            if str(fault) != self.fault:  # the same, every few seconds, is said once
                log.warning("%s of %s: %s", name, self.venue, fault)
            self.fault = str(fault)
            self._due[name] = time.monotonic() + pause

    def _mind_the_clock(self) -> None:
        """When somebody has set our clock, the venue's has not moved: allow for it at once and compare them anew."""
        moved = 0.0 if self._set is None else _wall_less_running() - self._set
        if self._set is not None and abs(moved) > JUMP_SECONDS:
            self._ahead -= timedelta(seconds=moved)
            self._set += moved
            self._due["clock"] = 0.0

    def _each(
        self, name: str, symbols: Iterable[str], ask: Callable[[str], None], *, faulty: float = FAULTY_SECONDS
    ) -> None:
        """Ask about one symbol after the other. One that is refused is left alone, and keeps nobody waiting.

        Another fault ends it, because it may be the venue's; the symbol is left alone for `faulty` seconds, so that
        the next time the others have their turn.
        """
        for symbol in symbols:
            key = f"{name} of {symbol}"
            if self._due.get(key, 0.0) > time.monotonic():
                continue
            try:
                ask(symbol)
            except VenueBusy:
                raise
            except VenueRefused as refusal:
                log.warning("%s of %s: %s", name, self.venue, refusal)
                self._due[key] = time.monotonic() + REFUSED_SECONDS
            except VibexError:
                self._due[key] = time.monotonic() + faulty
                raise

    def _now(self) -> datetime:
        """Return the time by the venue's clock, as far as that is known."""
        return timezone.now() + self._ahead

    def _answered(self) -> None:
        self.heard_at, self.fault = timezone.now(), ""

    # -- what is there --------------------------------------------------------------------------------------------

    def contracts(self) -> None:
        """Read the rules of all contracts."""
        contracts_refresh(port=self.port)
        self._answered()
        if Instrument.objects.filter(venue=self.venue, followed=True, status="CLOSE").exists():
            self._due["contracts"] = time.monotonic() + MISSING_SECONDS

    def _follow(self) -> None:
        new = symbols_follow(venue=self.venue, symbols=wanted_symbols(self.venue, settings.ASSETS))
        self._unsure.update(new)

    def _clock(self) -> None:
        standing = _wall_less_running()
        offset, trip = clock_offset(self.port)
        if trip > SLOWEST_CLOCK:
            raise VenueDown(f"{self.venue} took too long to tell its time: half of that could be the difference.")
        self._set = standing
        self._ahead = timedelta(seconds=offset)
        Feed.objects.filter(venue=self.venue).update(clock_offset=offset, clock_checked=timezone.now())
        self._answered()

    # -- prices ---------------------------------------------------------------------------------------------------

    def _prices(self) -> None:
        """Ask for the prices that nobody has confirmed lately."""
        stored = list(Ticker.objects.filter(venue=self.venue))
        if self._quiet(stored, QUIET_SECONDS):
            # Those that would be next are asked for with them: many in one answer weigh less than one by one.
            asked = self._quiet(stored, QUIET_SECONDS / 2)
            quotes = self.port.quotes(asked)
            ticker_put(venue=self.venue, quotes=quotes, now=self._now())
            self._note_unpriced(asked, self._confirmed(quotes, QUIET_SECONDS))
            self._answered()

    def _quiet(self, stored: Iterable[Ticker], seconds: float) -> list[str]:
        """Return the symbols whose prices nobody has confirmed for so long, less those that have none to be had."""
        confirmed, now = self._confirmed(stored, seconds), time.monotonic()
        resting = {symbol for symbol, rest in self._unpriced.items() if rest.until > now}
        return [symbol for symbol in followed_symbols(self.venue) if symbol not in confirmed | resting]

    def _confirmed(self, prices: Iterable[Ticker | Quote], seconds: float) -> set[str]:
        """Return the symbols whose prices and mark are no older than that."""
        now, limit = self._now(), timedelta(seconds=seconds)
        return {one.symbol for one in prices if now - min(one.at, one.mark_at or now) <= limit}

    def _note_unpriced(self, asked: Iterable[str], confirmed: set[str]) -> None:
        """Ask less often for prices that the venue has no new ones of, as of a contract that was delisted."""
        for symbol in asked:
            if symbol in confirmed:
                self._unpriced.pop(symbol, None)
            else:
                self._unpriced.setdefault(symbol, Rest(longest=LONGEST_WITHOUT_PRICE)).again(time.monotonic())

    def _expected(self) -> None:
        """Write down the settlement that comes next, before it is due: a position that is open then is charged by it."""
        rows = Ticker.objects.filter(venue=self.venue, funding_rate__isnull=False, next_funding_at__gt=self._now())
        expected = {
            row.symbol: FundingSettlement(row.next_funding_at, row.funding_rate, row.mark, settled=False)
            for row in rows
            if row.next_funding_at is not None and row.funding_rate is not None
        }
        funding_expect(venue=self.venue, expected=expected)

    def _settled(self, deadline: Deadline | None = None) -> None:
        """Ask how those settlements ended that are due, and for the last days of a symbol that has none."""
        now = self._now()
        rows = FundingRate.objects.filter(venue=self.venue, at__gt=now - SETTLED_BACK, at__lte=now)
        settled = set(rows.filter(settled=True).values_list("symbol", flat=True))
        waiting = set(rows.filter(settled=False).values_list("symbol", flat=True))

        def ask(symbol: str) -> None:
            found = self.port.funding(symbol, since=now - SETTLED_BACK, until=now)
            funding_put(venue=self.venue, settlements={symbol: found})
            self._answered()

        followed = followed_symbols(self.venue)
        self._each(
            "funding", [name for name in followed if name not in settled or name in waiting], _until(deadline, ask)
        )

    def _interest(self) -> None:
        """Ask for the open interest that is oldest, a few symbols at a time."""
        old = self._now() - timedelta(seconds=INTEREST_SECONDS)
        rows = Ticker.objects.filter(venue=self.venue).exclude(open_interest_at__gt=old)
        oldest = rows.order_by(F("open_interest_at").asc(nulls_first=True), "symbol").values_list("symbol", flat=True)
        due = (symbol for symbol in oldest if self._turn_of(f"interest of {symbol}", INTEREST_SECONDS))
        for symbol in islice(due, INTEREST_AT_ONCE):  # the others have had no turn yet, and have it in a second
            open_interest_put(venue=self.venue, interests={symbol: self.port.open_interest(symbol)})
            self._answered()

    # -- candles --------------------------------------------------------------------------------------------------

    def _newest(self) -> None:
        """Ask for the candles that have closed without a word from the stream; without a stream, for the forming ones."""
        now_ms = to_ms(self._now())
        step = interval_ms(self.interval)
        wanted = floor_to(now_ms - GRACE_MS, self.interval) - step
        closed = last_closed(self.venue, self.interval, now=self._now())

        followed = followed_symbols(self.venue)
        pause = max(NEWEST_SECONDS, len(followed) / NEWEST_A_SECOND)

        def ask(symbol: str) -> None:
            since = to_ms(closed[symbol][0]) + step if symbol in closed else wanted
            late = wanted >= since
            if (late or not self.streaming()) and self._turn_of(f"newest candle of {symbol}", pause):
                self._ask_newest(symbol, max(since, wanted - RECENT_BARS * step), now_ms + step)

        self._each("newest", followed, ask, faulty=0.0)

    def _turn_of(self, name: str, seconds: float) -> bool:
        """Whether it is time for this question; the next time it is after so many seconds."""
        now = time.monotonic()
        if self._due.get(name, 0.0) > now:
            return False
        self._due[name] = now + seconds
        return True

    def _ask_newest(self, symbol: str, since_ms: int, until_ms: int) -> None:
        """Ask for the candles that open in [since, until) and store what has closed; without a stream the rest too."""
        asked_ms = to_ms(self._now())  # before the question: an answer may be slow, and what it holds is of then
        found = self.port.candles(symbol, self.interval, since_ms=since_ms, until_ms=until_ms)
        closed = found.closed_before(asked_ms - GRACE_MS)
        candles_upsert(venue=self.venue, candles=closed, closed=True)
        if not self.streaming():
            candles_upsert(venue=self.venue, candles=found.slice(len(closed), len(found)), closed=False)
        self._answered()

    def _recent(self) -> None:
        """Count the candles of the last bars: one that is missing in between is asked for soon, not in an hour."""
        until = from_ms(floor_to(to_ms(self._now()) - GRACE_MS, self.interval))
        since = until - timedelta(milliseconds=RECENT_BARS * interval_ms(self.interval))
        counted = candles_in(self.venue, self.interval, since=since, until=until)
        self._unsure.update(symbol for symbol in followed_symbols(self.venue) if counted.get(symbol, 0) < RECENT_BARS)

    def _broken(self) -> None:
        """Ask again for candles that could not be true: the next word may be better, also after a venue was away for long.

        As far back as one answer of the lowest weight reaches.
        """
        now_ms, step = to_ms(self._now()), interval_ms(self.interval)
        rows = QuarantinedCandle.objects.filter(
            venue=self.venue, interval=self.interval, mended=None, open_time__gte=from_ms(now_ms - AGAIN_BARS * step)
        )
        aside = {symbol: to_ms(at) for symbol, at in rows.order_by("-open_time").values_list("symbol", "open_time")}
        self._each("broken", sorted(aside), lambda symbol: self._ask_newest(symbol, aside[symbol], now_ms))

    def _whole(self) -> None:
        """Look through everything, and let the last candles be read again: a venue may have corrected one."""
        self._again = followed_symbols(self.venue)
        self._unsure.update(self._again)

    def _read_again(self) -> None:
        """Read the last candles of a few symbols again. One that fails is not tried until the next time."""
        now_ms = to_ms(self._now())
        since_ms = floor_to(now_ms, self.interval) - AGAIN_BARS * interval_ms(self.interval)
        now, self._again = self._again[:AGAIN_AT_ONCE], self._again[AGAIN_AT_ONCE:]
        self._each("candles", now, lambda symbol: self._ask_newest(symbol, since_ms, now_ms))

    def _repair(self) -> None:
        """Fill what is missing of one symbol: one at a time, so that prices are asked for in between."""
        now = time.monotonic()
        for symbol in sorted(self._unsure):
            rest = self._rests.get(symbol)
            if rest is None or rest.until <= now:
                self._fill(symbol)
                return

    def _fill(self, symbol: str) -> None:
        until = from_ms(floor_to(to_ms(self._now()) - GRACE_MS, self.interval))
        since = until - warm_up_of(self.venue)
        self._rests.setdefault(symbol, Rest()).again(time.monotonic())
        port = self.past or self.port
        asking = Asking(port, patient=False, stopping=self.stopping)
        for start, stop in missing_spans(self.venue, symbol, self.interval, since=since, until=until):
            span_fill(port=port, symbol=symbol, interval=self.interval, start=start, stop=stop, asking=asking)
            self._answered()
        if not missing_spans(self.venue, symbol, self.interval, since=since, until=until):
            self._unsure.discard(symbol)
            del self._rests[symbol]
        else:
            self._unsure.add(symbol)


def _until(deadline: Deadline | None, ask: Callable[[str], None]) -> Callable[[str], None]:
    """Return a question that is asked only while the deadline has not passed."""

    def in_time(symbol: str) -> None:
        if deadline is None or not deadline.passed():
            ask(symbol)

    return in_time


def _wall_less_running() -> float:
    return time.time() - time.monotonic()
